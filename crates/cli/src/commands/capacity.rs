//! `strata capacity`: a model that requests as much capacity as a user wants, with what it costs.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strata_recipe::Cost;
use strata_store::Check;
use strata_study::AnalyzeOptions;
use strata_study::budget::{Budget, find, write};

use crate::output::{print, print_json};
use crate::output_folder::OutputFolder;
use crate::terminal::{Terminal, labeled, short};
use crate::{Outcome, flags, model};

/// Set how many strata a token visits on average: speed against quality
#[derive(Debug, Args)]
#[command(
    after_help = "Finds offsets of the gates with which the validation sentences visit that many strata on average, and \
                  writes a model folder like any other. `strata evaluate MODEL DATA --baseline OTHER` says what it costs."
)]
pub struct Arguments {
    /// Model folder, checkpoint, or run (its best checkpoint); a Stratified MoE
    model: PathBuf,
    /// Prepared folder
    data: PathBuf,
    /// Strata that a token visits, the mean over tokens and blocks: 1 up to the number of strata
    #[arg(long, value_name = "STRATA")]
    capacity: f64,
    #[command(flatten)]
    output: OutputFolder,
    /// Only the first N validation sentences of each direction [default: all]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N", value_parser = crate::flags::count)]
    max_sentences: usize,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    budget: &'a Budget,
    flops_per_token_before: u64,
    flops_per_token_after: u64,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    arguments.output.check()?;
    let folder = model::open(&arguments.model, Check::Contents)?;
    let options = AnalyzeOptions {
        split: "valid".to_string(),
        max_sentences: arguments.max_sentences,
        threads: rayon::current_num_threads(),
        ..AnalyzeOptions::default()
    };
    let budget = find(&folder, &arguments.data, arguments.capacity, &options, &mut |progress| {
        terminal.progress(&labeled("routing", &format!("round {} of {}", progress.done, progress.of)));
    })
    .map_err(|error| match error {
        strata_study::Error::Config(error) if error.key == "capacity" => flags::of_config(&error),
        error => error.into(),
    })?;
    let written = write(&folder, &budget, &arguments.output.path, arguments.output.existing())?;
    let (encoder, decoder) = budget.config.expert_blocks();
    let flops = |capacity: f64| -> anyhow::Result<u64> {
        let cost = Cost::of(&budget.config, Some(&vec![capacity; encoder + decoder]))?;
        Ok(cost.flops_per_token_measured.unwrap_or(cost.flops_per_token))
    };
    let report = Report {
        budget: &budget,
        flops_per_token_before: flops(budget.before)?,
        flops_per_token_after: flops(budget.after)?,
    };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&format!(
            "requested capacity {:.3} -> {:.3} ({} asked for), {} -> {} per token\n",
            budget.before,
            budget.after,
            budget.wanted,
            short(report.flops_per_token_before as f64, "FLOP"),
            short(report.flops_per_token_after as f64, "FLOP")
        ))?;
    }
    terminal.say(&labeled("written", &written.display().to_string()));
    Ok(Outcome::Done)
}
