//! `strata analyze`: the capacity and the experts that each direction, language and subword asks for.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use strata_study::{Analysis, AnalyzeOptions, RoutedModel};

use crate::terminal::{Terminal, labelled};
use crate::{Outcome, analysis_table, print, print_json};

#[derive(Debug, Args)]
#[command(
    after_help = "Routes the sentences of a prepared corpus with their references as translations. RC is requested \
                        capacity: the strata that a token visits in an expert block. Examples:\n  \
                        strata analyze runs/quickstart runs/quickstart-data/prepared\n  \
                        strata analyze runs/docs-smoe-4-4 data/docs-prepared --html capacity.html --max-sentences 200\n  \
                        strata analyze runs/docs-smoe-4-4 data/docs-prepared --directions en-de,de-en --json"
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint); a model with experts
    model: PathBuf,
    /// Prepared folder
    data: PathBuf,
    /// test or valid
    #[arg(long, default_value = "test")]
    split: String,
    /// Only these directions, comma-separated, such as en-de,de-en
    #[arg(long, value_delimiter = ',', value_name = "DIRECTIONS")]
    directions: Vec<String>,
    /// Sentences of each direction, the first ones; 0 for all
    #[arg(long, default_value_t = 0, value_name = "N")]
    max_sentences: usize,
    /// Subwords listed with the highest and the lowest RC, of each block and direction
    #[arg(long, default_value_t = 25, value_name = "N")]
    subwords: usize,
    /// List only subwords that occur this often in a direction's text
    #[arg(long, default_value_t = 5, value_name = "N")]
    min_count: u32,
    /// Write a report with plots: one file that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print everything as JSON, the lists of subwords as well
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let options = AnalyzeOptions {
        split: arguments.split.clone(),
        directions: arguments.directions.clone(),
        max_sentences: arguments.max_sentences,
        subwords: arguments.subwords,
        min_count: arguments.min_count,
        threads: rayon::current_num_threads(),
    };
    let model = RoutedModel::open(&arguments.model, options.threads)?;
    let analysis = analyze_shown(&model, &arguments.data, &options, terminal)?;
    if let Some(path) = &arguments.html {
        let page = strata_study::report::of_analysis(&analysis)?;
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.json {
        print_json(&analysis)?;
    } else {
        print(&analysis_table::render(&analysis, std::io::stdout().is_terminal()))?;
    }
    if let Some(path) = &arguments.html {
        terminal.say(&labelled("written", &path.display().to_string()));
    }
    Ok(Outcome::Done)
}

/// Analyses, telling how far it is.
fn analyze_shown(
    model: &RoutedModel,
    data: &std::path::Path,
    options: &AnalyzeOptions,
    terminal: &Terminal,
) -> anyhow::Result<Analysis> {
    terminal.progress(&labelled("routing", ""));
    let analysis = strata_study::analyze(model, data, options, &mut |progress| {
        terminal.progress(&labelled("routing", &format!("{} of {} directions", progress.done, progress.of)));
    })?;
    let left_out = match analysis.skipped {
        0 => String::new(),
        n => format!("; {n} left out: empty, or longer than the model takes"),
    };
    let (directions, sentences) = (analysis.directions.len(), analysis.sentences);
    terminal.say(&labelled("routing", &format!("{directions} directions, {sentences} sentences{left_out}")));
    Ok(analysis)
}
