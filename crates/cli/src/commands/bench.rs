//! `strata bench`: the speed of this machine at Strata's work.

mod machine;
#[cfg(feature = "train")]
mod ranks;
mod shape;
mod text;
#[cfg(feature = "train")]
mod train_step;
#[cfg(feature = "train")]
mod training;
mod translate;

use clap::{Args, Subcommand};

use crate::Outcome;
#[cfg(not(feature = "train"))]
use crate::commands::{left_out, left_out as ranks, left_out as train_step, left_out as training};
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
        #[cfg(feature = "train")]
        What::TrainStep(arguments) => train_step::run(arguments),
        #[cfg(feature = "train")]
        What::Training(arguments) => training::run(arguments, terminal),
        #[cfg(feature = "train")]
        What::Ranks(arguments) => ranks::run(arguments, terminal),
        #[cfg(not(feature = "train"))]
        What::TrainStep(_) | What::Training(_) | What::Ranks(_) => Err(left_out::refused()),
        What::Translate(arguments) => translate::run(arguments),
        What::Text(arguments) => text::run(arguments, terminal),
    }
}
