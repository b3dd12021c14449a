//! The programs that download: `curl`, which every system of today has, and Python's pip.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::error::Error;

/// How often a download's progress is looked at.
const POLL: Duration = Duration::from_millis(100);
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
    let mut child = start(command, program, "models")?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(POLL),
            Err(e) => {
                let _ = child.kill(); // the wait's own error is the one to report
                return Err(strata_files::Error::io("run", program, e).into());
            }
        }
        progress();
    };
    if status.success() {
        return Ok(());
    }
    let detail = said(child);
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
    let child = start(command, python, "the wheel")?;
    let output = child.wait_with_output().map_err(|e| strata_files::Error::io("run", python, e))?;
    if output.status.success() {
        return Ok(());
    }
    let detail = last_line(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Download { what: format!("the Python package {package}"), detail })
}

fn start(mut command: Command, program: &Path, what: &'static str) -> Result<Child, Error> {
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::NoProgram { program: program.to_owned(), what },
        _ => strata_files::Error::io("run", program, e).into(),
    })
}

/// What a program that has ended wrote to standard error; what these write fits into a pipe.
fn said(child: Child) -> String {
    child.wait_with_output().map(|output| last_line(&String::from_utf8_lossy(&output.stderr))).unwrap_or_default()
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
