//! The `strata` command: multilingual machine translation with Mixture-of-Experts Transformers.

// What only training uses of the modules that all commands share.
#![cfg_attr(not(feature = "train"), allow(dead_code))]

mod allocator;
mod color;
mod command_line;
mod commands;
mod examples;
mod flags;
#[cfg(all(test, feature = "train"))]
mod kept_flags;
mod memory;
mod model;
mod output;
mod output_folder;
mod overrides;
mod processor;
mod ranks;
mod remedy;
#[cfg(feature = "train")]
mod scorer;
mod search_args;
mod selection;
mod shared_lines;
mod stop;
mod tables;
mod terminal;
mod text_files;
mod ticking;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;

use crate::command_line::{Cli, Command, Global};
use crate::commands::{
    analyze, bench, capacity, doctor, evaluate, export, fetch, generate, import, inspect, prepare, prune, quickstart,
    score, serve, study, train, translate, vocabulary,
};
use crate::terminal::Terminal;

/// How a command ended that could run.
pub enum Outcome {
    /// All done.
    Done,
    /// Some of the input failed, and was named.
    SomeFailed,
    /// A signal of this number asked to stop, and the work was saved.
    Stopped(i32),
}

fn main() -> ExitCode {
    allocator::keep_pages();
    let cli = command_line::parse();
    let color = cli.global.color;
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(1),
        Ok(Outcome::Stopped(signal)) => stop::exit_code(signal),
        // Whoever reads our output has had enough: nobody's fault.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // `eprintln!` would panic if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{} {}", color.error(), message(&error));
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    // A wrong STRATA_ISA is an error here; libraries would use the best level instead.
    strata_simd::Level::chosen()?;
    let Global { threads, color, quiet, verbose } = cli.global;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the threads")?;
    let terminal = Terminal::new(quiet, verbose, color);
    match &cli.command {
        // They listen for signals themselves.
        Command::Train(_) | Command::Study(_) | Command::Serve(_) => {}
        // It does so once it trains.
        Command::Quickstart(_) => drop(stop::Stop::listen()?),
        _ => stop::clear_away_on_signals(),
    }
    match cli.command {
        Command::Quickstart(arguments) => quickstart::run(&arguments, threads, &terminal),
        Command::Fetch(arguments) => fetch::run(&arguments, &terminal),
        Command::Prepare(arguments) => prepare::run(&arguments, &terminal),
        Command::Train(arguments) => train::run(&arguments, threads, &terminal),
        Command::Translate(arguments) => translate::run(&arguments, threads, &terminal),
        Command::Evaluate(arguments) => evaluate::run(&arguments, threads, &terminal),
        Command::Score(arguments) => score::run(&arguments, threads, &terminal),
        Command::Vocabulary(arguments) => vocabulary::run(&arguments, &terminal),
        Command::Serve(arguments) => serve::run(&arguments, &terminal),
        Command::Export(arguments) => export::run(&arguments, &terminal),
        Command::Import(arguments) => import::run(&arguments, &terminal),
        Command::Study(arguments) => study::run(&arguments, threads, &terminal),
        Command::Analyze(arguments) => analyze::run(&arguments, &terminal),
        Command::Prune(arguments) => prune::run(&arguments, &terminal),
        Command::Capacity(arguments) => capacity::run(&arguments, &terminal),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments, &terminal),
        Command::Bench(arguments) => bench::run(&arguments, &terminal),
        Command::Generate(arguments) => generate::run(&arguments, &terminal),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_io = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(of_io)
}

/// The error and its causes on one line; then the flags that help.
fn message(error: &anyhow::Error) -> String {
    strata_files::with_causes(error.as_ref()) + &remedy::flags(error).unwrap_or_default()
}
