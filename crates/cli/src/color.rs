//! Whether output is colored.

use std::ffi::OsString;
use std::io::IsTerminal;

use clap::ValueEnum;

/// When to color output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    // On a terminal, unless the environment says otherwise. No doc comments here: clap would print them in every help.
    Auto,
    // Into files and pipes too.
    Always,
    Never,
}

impl Color {
    /// Decides by the value of environment variables and whether the output is a terminal. The flag goes before
    /// `NO_COLOR` (<https://no-color.org>), that before `CLICOLOR_FORCE` (<https://bixense.com/clicolors>), and that
    /// before the kind of terminal.
    pub fn decide(self, variable: impl Fn(&str) -> Option<OsString>, terminal: bool) -> bool {
        let value = |name| variable(name).filter(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if value("NO_COLOR").is_some() => false,
            Self::Auto if value("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
            Self::Auto => terminal && value("TERM").is_none_or(|name| name != "dumb"),
        }
    }
}

impl Color {
    /// `error:` as standard error shows it.
    pub fn error(self) -> String {
        self.painted("error:", "31")
    }

    /// `warning:` as standard error shows it.
    pub fn warning(self) -> String {
        self.painted("warning:", "33")
    }

    /// In bold, and in the color that clap gives its own messages of the kind.
    fn painted(self, word: &str, color: &str) -> String {
        let colored = self.decide(|name| std::env::var_os(name), std::io::stderr().is_terminal());
        if colored { format!("\x1b[1m\x1b[{color}m{word}\x1b[0m") } else { word.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_then_no_color_then_force_then_the_terminal() {
        let decide = |color: Color, variables: &[(&str, &str)], terminal| {
            let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
            color.decide(value, terminal)
        };
        assert!(decide(Color::Auto, &[], true) && !decide(Color::Auto, &[], false));
        assert!(!decide(Color::Auto, &[("TERM", "dumb")], true));
        assert!(!decide(Color::Auto, &[("NO_COLOR", "1")], true));
        assert!(decide(Color::Auto, &[("NO_COLOR", "")], true), "an empty variable counts as unset");
        assert!(decide(Color::Auto, &[("CLICOLOR_FORCE", "1")], false));
        assert!(!decide(Color::Auto, &[("CLICOLOR_FORCE", "0")], false));
        assert!(!decide(Color::Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(decide(Color::Always, &[("NO_COLOR", "1")], false));
        assert!(!decide(Color::Never, &[("CLICOLOR_FORCE", "1")], true));
    }
}
