//! The `strata` command: multilingual machine translation with Mixture-of-Experts Transformers.

mod allocator;
mod analysis_table;
mod analyze;
mod bench;
mod bench_text;
mod bench_training;
mod evaluate;
mod export;
mod fetch;
mod inspect;
mod prepare;
mod prune;
mod quickstart;
mod score;
mod score_table;
mod serve;
mod study;
mod study_table;
mod terminal;
mod train;
mod translate;
mod vocabulary;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::terminal::Terminal;

/// Multilingual machine translation with (Stratified) Mixture-of-Experts Transformers: bitext in; training; translation;
/// evaluation.
#[derive(Debug, Parser)]
#[command(
    name = "strata",
    version,
    arg_required_else_help = true,
    after_help = "A first run, on real text, in minutes:\n  strata quickstart\n\n\
                  Exit codes: 0 done, 1 some input lines failed, 2 could not run."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Common {
    /// CPU threads; all by default
    #[arg(long, global = true, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = threads)]
    threads: usize,
    /// Print results, warnings and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print more about what is done
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch, prepare, train, evaluate and translate on a real corpus, all in one go
    Quickstart(quickstart::Arguments),
    /// Get a parallel corpus
    Fetch(fetch::Arguments),
    /// Turn raw bitext into a prepared folder: cleaned, cut into subwords, ready to learn from
    Prepare(prepare::Arguments),
    /// Train a model as a recipe says, or go on with a run
    Train(train::Arguments),
    /// Translate lines of text
    Translate(translate::Arguments),
    /// Score a model on a prepared corpus, or a file of translations, as sacreBLEU does
    Evaluate(evaluate::Arguments),
    /// Print how probable a model finds given translations
    Score(score::Arguments),
    /// Write which subwords translations into each language may have, for faster translation
    Vocabulary(vocabulary::Arguments),
    /// Serve translations over HTTP: LibreTranslate's API, DeepL's for text, and a web page
    Serve(serve::Arguments),
    /// Write a model in another form: packed for fast loading, or for CTranslate2
    Export(export::Arguments),
    /// Train and compare the variants of a recipe
    Study(study::Arguments),
    /// Show the capacity and the experts that directions, languages and subwords ask for
    Analyze(analyze::Arguments),
    /// Drop the experts that some languages use least, and say what it costs them
    Prune(prune::Arguments),
    /// State the parameters and FLOPs of a recipe or a model
    Inspect(inspect::Arguments),
    /// Measure this machine
    Bench(bench::Arguments),
}

/// As many as a recipe may ask for; far more only bring the system to a halt.
const MOST_THREADS: usize = 4096;

fn threads(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= MOST_THREADS);
    count.ok_or_else(|| format!("choose 1 to {MOST_THREADS}, or 0 for all"))
}

/// What a command came to.
pub enum Outcome {
    /// All done.
    Done,
    /// Some input lines failed; they were named.
    SomeFailed,
}

fn main() -> ExitCode {
    allocator::keep_pages();
    let cli = Cli::parse();
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::SomeFailed) => ExitCode::from(1),
        // Whoever reads our output has had enough: no fault of anybody's.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // `eprintln!` would panic where nobody reads standard error any more.
            let _ = writeln!(std::io::stderr(), "error: {}", message(&error));
            ExitCode::from(2)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let Common { threads, quiet, verbose } = cli.common;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the threads")?;
    let terminal = Terminal::new(quiet, verbose);
    match cli.command {
        Command::Quickstart(arguments) => quickstart::run(&arguments, threads, &terminal),
        Command::Fetch(arguments) => fetch::run(&arguments, &terminal),
        Command::Prepare(arguments) => prepare::run(&arguments, &terminal),
        Command::Train(arguments) => train::run(&arguments, threads, &terminal),
        Command::Translate(arguments) => translate::run(&arguments, &terminal),
        Command::Evaluate(arguments) => evaluate::run(&arguments, &terminal),
        Command::Score(arguments) => score::run(&arguments, &terminal),
        Command::Vocabulary(arguments) => vocabulary::run(&arguments, &terminal),
        Command::Serve(arguments) => serve::run(&arguments, &terminal),
        Command::Export(arguments) => export::run(&arguments, &terminal),
        Command::Study(arguments) => study::run(&arguments, threads, &terminal),
        Command::Analyze(arguments) => analyze::run(&arguments, &terminal),
        Command::Prune(arguments) => prune::run(&arguments, &terminal),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments, &terminal),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_io = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
    };
    error.chain().any(of_io)
}

/// The error and its causes on one line, leaving out causes that the line already tells.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Writes to standard output; a closed pipe becomes an error that ends the program quietly, where `println!` would panic.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Writes a value as indented JSON to standard output.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        let mut command = super::Cli::command();
        command.build();
        command.clone().debug_assert();
        for command in command.get_subcommands().filter(|c| c.get_name() != "help") {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("strata "), "{} has no example", command.get_name());
        }
    }
}
