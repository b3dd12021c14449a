//! The command line: its commands and global options. The parser, the help, the man pages and the completions all come
//! from [`command`].

use std::ffi::OsString;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use strata_ranks::Launch;

use crate::color::Color;
use crate::commands::{
    analyze, bench, capacity, doctor, evaluate, export, fetch, generate, import, inspect, prepare, prune, quickstart,
    score, serve, study, train, translate, vocabulary,
};
use crate::examples;
use crate::ranks::wait_turn;

// One vocabulary for all commands: inputs are positional (a model, then a prepared folder, then text), results go to
// `--output` or standard output, and a flag means the same wherever it occurs.

/// Multilingual machine translation with (Stratified) Mixture-of-Experts Transformers
#[derive(Debug, Parser)]
#[command(name = "strata", version, arg_required_else_help = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// CPU threads [default: all]
    #[arg(long, global = true, value_name = "N", default_value_t = 0, hide_default_value = true,
        value_parser = threads)]
    pub threads: usize,
    /// When to color output
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more about what is being done
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    Quickstart(quickstart::Arguments),
    Fetch(fetch::Arguments),
    Prepare(prepare::Arguments),
    Train(train::Arguments),
    Translate(translate::Arguments),
    Evaluate(evaluate::Arguments),
    Score(score::Arguments),
    Vocabulary(vocabulary::Arguments),
    Serve(serve::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Study(study::Arguments),
    Analyze(analyze::Arguments),
    Prune(prune::Arguments),
    Capacity(capacity::Arguments),
    Inspect(inspect::Arguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
    #[command(hide = true)]
    Generate(generate::Arguments),
}

/// The parser, with examples in every help.
pub fn command() -> clap::Command {
    taking_negative_numbers(examples::attach(Cli::command(), ""))
}

/// Flags take `-1` for their value, so that the error of one out of range names the range.
fn taking_negative_numbers(mut command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_string()).collect();
    for name in names {
        command = command.mut_subcommand(name, taking_negative_numbers);
    }
    command.mut_args(|argument| {
        let takes = argument.get_long().is_some() && argument.get_action().takes_values();
        argument.allow_negative_numbers(takes)
    })
}

/// Parses this program's arguments; ends the program with code 2 and a message where they are wrong.
pub fn parse() -> Cli {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    // Clap's `help` takes `--help` for a command.
    if arguments.get(1).is_some_and(|word| word == "help") {
        arguments.retain(|word| word != "--help" && word != "-h");
    }
    let mut command = command().color(color_of_help(&arguments));
    let parsed = command.clone().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command)));
    parsed.unwrap_or_else(|error| {
        if let Some(launch) = Launch::of_environment() {
            wait_turn(launch.rank);
        }
        error.exit()
    })
}

