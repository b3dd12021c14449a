//! `strata score`: how probable a model finds given translations.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strata_study::study::{Likelihood, losses};
use strata_translate::evaluate::read_texts;
use strata_translate::{Placement, Token, Translator};

use crate::Outcome;
use crate::output::{print, print_json_line};
use crate::search_args::Place;
use crate::selection::Selection;
use crate::terminal::Terminal;
use crate::text_files::{self, same_length};

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
    #[command(flatten)]
    place: Place,
    /// Print a JSON object for each line, with each subword's score; with --prepared, with its direction and loss
    #[arg(long, help_heading = "Options")]
    json: bool,
}

/// A line of `--json` with `--prepared`.
#[derive(Serialize)]
struct Lost<'a> {
    direction: &'a str,
    line: usize,
    nll: f64,
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

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match (&arguments.prepared, &arguments.source, &arguments.target, &arguments.to) {
        (Some(prepared), ..) => of_prepared(arguments, prepared, terminal),
        (None, Some(source), Some(target), Some(to)) => of_files(arguments, source, target, to, terminal),
        _ => anyhow::bail!("name a source, its translation and --to, or a prepared folder"), // the parser saw to it
    }
}

/// The losses of a held-out set's references.
fn of_prepared(arguments: &Arguments, prepared: &Path, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let Selection { split, directions, max_sentences } = &arguments.selection;
    let texts = read_texts(prepared, split, directions, *max_sentences)?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.place))?;
    let mut all = Vec::new();
    let mut outcome = Outcome::Done;
    for text in &texts {
        let (losses, direction) = (losses(&translator, text)?, text.direction.name());
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
            for (i, loss) in losses.iter().enumerate() {
                let (line, nll, subwords) = (i + 1, loss.nll, loss.subwords);
                print_json_line(&Lost { direction: &direction, line, nll, subwords })?;
            }
        }
        all.push(Likelihood::of(&direction, &losses));
    }
    if !arguments.json {
        print(&format!("{:<12} {:>9} {:>9} {:>16}\n", "direction", "sentences", "subwords", "nats per subword"))?;
        for l in &all {
            print(&format!("{:<12} {:>9} {:>9} {:>16.4}\n", l.direction, l.sentences, l.subwords, l.nll))?;
        }
        let (sentences, subwords) = all.iter().fold((0, 0), |(s, w), l| (s + l.sentences, w + l.subwords));
        let mean = Likelihood::mean(&all).map_or("-".to_string(), |nll| format!("{nll:.4}"));
        print(&format!("{:<12} {sentences:>9} {subwords:>9} {mean:>16}\n", "all"))?;
    }
    Ok(outcome)
}

/// The scores of a file of translations.
fn of_files(
    arguments: &Arguments,
    source: &Path,
    target: &Path,
    to: &str,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let (sources, targets) = (text_files::read(source)?, text_files::read(target)?);
    same_length(&sources, &targets)?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.place))?;
    let mut outcome = Outcome::Done;
    for (i, scored) in
        translator.score(&sources.lines, &targets.lines, arguments.from.as_deref(), to)?.into_iter().enumerate()
    {
        match scored {
            Ok(forced) => {
                let score = forced.sum / forced.tokens.len().max(1) as f32;
                if arguments.json {
                    let scored = Scored { line: i + 1, score, sum: forced.sum, tokens: &forced.tokens };
                    print_json_line(&scored)?;
                } else {
                    print(&format!("{score:.4}\n"))?;
                }
            }
            Err(fault) => {
                terminal.warn(&format!("{}, line {}: {fault}; its score is an empty line", source.display(), i + 1));
                print("\n")?;
                outcome = Outcome::SomeFailed;
            }
        }
    }
    Ok(outcome)
}
