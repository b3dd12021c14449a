//! Stopping a training: Ctrl-C, SIGTERM, or the end of the parent process.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context;

/// A flag that Ctrl-C or SIGTERM sets; a second one ends the program at once. Every call gives the same flag.
///
/// # Errors
/// The system refuses the signal handler.
pub fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(flag) = FLAG.get() {
        return Ok(Arc::clone(flag));
    }
    let stop = Arc::clone(FLAG.get_or_init(Arc::default));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        // `eprintln!` would panic if standard error is closed.
        let _ = writeln!(std::io::stderr(), "\nstopping after this update; once more to stop at once");
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(stop)
}

/// Sets the stop flag when the parent process ends, so that a killed study leaves no training behind that locks its
/// run.
///
/// # Errors
/// See [`stop_flag`].
#[cfg(unix)]
pub fn stop_with_parent() -> anyhow::Result<()> {
    let (stop, parent) = (stop_flag()?, std::os::unix::process::parent_id());
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Other systems do not tell.
#[cfg(not(unix))]
pub fn stop_with_parent() -> anyhow::Result<()> {
    Ok(())
}
