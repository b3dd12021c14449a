//! Stands for each command that a build without the feature `train` does without: it says so, whatever its arguments.

use std::ffi::OsString;

use clap::Args;

use crate::Outcome;
use crate::terminal::Terminal;

/// Not in this build
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub struct Arguments {
    /// What the full program would take
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    words: Vec<OsString>,
}

pub fn run(_: &Arguments, _threads: usize, _: &Terminal) -> anyhow::Result<Outcome> {
    Err(refused())
}

/// What a command says that is not here.
pub fn refused() -> anyhow::Error {
    anyhow::anyhow!(
        "this strata was built without training; install the full program, or build it with the feature `train`"
    )
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use crate::command_line::{Cli, Command, command};
    use crate::commands::bench;
    use crate::terminal::Terminal;

    #[test]
    fn commands_that_are_not_here_say_so_whatever_they_are_given() {
        let terminal = Terminal::new(true, false, crate::color::Color::Never);
        for line in [
            "train recipes/docs.toml --variant smoe-4-4 --set train.updates=500",
            "train --help",
            "quickstart",
            "study studies/docs.toml --dry-run",
            "bench train-step --strata 4,4",
            "bench training",
            "bench ranks",
        ] {
            let words = std::iter::once("strata").chain(line.split(' '));
            let matches = command().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            let ran = match Cli::from_arg_matches(&matches).unwrap().command {
                Command::Quickstart(arguments) | Command::Train(arguments) | Command::Study(arguments) => {
                    super::run(&arguments, 1, &terminal)
                }
                Command::Bench(arguments) => bench::run(&arguments, &terminal),
                other => panic!("{line}: {other:?}"),
            };
            assert!(ran.err().unwrap().to_string().contains("built without training"), "{line}");
        }
        let help = command().render_long_help().to_string();
        assert!(
            help.contains("\n  translate ") && !help.contains("\n  quickstart ") && !help.contains("strata quickstart"),
            "{help}"
        );
    }
}
