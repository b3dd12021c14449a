//! `strata score`: how probable a model finds given translations.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use strata_files::thousands;
use strata_ranks::Ranks;
use strata_study::study::{Likelihood, Loss, losses};
use strata_translate::evaluate::{Text, read_texts};
use strata_translate::{Placement, Token, Translator};

use crate::output::{print, print_json_line};
use crate::ranks::sharing_lines;
use crate::search_args::Place;
use crate::selection::Selection;
use crate::shared_lines::{in_parts, in_windows, window_sizes};
use crate::terminal::{Terminal, Warnings, labeled};
use crate::text_files::{self, same_length};
use crate::{Outcome, model};

/// Print how probable a model finds given translations
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a line for each pair: the mean natural log-probability of its target subwords, the end mark \
                  included. With --prepared, the negative of it over each direction of a held-out set."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// Text, a sentence a line
    #[arg(
        required_unless_present = "prepared",
        requires = "target",
        conflicts_with_all = ["prepared", "split", "directions", "max_sentences"]
    )]
    source: Option<PathBuf>,
    /// Its translation, line by line
    target: Option<PathBuf>,
    /// Language of the text, for models that read it from a tag
    #[arg(long, value_name = "LANG", conflicts_with = "prepared")]
    from: Option<String>,
    /// Language of the translation
    #[arg(long, value_name = "LANG", required_unless_present = "prepared", conflicts_with = "prepared")]
    to: Option<String>,
    /// Score the references of this prepared folder instead of files
    #[arg(long, value_name = "PATH")]
    prepared: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// Print a JSON object for each line, with each subword's score; with --prepared, with its direction and loss
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// A line of `--json` with `--prepared`.
#[derive(Serialize)]
struct Lost<'a> {
    direction: &'a str,
    line: usize,
    /// None where the line is left out.
    nll: Option<f64>,
    subwords: u64,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Scored<'a> {
    line: usize,
    score: f32,
    sum: f32,
    tokens: &'a [Token],
}

/// A pair of lines.
#[derive(Serialize, Deserialize)]
struct Pair {
    source: String,
    target: String,
}

impl AsRef<str> for Pair {
    fn as_ref(&self) -> &str {
        &self.target
    }
}

/// What a rank made of its pairs.
#[derive(Serialize, Deserialize)]
struct Made {
    /// What is printed.
    text: String,
    warnings: Vec<String>,
    lines: u64,
}

pub fn run(arguments: &Arguments, threads: usize, terminal: &Terminal) -> anyhow::Result<Outcome> {
    sharing_lines(threads, terminal, |ranks, terminal| {
        match (&arguments.prepared, &arguments.source, &arguments.target, &arguments.to) {
            (Some(prepared), ..) => of_prepared(arguments, prepared, ranks, terminal),
            (None, Some(source), Some(target), Some(to)) => of_files(arguments, [source, target], to, ranks, terminal),
            _ => anyhow::bail!("name a source, its translation and --to, or a prepared folder"), // the parser saw to it
        }
    })
}

/// The losses of a held-out set's references.
fn of_prepared(arguments: &Arguments, prepared: &Path, ranks: &Ranks, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let Selection { split, directions, max_sentences } = &arguments.selection;
    let texts = read_texts(prepared, split, directions, *max_sentences)?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.place))?;
    let (mut all, mut outcome) = (Vec::new(), Outcome::Done);
    for (done, text) in texts.iter().enumerate() {
        terminal.progress(&labeled("scoring", &format!("{done} of {} directions", texts.len())));
        let (losses, direction) = (shared_losses(&translator, text, ranks)?, text.direction.name());
        if !ranks.is_first() {
            continue;
        }
        let lost: Vec<usize> = (1..=losses.len()).filter(|line| losses[line - 1].subwords == 0).collect();
        if let Some(first) = lost.first() {
            let (lines, of) = (lost.len(), losses.len());
            terminal.warn(&format!(
                "{direction}: {lines} of {of} lines are left out, line {first} first: they are too long for the model, or \
                 its scores are no finite numbers"
            ));
            outcome = Outcome::SomeFailed;
        }
        if arguments.json {
            terminal.progress("");
            for (i, loss) in losses.iter().enumerate() {
                let (line, subwords) = (i + 1, loss.subwords);
                let nll = (subwords > 0).then_some(loss.nll);
                print_json_line(&Lost { direction: &direction, line, nll, subwords })?;
            }
        }
        all.push(Likelihood::of(&direction, &losses));
    }
    terminal.progress("");
    if !arguments.json && ranks.is_first() {
        print(&table(&all))?;
    }
    Ok(outcome)
}