/// What `--color` says, which clap must know for help and errors before it has read the arguments.
fn color_of_help(arguments: &[OsString]) -> ColorChoice {
    let values = arguments.iter().zip(arguments.iter().skip(1).map(Some).chain([None]));
    let said = values.filter_map(|(word, next)| match word.to_str()? {
        "--color" => next?.to_str(),
        word => word.strip_prefix("--color="),
    });
    match said.last() {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// More threads than any recipe may ask for would only bring the system to a halt.
const MOST_THREADS: usize = 4096;

fn threads(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= MOST_THREADS);
    count.ok_or_else(|| format!("choose 1 to {MOST_THREADS}, or 0 for all"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Flags that mean something else in one command, with the reason.
    const EXCEPTIONS: [(&str, &str); 4] = [
        ("train", "from"),                // the checkpoint to resume from; elsewhere the language of the source
        ("fetch synthetic", "languages"), // invented languages have no names to list, so this is their number
        ("fetch dictionaries", "languages"),
        ("serve", "max-sentences"), // a limit of one request
    ];

    fn walk(command: &clap::Command, path: &str, take: &mut dyn FnMut(&str, &clap::Command)) {
        take(path, command);
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            walk(sub, format!("{path} {}", sub.get_name()).trim_start(), take);
        }
    }

    #[test]
    fn clap_finds_no_fault_in_the_parser() {
        command().debug_assert();
    }

    #[test]
    fn a_flag_means_the_same_in_every_command() {
        let mut command = command();
        command.build();
        let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
        walk(&command, "", &mut |path, command| {
            for argument in command.get_arguments() {
                let Some(flag) = argument.get_long().filter(|flag| !EXCEPTIONS.contains(&(path, *flag))) else {
                    continue;
                };
                let values = argument.get_action().takes_values().then(|| argument.get_value_names()).flatten();
                let kind = format!("{:?} {values:?}", argument.get_short());
                let (first, earlier) = known.entry(flag.to_string()).or_insert((path.to_string(), kind.clone()));
                assert!(*earlier == kind, "--{flag}: {earlier} in `{first}`, {kind} in `{path}`");
            }
        });
        assert!(known.len() > 80, "{} flags", known.len());
    }

    #[test]
    fn global_options_have_a_heading_of_their_own_in_every_help() {
        let mut command = command();
        command.build();
        walk(&command, "", &mut |path, command| {
            let help = command.clone().render_long_help().to_string();
            let (_, global) = help.split_once("\nGlobal options:\n").unwrap_or_else(|| panic!("`{path}`: {help}"));
            for flag in ["--threads <N>", "--color <WHEN>", "-q, --quiet", "-v, --verbose"] {
                assert!(global.contains(flag), "`{path}`: no {flag} in {help}");
            }
        });
    }

    #[test]
    fn a_negative_number_is_a_value_of_its_flag() {
        let mut command = command();
        command.build();
        walk(&command, "", &mut |path, command| {
            for argument in command.get_arguments().filter(|a| a.get_action().takes_values()) {
                let Some(flag) = argument.get_long() else { continue };
                let line = format!("strata {path} --{flag} -1");
                let words = line.split(' ').filter(|word| !word.is_empty());
                let parsed = super::command().try_get_matches_from(words);
                let refused = parsed.err().map(|error| error.kind());
                assert_ne!(refused, Some(clap::error::ErrorKind::UnknownArgument), "{line}");
            }
        });
    }

    #[test]
    fn every_argument_says_what_it_is() {
        let mut command = command();
        command.build();
        walk(&command, "", &mut |path, command| {
            assert!(command.get_about().is_some(), "`{path}`");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "`{path}`: {}", argument.get_id());
            }
        });
    }

    #[test]
    fn flags_that_would_have_no_effect_are_refused() {
        for line in [
            "evaluate --hypotheses h --references r --beam 3",
            "evaluate --hypotheses h --references r --precision int8",
            "evaluate --hypotheses h --references r --split valid",
            "evaluate --references r --beam 3",
            "evaluate m d --metrics bleu",
            "evaluate m d --sentence-level",
            "evaluate --references r --baseline-hypotheses b --sentence-level",
            "evaluate --references r --sentence-level --confidence",
            "evaluate --references r --confidence-n 100",
            "evaluate m d --confidence",
            "prepare b --output p --subword-model m --vocab-size 700",
            "prepare b --output p --subword-model m --subword-kind bpe",
            "train --list-keys --json",
            "translate m --to de --glossary g --top-p 0.5",
            "translate m --to de --temperature 0.5",
            "translate m --to de --tokens-per-batch 0",
            "serve m --rate 5",
            "serve m --queue 0",
            "serve m --max-loaded 0",
            "serve m --unload-after 0",
            "serve m --max-characters 0",
            "serve --new-key alice --port 80",
            "translate m --to de --scores --nbest 2",
            "translate m --to de --scores --json",
        ] {
            let words = std::iter::once("strata").chain(line.split(' '));
            assert!(command().try_get_matches_from(words).is_err(), "`strata {line}` is accepted");
        }
    }

    /// Likewise at `--new-key`.
    #[test]
    fn a_new_key_refuses_every_flag_of_a_server() {
        let mut command = command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let new_key = serve.get_arguments().find(|argument| argument.get_id() == "new_key").unwrap();
        let refused = serve.get_arg_conflicts_with(new_key);
        let flags: Vec<_> =
            serve.get_arguments().filter(|a| !["new_key", "rate"].contains(&a.get_id().as_str())).collect();
        assert!(flags.len() >= 20, "{flags:?}");
        for flag in flags {
            assert!(refused.iter().any(|other| other.get_id() == flag.get_id()), "--{} is accepted", flag.get_id());
        }
    }

    #[test]
    fn the_color_of_help_is_what_the_last_flag_says() {
        let said = |line: &str| color_of_help(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(said("strata --color always --help"), ColorChoice::Always);
        assert_eq!(said("strata train --color=always --color=never"), ColorChoice::Never);
        assert_eq!(said("strata train --color"), ColorChoice::Auto);
        assert_eq!(said("strata train always"), ColorChoice::Auto);
    }

    /// The list for `--hypotheses` and `--references` is written by hand, as clap has no group of a struct with
    /// flattened parts.
    #[test]
    fn scoring_files_refuses_every_flag_of_a_model() {
        let mut command = command();
        command.build();
        let evaluate = command.find_subcommand("evaluate").unwrap();
        let of_files = ["hypotheses", "references"].map(|id| {
            let argument = evaluate.get_arguments().find(|argument| argument.get_id() == id).unwrap();
            evaluate.get_arg_conflicts_with(argument)
        });
        let of_a_model = |heading: &str| ["Search options", "Sampling options", "Device options"].contains(&heading);
        let flags = evaluate.get_arguments().filter(|argument| argument.get_help_heading().is_some_and(of_a_model));
        let flags: Vec<_> = flags.collect();
        assert!(flags.len() >= 15, "{flags:?}");
        for (flag, refused) in flags.iter().flat_map(|flag| of_files.iter().map(move |refused| (flag, refused))) {
            assert!(refused.iter().any(|other| other.get_id() == flag.get_id()), "--{} is accepted", flag.get_id());
        }
    }
}
