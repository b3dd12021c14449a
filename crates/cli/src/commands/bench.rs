//! `strata bench`: the speed of this machine at Strata's work.

mod machine;
mod ranks;
mod shape;
mod text;
mod train_step;
mod training;
mod translate;

use clap::{Args, Subcommand};

use crate::Outcome;
use crate::terminal::Terminal;

/// Benchmark this machine, training and translation
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Machine(machine::Arguments),
    TrainStep(train_step::Arguments),
    Training(training::Arguments),
    Translate(translate::Arguments),
    Text(text::Arguments),
    Ranks(ranks::Arguments),
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &arguments.what {
        What::Machine(arguments) => machine::run(arguments, terminal),
        What::TrainStep(arguments) => train_step::run(arguments),
        What::Training(arguments) => training::run(arguments, terminal),
        What::Translate(arguments) => translate::run(arguments),
        What::Text(arguments) => text::run(arguments, terminal),
        What::Ranks(arguments) => ranks::run(arguments, terminal),
    }
}
