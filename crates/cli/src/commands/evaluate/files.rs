//! `strata evaluate --references FILE...`: scores of translations in a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use serde::Serialize;
use strata_metrics::significance::{BootstrapOptions, Confidence, confidence};
use strata_metrics::{Metric, Statistics};
use strata_translate::compare::{Comparison, compare};
use strata_translate::scores::Metrics;

use super::figures::{ByKey, Chosen, Name};
use crate::Outcome;
use crate::output::{print, print_json};
use crate::terminal::{Terminal, labeled};
use crate::text_files::{self, Text, same_length};

/// The flags of `evaluate` that files do not have.
const OF_A_MODEL: [&str; 26] = [
    "model",
    "directions",
    "split",
    "max_sentences",
    "baseline",
    "output",
    "beam",
    "length_penalty",
    "max_ratio",
    "max_extra",
    "max_length",
    "min_length",
    "no_repeat_ngram",
    "coverage_penalty",
    "vocabulary_map",
    "whole_vocabulary",
    "tokens_per_batch",
    "sample",
    "temperature",
    "top_k",
    "top_p",
    "seed",
    "device",
    "precision",
    "workers",
    "no_verify",
];

/// Files instead of a model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scoring files instead of a model")]
pub struct OfFiles {
    /// Score the lines of this file; -, or no such flag: of standard input
    #[arg(long, value_name = "FILE", requires = "references", conflicts_with_all = OF_A_MODEL)]
    pub hypotheses: Option<PathBuf>,
    /// The references, line by line: several files are several references of each line
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = OF_A_MODEL)]
    pub references: Vec<PathBuf>,
    // Clap drops a requirement that conflicts with what is given, so these name the model too.
    /// Compare with another system's translations of the same lines, and test the difference for significance
    #[arg(long, value_name = "FILE", requires = "references", conflicts_with = "model")]
    baseline_hypotheses: Option<PathBuf>,
    /// Metrics, comma-separated [default: all; bleu with --sentence-level]
    #[arg(long, value_enum, value_name = "NAMES", value_delimiter = ',', num_args = 1..,
        requires = "references", conflicts_with = "model")]
    metrics: Vec<Name>,
    /// Print a score for each line instead; of several --metrics, with tabs between them
    #[arg(long, requires = "references", conflicts_with_all = ["model", "baseline_hypotheses"])]
    pub sentence_level: bool,
    /// Add 95 % confidence intervals, by bootstrap resampling
    #[arg(long, requires = "references", conflicts_with_all = ["model", "sentence_level"])]
    confidence: bool,
    /// Resamples of --confidence
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "confidence",
        value_parser = clap::value_parser!(u32).range(2..))]
    confidence_n: u32,
}

impl OfFiles {
    /// The metrics asked for.
    fn names(&self) -> &[Name] {
        match (self.metrics.is_empty(), self.sentence_level) {
            (false, _) => &self.metrics,
            (true, true) => &[Name::Bleu],
            (true, false) => Name::value_variants(),
        }
    }

    /// How to resample for confidence intervals, where they were asked for.
    fn bootstrap(&self) -> Option<BootstrapOptions> {
        let resamples = self.confidence_n as usize;
        self.confidence.then(|| BootstrapOptions { resamples, ..BootstrapOptions::default() })
    }
}

/// The scores of a file.
#[derive(Serialize)]
struct FileScores {
    sentences: usize,
    /// References of each line.
    references: usize,
    #[serde(flatten)]
    figures: ByKey,
    signatures: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    confidence: BTreeMap<&'static str, Interval>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comparison: Vec<Comparison>,
}

/// A 95 % confidence interval: mean of the resamples' scores, plus and minus half its width.
#[derive(Serialize)]
struct Interval {
    mean: f64,
    half_width: f64,
}

/// The scores of a line, an object of `--json`.
#[derive(Serialize)]
struct SentenceScores {
    line: usize,
    #[serde(flatten)]
    figures: ByKey,
}

/// Hypotheses, and references that have as many lines.
struct Texts {
    hypotheses: Text,
    references: Vec<Text>,
    baseline: Option<Text>,
}

impl Texts {
    /// # Errors
    /// Files that cannot be read, have no lines or do not match line by line; standard input for two of them.
    fn read(arguments: &OfFiles) -> anyhow::Result<Self> {
        let hypotheses = arguments.hypotheses.as_deref().unwrap_or(Path::new("-"));
        let (references, baseline) = (&arguments.references, &arguments.baseline_hypotheses);
        let all = std::iter::once(hypotheses).chain(references.iter().chain(baseline).map(PathBuf::as_path));
        ensure!(
            all.filter(|path| *path == Path::new("-")).count() < 2,
            "standard input can be read once only; name a file for the hypotheses, the references or the baseline"
        );
        let hypotheses = text_files::read(hypotheses)?;
        let references: Vec<Text> = references.iter().map(|path| text_files::read(path)).collect::<Result<_, _>>()?;
        for stream in &references {
            same_length(&hypotheses, stream)?;
        }
        ensure!(!hypotheses.lines.is_empty(), "there are no hypotheses: {} is empty", hypotheses.path.display());
        let baseline = baseline.as_deref().map(text_files::read).transpose()?;
        if let Some(baseline) = &baseline {
            same_length(baseline, &references[0])?;
        }
        Ok(Self { hypotheses, references, baseline })
    }

