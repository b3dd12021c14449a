//! `strata prune`: a smaller model for some languages, with what it cost them.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strata_ranks::Ranks;
use strata_store::Check;
use strata_study::RoutedModel;
use strata_study::prune::{PruneOptions, PrunePlan, plan, write};
use strata_translate::evaluate::{EvaluateOptions, Evaluation, read_texts};
use strata_translate::scores::{Metrics, tokenizer};
use strata_translate::{Placement, Translator};

use crate::commands::evaluate::evaluate_shown;
use crate::output::{print, print_json};
use crate::output_folder::OutputFolder;
use crate::search_args::SearchArgs;
use crate::terminal::{Terminal, labeled, short};
use crate::{Outcome, flags, model};

/// Drop the experts that some languages use least, and measure what that costs
#[derive(Debug, Args)]
#[command(
    after_help = "Drops the experts with the least gate mass on the validation split of the languages, writes a model \
                  folder like any other, and scores both models on the test split."
)]
pub struct Arguments {
    /// Model folder, checkpoint, or run (its best checkpoint); a model with experts
    model: PathBuf,
    /// Prepared folder
    data: PathBuf,
    /// Languages to keep the model for, comma-separated, by any of their codes
    #[arg(long, value_delimiter = ',', required = true, value_name = "LANGS")]
    languages: Vec<String>,
    /// Language that they are translated from and into, besides each other [default: English, if the model has it]
    #[arg(long, value_name = "LANG")]
    pivot: Option<String>,
    /// Share of each block's experts to keep, above 0 up to 1; every stratum keeps at least one. Two shares for encoder
    /// and decoder, as in 0.6,0.2 (kinds moe and switch)
    #[arg(long, value_delimiter = ',', required = true, value_name = "SHARE")]
    keep: Vec<f64>,
    #[command(flatten)]
    output: OutputFolder,
    /// Route only the first N validation sentences of each direction [default: all]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    max_sentences: usize,
    /// Score only the first N test sentences of each direction [default: all]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    max_test_sentences: usize,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    search: SearchArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    plan: &'a PrunePlan,
    /// Share of the gate mass that stays, the mean over blocks.
    mass_kept: f64,
    before: &'a Evaluation,
    after: &'a Evaluation,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    arguments.output.check()?;
    let mut scoring = EvaluateOptions {
        split: "test".to_string(),
        directions: Vec::new(),
        limit: arguments.max_test_sentences,
        translate: arguments.search.options()?,
        keep: None,
    };
    read_texts(&arguments.data, &scoring.split, &scoring.directions, scoring.limit)?;
    let folder = model::open(&arguments.model, Check::Contents)?;
    let options = PruneOptions {
        languages: arguments.languages.clone(),
        pivot: arguments.pivot.clone(),
        keep: shares(&arguments.keep)?,
        split: "valid".to_string(),
        max_sentences: arguments.max_sentences,
        threads: rayon::current_num_threads(),
    };
    let placement = Placement::from(&arguments.search.place);
    if !placement.is_cpu() {
        // Opened and let go of: that there is no such device must not be found after the routing.
        Translator::open(folder.path(), &placement)?;
    }
    terminal.progress(&labeled("routing", ""));
    let routed = RoutedModel::open(folder.path(), options.threads)?;
    let plan = plan(&routed, &arguments.data, &options, &mut |progress| {
        terminal.progress(&labeled("routing", &format!("{} of {} directions", progress.done, progress.of)));
    })
    .map_err(|error| match error {
        strata_study::Error::Config(error) if error.key == "keep" => flags::of_config(&error),
        error => error.into(),
    })?;
    drop(routed);
    if !plan.without_text.is_empty() {
        let without = plan.without_text.join(", ");
        terminal.say(&labeled("left out", &format!("without text in {}: {without}", arguments.data.display())));
    }
    scoring.directions.clone_from(&plan.directions);
    let metrics = Metrics::new(tokenizer("13a")?)?;
    let evaluated = |model: &std::path::Path| -> anyhow::Result<Evaluation> {
        let translator = Translator::open(model, &placement)?;
        evaluate_shown(&translator, &arguments.data, &scoring, &metrics, &Ranks::single(), terminal)
    };
    // The model comes first: what cannot be scored is not written.
    let before = evaluated(folder.path())?;
    let written = write(&folder, &plan, &arguments.output.path, arguments.output.existing())?;
    let after = evaluated(&written)?;
    let report = Report { plan: &plan, mass_kept: plan.mass_kept(), before: &before, after: &after };
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&table(&report))?;
    }
    terminal.say(&labeled("written", &written.display().to_string()));
    Ok(Outcome::Done)
}

/// The shares of encoder and decoder.
fn shares(keep: &[f64]) -> anyhow::Result<[f64; 2]> {
    match *keep {
        [both] => Ok([both; 2]),
        [encoder, decoder] => Ok([encoder, decoder]),
        _ => anyhow::bail!("--keep takes one share, or two for encoder and decoder, as in 0.6,0.2"),
    }
}

fn table(report: &Report) -> String {
    let Report { plan, mass_kept, before, after } = report;
    let mut text = format!(
        "{}: strata {:?} -> {:?}, parameters {} -> {}; {:.1} % of the gate mass stays\n",
        plan.config.name(),
        plan.strata_before,
        plan.strata_after,
        short(plan.parameters_before as f64, ""),
        short(plan.parameters_after as f64, ""),
        100.0 * mass_kept
    );
    for block in &plan.blocks {
        let name = format!("{} layer {}", block.side, block.layer);
        text += &format!("{name:<18} keeps experts {:?}\n", block.kept);
    }
    text += &format!("\n{:<24} {:>16} {:>16} {:>8}\n", "BLEU / chrF2", "before", "after", "BLEU");
    let mut row = |name: String, old: (f64, f64), new: (f64, f64)| {
        let scores = |(bleu, chrf2): (f64, f64)| format!("{bleu:.2} / {chrf2:.1}");
        text += &format!("{name:<24} {:>16} {:>16} {:>+8.2}\n", scores(old), scores(new), new.0 - old.0);
    };
    for (old, new) in before.directions.iter().zip(&after.directions) {
        let of = |d: &strata_translate::evaluate::DirectionScore| (d.scores.bleu, d.scores.chrf2);
        row(old.of.direction.clone(), of(old), of(new));
    }
    for (old, new) in before.averages.iter().zip(&after.averages) {
        let of = |a: &strata_translate::evaluate::Average| (a.scores.bleu, a.scores.chrf2);
        row(format!("{} ({})", old.name, old.directions), of(old), of(new));
    }
    text
}
