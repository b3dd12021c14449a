//! `strata evaluate`: scores of a model on a prepared corpus, or of a file of translations.

mod figures;
mod files;

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use strata_metrics::{BleuOptions, Metric};
use strata_ranks::Ranks;
use strata_translate::compare::{Comparison, compare};
use strata_translate::evaluate::{EvaluateOptions, Evaluation, Hypotheses, Text, evaluate_by, hypotheses, texts_for};
use strata_translate::scores::{Metrics, tokenizer};
use strata_translate::{Placement, Translator};

use self::files::OfFiles;
use crate::output::{print, print_json};
use crate::ranks::sharing_lines;
use crate::search_args::SearchArgs;
use crate::selection::Selection;
use crate::shared_lines::in_parts;
use crate::terminal::{Terminal, duration, labeled};
use crate::{Outcome, tables};

/// Score a model on a prepared corpus, or a file of translations
#[derive(Debug, Args)]
#[command(after_help = "Scores equal sacreBLEU's.")]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    #[arg(required_unless_present_any = ["hypotheses", "references"], requires = "data")]
    model: Option<PathBuf>,
    /// Prepared folder
    data: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// Compare with another model, and test the difference for significance
    #[arg(long, value_name = "MODEL", requires = "model")]
    baseline: Option<PathBuf>,
    /// 13a, intl, zh, char, none; flores101, flores200 or spBLEU-1K, with :FILE where sacreBLEU does not keep its
    /// model; spm:FILE for another SentencePiece model
    #[arg(long, default_value = "13a", value_name = "NAME")]
    bleu_tokenizer: String,
    /// Ignore case in BLEU (TER always does)
    #[arg(long)]
    lowercase: bool,
    /// Ignore case in chrF2 and chrF2++
    #[arg(long)]
    chrf_lowercase: bool,
    /// Folder for sources, hypotheses, references and scores.json
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    of_files: OfFiles,
    #[command(flatten)]
    search: SearchArgs,
}

/// The scores of a model.
#[derive(Serialize)]
struct ModelScores<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<&'a Evaluation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comparisons: Vec<DirectionComparison>,
}

#[derive(Serialize)]
struct DirectionComparison {
    direction: String,
    #[serde(flatten)]
    comparison: Comparison,
}

pub fn run(arguments: &Arguments, threads: usize, terminal: &Terminal) -> anyhow::Result<Outcome> {
    sharing_lines(threads, terminal, |ranks, terminal| evaluated(arguments, ranks, terminal))
}

fn evaluated(arguments: &Arguments, ranks: &Ranks, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let bleu = BleuOptions {
        tokenizer: tokenizer(&arguments.bleu_tokenizer)?,
        lowercase: arguments.lowercase,
        // Else a sentence of fewer than four tokens would score 0.
        effective_order: arguments.of_files.sentence_level,
        ..BleuOptions::default()
    };
    let metrics = Metrics::cased(bleu, arguments.chrf_lowercase)?;
    match (&arguments.model, &arguments.data) {
        (Some(model), Some(data)) => of_model(model, data, &metrics, arguments, ranks, terminal),
        // One rank reads and computes; the others have nothing to do.
        (None, None) if !ranks.is_first() => Ok(Outcome::Done),
        (None, None) if !arguments.of_files.references.is_empty() => {
            files::run(&arguments.of_files, &metrics, arguments.json, terminal)
        }
        _ => anyhow::bail!("name a model and a prepared folder, or --hypotheses and --references"),
    }
}

