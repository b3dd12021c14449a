//! Programs that download for us, watched while they run.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often a download's progress is checked.
const POLL: Duration = Duration::from_millis(100);

/// Runs a program to its end, calling `progress` now and then. Returns its status and what it wrote to standard error.
///
/// # Errors
/// The program cannot be started or waited for.
pub(crate) fn watch(mut command: Command, progress: &mut dyn FnMut()) -> io::Result<(ExitStatus, String)> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let errors = child.stderr.take();
    // Read in a thread: otherwise the program could fill the pipe and wait for us while we wait for it.
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        errors.map(|mut pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(POLL),
            Err(e) => {
                let _ = child.kill(); // the wait's own error is the one to report
                return Err(e);
            }
        }
        progress();
    };
    Ok((status, errors.join().unwrap_or_default()))
}
