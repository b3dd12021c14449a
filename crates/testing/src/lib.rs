//! What the tests of all crates share. Only a dev-dependency.

#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The environment variable that names the file to which [`skip`] appends.
pub const SKIPPED: &str = "STRATA_SKIPPED";

/// Says that a test cannot run on this machine, and why, in one line `skipped: TEST: REASON`. The test returns after
/// it, and passes; without this line nobody would know that it has checked nothing.
///
/// The line goes to standard error, past the test harness, which hides what a passing test prints; and to the end of
/// the file that the environment variable `STRATA_SKIPPED` names, from which CI collects the lines of all test
/// programs.
///
/// ```no_run
/// # fn interpreter() -> Option<String> { None }
/// #[test]
/// fn other_peoples_clients_work() {
///     let Some(python) = interpreter() else {
///         return strata_testing::skip("other_peoples_clients_work", "no Python with deepl");
///     };
///     // ...
/// }
/// ```
///
/// # Panics
/// If the file cannot be written: a skip that CI does not see is a failure.
pub fn skip(test: &str, reason: &str) {
    let file = std::env::var_os(SKIPPED).filter(|name| !name.is_empty());
    tell(test, reason, file.as_deref().map(Path::new));
}

fn tell(test: &str, reason: &str, file: Option<&Path>) {
    let line = format!("skipped: {test}: {}\n", reason.lines().collect::<Vec<_>>().join(" "));
    // `eprint!` would be captured. Nobody may be reading standard error; then the file is what counts.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = file {
        let opened = OpenOptions::new().create(true).append(true).open(file);
        // One write, so that lines of test programs that run side by side do not mix.
        let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|e| panic!("{SKIPPED} names {}, which cannot be written: {e}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_are_collected_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("skipped");
        tell("a_test", "no Python", Some(&file));
        tell("another", "no browser:\ninstall one", Some(&file));
        let lines = std::fs::read_to_string(&file).unwrap();
        assert_eq!(lines, "skipped: a_test: no Python\nskipped: another: no browser: install one\n");
    }

    #[test]
    #[should_panic(expected = "STRATA_SKIPPED names /nowhere/skipped")]
    fn a_file_that_cannot_be_written_fails_the_test() {
        tell("a_test", "a reason", Some(Path::new("/nowhere/skipped")));
    }
}