fn of_model(
    model: &Path,
    data: &Path,
    metrics: &Metrics,
    arguments: &Arguments,
    ranks: &Ranks,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let options = EvaluateOptions {
        split: arguments.selection.split.clone(),
        directions: arguments.selection.directions.clone(),
        limit: arguments.selection.max_sentences,
        translate: arguments.search.options()?,
        keep: arguments.output.clone(),
    };
    let placement = Placement::from(&arguments.search.place);
    if let Some(baseline) = &arguments.baseline {
        // Opened and let go of: a fault of the baseline must not come after all work on the model, and two models may
        // not fit into memory together.
        texts_for(&Translator::open(baseline, &placement)?, data, &options)?;
    }
    if !ranks.is_first() {
        for model in std::iter::once(model).chain(arguments.baseline.as_deref()) {
            let translator = Translator::open(model, &placement)?;
            texts_for(&translator, data, &options)?
                .iter()
                .try_for_each(|text| shared_hypotheses(&translator, text, &options, ranks).map(drop))?;
        }
        return Ok(Outcome::Done);
    }
    let evaluation = evaluate_shown(&Translator::open(model, &placement)?, data, &options, metrics, ranks, terminal)?;
    let mut comparisons = Vec::new();
    let baseline = match &arguments.baseline {
        Some(path) => {
            terminal.say(&labeled("baseline", &path.display().to_string()));
            let options = EvaluateOptions { keep: None, ..options };
            let translator = Translator::open(path, &placement)?;
            let baseline = evaluate_shown(&translator, data, &options, metrics, ranks, terminal)?;
            for ((text, system), (_, base)) in evaluation.texts.iter().zip(&baseline.texts) {
                let tested: [&dyn Metric; 2] = [metrics.bleu(), metrics.chrf2()];
                let found = compare(&tested, base, system, &[text.references.as_slice()])?;
                let of = |comparison| DirectionComparison { direction: text.direction.name(), comparison };
                comparisons.extend(found.into_iter().map(of));
            }
            Some(baseline)
        }
        None => None,
    };
    let found = ModelScores { evaluation: &evaluation, baseline: baseline.as_ref(), comparisons };
    if let Some(folder) = &arguments.output {
        let path = folder.join("scores.json");
        let json = serde_json::to_string_pretty(&found)? + "\n";
        strata_files::write_output(path, json.as_bytes())?;
    }
    if arguments.json {
        print_json(&found)?;
    } else {
        print(&tables::scores::render(&evaluation))?;
        if let Some(baseline) = &baseline {
            print(&format!("\nbaseline\n{}", tables::scores::render(baseline)))?;
        }
        if !found.comparisons.is_empty() {
            print(
                "\ndifferences (95 % interval of the system; p by paired bootstrap and approximate randomization)\n",
            )?;
            print(&found.comparisons.iter().map(|c| compared(&c.direction, &c.comparison)).collect::<String>())?;
        }
    }
    if let Some(folder) = &arguments.output {
        terminal.say(&format!("written: {}", folder.display()));
    }
    let mut scored = [Some(&evaluation), baseline.as_ref()].into_iter().flatten().flat_map(|found| &found.directions);
    Ok(if scored.all(|score| score.not_finite.is_empty()) { Outcome::Done } else { Outcome::SomeFailed })
}

/// The hypotheses of a direction, of which each rank finds a part: all of them on rank 0, none on the others.
fn shared_hypotheses(
    translator: &Translator,
    text: &Text,
    options: &EvaluateOptions,
    ranks: &Ranks,
) -> anyhow::Result<Hypotheses> {
    let parts = in_parts(ranks, &text.sources, |mine| {
        Ok(hypotheses(translator, &text.sources[mine], &text.direction, &options.translate)?)
    })?;
    Ok(parts.concat())
}

/// Evaluates with progress on the terminal, on rank 0 of `ranks`, which share the sentences out.
pub fn evaluate_shown(
    translator: &Translator,
    data: &Path,
    options: &EvaluateOptions,
    metrics: &Metrics,
    ranks: &Ranks,
    terminal: &Terminal,
) -> anyhow::Result<Evaluation> {
    terminal.progress(&labeled("evaluating", ""));
    let mut seconds = 0.0;
    let texts = texts_for(translator, data, options)?;
    let mut translate = |text: &Text| shared_hypotheses(translator, text, options, ranks);
    let evaluation = evaluate_by(&mut translate, texts, options, metrics, &mut |progress| {
        let score = progress.score;
        seconds += score.seconds;
        terminal.progress(&labeled("evaluating", &format!("{} of {} directions", progress.done, progress.of)));
        let what = format!("{} {} sentences in {}", score.of.direction, score.of.sentences, duration(score.seconds));
        terminal.detail(&labeled("evaluating", &what));
        if let Some(first) = score.not_finite.first() {
            let (lines, direction) = (score.not_finite.len(), &score.of.direction);
            terminal.warn(&format!(
                "{direction}: {lines} of {} lines have no translation, line {first} first: the model's scores are no \
                 finite numbers; use another precision or model",
                score.of.sentences
            ));
        }
    })?;
    let sentences: usize = evaluation.directions.iter().map(|d| d.of.sentences).sum();
    let what = format!("{} directions, {sentences} sentences in {}", evaluation.directions.len(), duration(seconds));
    terminal.say(&labeled("evaluating", &what));
    Ok(evaluation)
}

fn compared(direction: &str, c: &Comparison) -> String {
    let Comparison { metric, baseline, system, half_width, p_bootstrap, p_randomization } = c;
    let scores = format!("{direction:<10} {metric:<6} {baseline:6.2} -> {system:6.2} (+/- {half_width:.2})");
    // The tests, as sacreBLEU defines them, call even two equal systems different where no resample differs.
    if system == baseline {
        return format!("{scores}  no difference\n");
    }
    format!("{scores}  {:+.2}  p = {p_bootstrap:.4} / {p_randomization:.4}\n", system - baseline)
}