/// The losses of a direction, of which each rank computes a part: all of them on rank 0, none on the others.
fn shared_losses(translator: &Translator, text: &Text, ranks: &Ranks) -> anyhow::Result<Vec<Loss>> {
    let parts = in_parts(ranks, &text.references, |mine| {
        let (sources, references) = (text.sources[mine.clone()].to_vec(), text.references[mine].to_vec());
        let part = Text { direction: text.direction.clone(), sources, references };
        // As bits: text may not bring back every number.
        Ok(losses(translator, &part)?.iter().map(|loss| (loss.nll.to_bits(), loss.subwords)).collect::<Vec<_>>())
    })?;
    Ok(parts.concat().into_iter().map(|(nll, subwords)| Loss { nll: f64::from_bits(nll), subwords }).collect())
}

fn table(all: &[Likelihood]) -> String {
    let mut table = format!("{:<12} {:>9} {:>9} {:>16}\n", "direction", "sentences", "subwords", "nats per subword");
    let shown = |nll: Option<f64>| nll.map_or("-".to_string(), |nll| format!("{nll:.4}"));
    for l in all {
        table += &format!("{:<12} {:>9} {:>9} {:>16}\n", l.direction, l.sentences, l.subwords, shown(l.nll));
    }
    let (sentences, subwords) = all.iter().fold((0, 0), |(s, w), l| (s + l.sentences, w + l.subwords));
    table + &format!("{:<12} {sentences:>9} {subwords:>9} {:>16}\n", "all", shown(Likelihood::mean(all)))
}

/// The scores of a file of translations, which rank 0 reads.
fn of_files(
    arguments: &Arguments,
    [source, target]: [&Path; 2],
    to: &str,
    ranks: &Ranks,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let mut pairs = if ranks.is_first() { pairs(source, target)? } else { Vec::new() }.into_iter();
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.place))?;
    // Languages that the model does not know are an error of files without lines too.
    translator.frame(arguments.from.as_deref(), to)?;
    if ranks.is_first() {
        model::warn_of_direction(&translator, arguments.from.as_deref(), to, terminal);
    }
    let mut sizes = window_sizes(ranks.size());
    let next = || {
        let window: Vec<Pair> = pairs.by_ref().take(sizes.next().unwrap_or(1)).collect();
        Ok((!window.is_empty()).then_some(window))
    };
    let work = |first: usize, pairs: &[Pair]| scored(first, pairs, &translator, arguments, source, to);
    let (mut warnings, mut lines) = (Warnings::default(), 0);
    in_windows(ranks, next, work, |made: Made| {
        made.warnings.iter().for_each(|warning| warnings.add(warning, terminal));
        lines += made.lines;
        print(&made.text)
    })?;
    let all = warnings.count();
    if warnings.are_cut() {
        terminal.warn(&format!("{} of {} pairs have no score", thousands(all), thousands(lines)));
    }
    Ok(if all > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

fn pairs(source: &Path, target: &Path) -> anyhow::Result<Vec<Pair>> {
    let (sources, targets) = (text_files::read(source)?, text_files::read(target)?);
    same_length(&sources, &targets)?;
    let pairs = sources.lines.into_iter().zip(targets.lines);
    Ok(pairs.map(|(source, target)| Pair { source, target }).collect())
}

/// Scores pairs, of which the first is number `first`, from 0.
fn scored(
    first: usize,
    pairs: &[Pair],
    translator: &Translator,
    arguments: &Arguments,
    source: &Path,
    to: &str,
) -> anyhow::Result<Made> {
    let (sources, targets): (Vec<&str>, Vec<&str>) =
        pairs.iter().map(|pair| (pair.source.as_str(), pair.target.as_str())).unzip();
    let mut made = Made { text: String::new(), warnings: Vec::new(), lines: pairs.len() as u64 };
    let scores = translator.score(&sources, &targets, arguments.from.as_deref(), to)?;
    for (line, scored) in (first + 1..).zip(scores) {
        match scored {
            Ok(forced) => {
                let score = forced.sum / forced.tokens.len().max(1) as f32;
                if arguments.json {
                    let scored = Scored { line, score, sum: forced.sum, tokens: &forced.tokens };
                    made.text += &serde_json::to_string(&scored)?;
                } else {
                    made.text += &format!("{score:.4}");
                }
            }
            Err(fault) => {
                let place = format!("{}, line {line}", source.display());
                made.warnings.push(format!("{place}: {fault}; its score is an empty line"));
            }
        }
        made.text.push('\n');
    }
    Ok(made)
}
