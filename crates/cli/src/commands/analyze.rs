//! `strata analyze`: the capacity and the experts that each direction, language and subword asks for.

use std::path::PathBuf;

use clap::Args;
use strata_study::{Analysis, AnalyzeOptions, RoutedModel};

use crate::output::{print, print_json};
use crate::selection::Selection;
use crate::terminal::{Terminal, labeled};
use crate::{Outcome, tables};

/// Show the capacity and the experts that directions, languages and subwords request
#[derive(Debug, Args)]
#[command(
    after_help = "Routes the held-out sentences of a prepared corpus with their references as translations. Requested \
                  capacity (RC) is the number of strata that a token visits in an expert block."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint); a model with experts
    model: PathBuf,
    /// Prepared folder
    data: PathBuf,
    #[command(flatten)]
    selection: Selection,
    /// List this many subwords with the highest and the lowest RC, for each block and direction
    #[arg(long, default_value_t = 25, value_name = "N")]
    subwords: usize,
    /// List only subwords that occur this often in a direction's text
    #[arg(long, default_value_t = 5, value_name = "N")]
    min_count: u32,
    /// Write a report with plots, a page that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print all figures as JSON, with the whole lists of subwords
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let options = AnalyzeOptions {
        split: arguments.selection.split.clone(),
        directions: arguments.selection.directions.clone(),
        max_sentences: arguments.selection.max_sentences,
        subwords: arguments.subwords,
        min_count: arguments.min_count,
        threads: rayon::current_num_threads(),
    };
    let model = RoutedModel::open(&arguments.model, options.threads)?;
    let analysis = analyze_shown(&model, &arguments.data, &options, terminal)?;
    if let Some(path) = &arguments.html {
        let page = strata_study::report::of_analysis(&analysis)?;
        strata_files::write_output(path, page.as_bytes())?;
    }
    if arguments.json {
        print_json(&analysis)?;
    } else {
        print(&tables::analysis::render(&analysis, terminal.colors()))?;
    }
    if let Some(path) = &arguments.html {
        terminal.say(&labeled("written", &path.display().to_string()));
    }
    Ok(Outcome::Done)
}

/// Analyzes with progress on the terminal.
fn analyze_shown(
    model: &RoutedModel,
    data: &std::path::Path,
    options: &AnalyzeOptions,
    terminal: &Terminal,
) -> anyhow::Result<Analysis> {
    terminal.progress(&labeled("routing", ""));
    let analysis = strata_study::analyze(model, data, options, &mut |progress| {
        terminal.progress(&labeled("routing", &format!("{} of {} directions", progress.done, progress.of)));
    })?;
    let left_out = match analysis.skipped {
        0 => String::new(),
        n => format!("; {n} left out: empty, or longer than the model allows"),
    };
    let (directions, sentences) = (analysis.directions.len(), analysis.sentences);
    terminal.say(&labeled("routing", &format!("{directions} directions, {sentences} sentences{left_out}")));
    Ok(analysis)
}
