//! The programs that download: `curl`, which every system of today has, and Python's pip.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::error::Error;
use crate::child::watch;

/// curl's exit codes for a server that cannot be found or reached, or that stops answering.
const UNREACHABLE: [i32; 5] = [5, 6, 7, 28, 35];

/// Downloads an address to a file, from where an earlier download stopped.
///
/// # Errors
/// No curl, no network, a server that refuses; a file of more than `at_most` bytes.
pub(super) fn curl(
    program: &Path,
    address: &str,
    file: &Path,
    at_most: u64,
    progress: &mut dyn FnMut(),
) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.args(["--fail", "--silent", "--show-error", "--location", "--proto", "=http,https", "--retry", "2"]);
    command.args(["--connect-timeout", "15", "--speed-limit", "1000", "--speed-time", "30", "--continue-at", "-"]);
    command.args(["--max-filesize", &at_most.to_string(), "--output"]).arg(file).args(["--url", address]);
    let (status, errors) = run(command, program, "models", progress)?;
    if status.success() {
        return Ok(());
    }
    let detail = last_line(&errors);
    match status.code() {
        Some(code) if UNREACHABLE.contains(&code) => Err(Error::Offline { address: address.to_owned(), detail }),
        _ => Err(Error::Download { what: address.to_owned(), detail }),
    }
}

/// Downloads the wheel of a package for one platform into a folder.
///
/// # Errors
/// No Python or pip, no network, no such package.
pub(super) fn pip(python: &Path, package: &str, platform: &str, folder: &Path) -> Result<(), Error> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--platform", platform]);
    command.args(["--disable-pip-version-check", "--dest"]).arg(folder).arg(package);
    let (status, errors) = run(command, python, "the wheel", &mut || ())?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Download { what: format!("the Python package {package}"), detail: last_line(&errors) })
}

fn run(
    mut command: Command,
    program: &Path,
    what: &'static str,
    progress: &mut dyn FnMut(),
) -> Result<(ExitStatus, String), Error> {
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    watch(command, progress).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::NoProgram { program: program.to_owned(), what },
        _ => strata_files::Error::io("run", program, e).into(),
    })
}

/// The last line that says something, without `curl: (6) ` or `ERROR: `.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    let line = line.strip_prefix("ERROR: ").unwrap_or(line);
    let line = line.strip_prefix("curl: ").map_or(line, |rest| rest.split_once(") ").map_or(rest, |(_, rest)| rest));
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_quoted_in_one_line() {
        assert_eq!(last_line("x\ncurl: (6) Could not resolve host: a.b\n\n"), "Could not resolve host: a.b");
        assert_eq!(last_line("ERROR: none found\nERROR: No matching distribution\n"), "No matching distribution");
        assert_eq!(last_line(""), "it said nothing");
    }
}
