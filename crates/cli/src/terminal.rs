//! What goes to standard error: notes, progress that rewrites its line on a terminal, and numbers as people write them.

use std::io::{IsTerminal, Write};

use crate::color::Color;

/// What to print, and whether the terminal can rewrite lines and show colors.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    color: Color,
    rewrites: bool,
    width: usize,
}

impl Terminal {
    /// Looks at standard error: a terminal gets progress lines, anything else plain lines.
    pub fn new(quiet: bool, verbose: bool, color: Color) -> Self {
        let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(100, |(width, _)| usize::from(width.0));
        let dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
        Self { quiet, verbose, color, rewrites: std::io::stderr().is_terminal() && !dumb, width }
    }

    /// The same, showing only results, warnings and errors.
    pub fn quieted(&self) -> Self {
        Self { quiet: true, ..*self }
    }

    /// Whether standard output gets colors.
    pub fn colors(&self) -> bool {
        self.color.decide(|name| std::env::var_os(name), std::io::stdout().is_terminal())
    }

    /// Whether progress rewrites its line.
    pub fn rewrites(&self) -> bool {
        self.rewrites && !self.quiet
    }

    /// Whether to print only results, warnings and errors.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            self.line(line);
        }
    }

    /// A line that only `-v` shows.
    pub fn detail(&self, line: &str) {
        if self.verbose && !self.quiet {
            self.line(line);
        }
    }

    /// A result that does not belong on standard output; `-q` does not silence it.
    pub fn result(&self, line: &str) {
        self.line(line);
    }

    /// A line that even `-q` does not silence.
    pub fn warn(&self, line: &str) {
        self.line(&format!("{} {line}", self.color.warning()));
    }

    /// A line that the next one replaces; nothing where lines cannot be rewritten.
    pub fn progress(&self, line: &str) {
        if self.rewrites() {
            let shown: String = line.chars().take(self.width.saturating_sub(1)).collect();
            let mut out = std::io::stderr().lock();
            // A terminal that is gone must not end the work.
            let _ = write!(out, "\r\x1b[2K{shown}");
            let _ = out.flush();
        }
    }

    fn line(&self, line: &str) {
        let mut out = std::io::stderr().lock();
        let clear = if self.rewrites() { "\r\x1b[2K" } else { "" };
        let _ = writeln!(out, "{clear}{line}");
    }
}

/// Warnings of many lines, of which the first are shown.
#[derive(Debug, Default)]
pub struct Warnings(u64);

impl Warnings {
    /// Those that are shown.
    const SHOWN: u64 = 10;

    /// Shows a warning, if it is one of the first.
    pub fn add(&mut self, warning: &str, terminal: &Terminal) {
        if self.0 < Self::SHOWN {
            terminal.warn(warning);
        }
        self.0 += 1;
    }

    /// All of them.
    pub fn count(&self) -> u64 {
        self.0
    }

    /// Whether some were not shown, so that their number has to be.
    pub fn are_cut(&self) -> bool {
        self.0 > Self::SHOWN
    }
}

/// A label and what it labels, in two columns.
pub fn labeled(label: &str, text: &str) -> String {
    format!("{label:<13} {text}")
}

/// `14.9M`, `21.3 k` and the like, with a space before the unit where there is one.
pub fn short(number: f64, unit: &str) -> String {
    let space = if unit.is_empty() { "" } else { " " };
    let (value, prefix) = match number {
        n if n >= 1e12 => (n / 1e12, "T"),
        n if n >= 1e9 => (n / 1e9, "G"),
        n if n >= 1e6 => (n / 1e6, "M"),
        n if n >= 1e3 => (n / 1e3, "k"),
        n => (n, ""),
    };
    let digits = if prefix.is_empty() || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$}{space}{prefix}{unit}")
}

/// `12 s`, `3:10`, `1:02:05`
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A bar of 24 cells and the percentage.
pub fn bar(done: u64, of: u64) -> String {
    let share = if of == 0 { 1.0 } else { done.min(of) as f64 / of as f64 };
    let full = (share * 24.0).round() as usize;
    format!("{}{} {:3.0} %", "━".repeat(full), "╌".repeat(24 - full), share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!((short(14_900_000.0, "").as_str(), short(950.0, "B").as_str()), ("14.9M", "950 B"));
        assert_eq!(short(93_400_000.0, "B"), "93.4 MB");
        assert_eq!([12.4, 190.0, 3725.0].map(duration), ["12 s", "3:10", "1:02:05"]);
        assert_eq!(bar(1, 2), "━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌  50 %");
    }
}