    /// The number of hypotheses that end in a full stop apart, where they are so many (sacreBLEU's 100) that this is no
    /// accident.
    fn tokenized(&self) -> Option<usize> {
        let count = self.hypotheses.lines.iter().filter(|line| line.trim_end().ends_with(" .")).count();
        (count >= 100).then_some(count)
    }

    /// `[stream][line]`
    fn references(&self) -> Vec<&[String]> {
        self.references.iter().map(|stream| stream.lines.as_slice()).collect()
    }
}

/// Scores files, and prints what it finds.
pub fn run(arguments: &OfFiles, metrics: &Metrics, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let texts = Texts::read(arguments)?;
    let chosen = Chosen::of(arguments.names(), metrics, texts.references.len())?;
    if let (Some(tokenized), Some(Chosen::Bleu(_))) = (texts.tokenized(), chosen.first()) {
        let path = texts.hypotheses.path.display();
        terminal.warn(&format!(
            "{path}: {tokenized} lines end in ` .`; BLEU is comparable only of text without tokenization"
        ));
    }
    if arguments.sentence_level {
        of_sentences(&texts, &chosen, json, terminal)?;
    } else {
        of_corpus(&texts, &chosen, arguments.bootstrap(), json)?;
    }
    Ok(Outcome::Done)
}

fn of_corpus(texts: &Texts, chosen: &[Chosen], bootstrap: Option<BootstrapOptions>, json: bool) -> anyhow::Result<()> {
    let (hypotheses, references) = (&texts.hypotheses.lines, texts.references());
    let comparison = match &texts.baseline {
        Some(baseline) => {
            let tested: Vec<&dyn Metric> = chosen.iter().map(Chosen::metric).collect();
            compare(&tested, &baseline.lines, hypotheses, &references)?
        }
        None => Vec::new(),
    };
    let (mut scored, mut lines) = (Vec::new(), Vec::new());
    let (mut signatures, mut intervals) = (BTreeMap::new(), BTreeMap::new());
    for chosen in chosen {
        let statistics = Statistics::collect(chosen.metric(), hypotheses, &references)?;
        let figures = chosen.figures(&statistics.totals());
        let mut signature = chosen.metric().signature(references.len());
        let mut interval = None;
        if let Some(options) = bootstrap {
            signature = signature.with_bootstrap(options.resamples, options.seed);
            let found @ Confidence { mean, half_width } = confidence(chosen.metric(), &statistics, options)?;
            intervals.insert(chosen.key(), Interval { mean, half_width });
            interval = Some(found);
        }
        lines.push(figures.line(&signature, interval));
        signatures.insert(chosen.key(), signature.to_string());
        scored.push((chosen.key(), figures));
    }
    if json {
        let (sentences, references) = (hypotheses.len(), references.len());
        let (figures, confidence) = (ByKey(scored), intervals);
        return print_json(&FileScores { sentences, references, figures, signatures, confidence, comparison });
    }
    print(&aligned(&lines))?;
    print(&comparison.iter().map(|c| super::compared("", c)).collect::<String>())
}

fn of_sentences(texts: &Texts, chosen: &[Chosen], json: bool, terminal: &Terminal) -> anyhow::Result<()> {
    let (hypotheses, references) = (&texts.hypotheses.lines, texts.references());
    let mut statistics = Vec::new();
    for metric in chosen.iter().map(Chosen::metric) {
        terminal.say(&labeled("signature", &format!("{}|{}", metric.name(), metric.signature(references.len()))));
        statistics.push(Statistics::collect(metric, hypotheses, &references)?);
    }
    let mut rows: Vec<_> = statistics.iter().map(Statistics::rows).collect();
    let mut text = String::new();
    for line in 1..=hypotheses.len() {
        let counts = rows.iter_mut().filter_map(Iterator::next);
        let figures: Vec<_> = chosen.iter().zip(counts).map(|(c, counts)| (c.key(), c.figures(counts))).collect();
        if json {
            text += &serde_json::to_string(&SentenceScores { line, figures: ByKey(figures) })?;
        } else {
            text += &figures.iter().map(|(_, f)| format!("{:.2}", f.score())).collect::<Vec<_>>().join("\t");
        }
        text.push('\n');
    }
    print(&text)
}

/// Lines of `NAME|SIGNATURE = SCORE`, with the signs of equality below one another, as sacreBLEU prints them.
fn aligned(lines: &[String]) -> String {
    let names = |line: &String| line.find(" = ").unwrap_or(0);
    let width = lines.iter().map(names).max().unwrap_or(0);
    lines.iter().map(|line| format!("{:>1$}{line}\n", "", width - names(line))).collect()
}
