//! Stopping: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, or the end of the parent process.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use strata_ranks::Launch;

use crate::Outcome;

/// Whether work under way looks at [`STOP`].
static HEEDED: AtomicBool = AtomicBool::new(false);
static STOP: AtomicBool = AtomicBool::new(false);
/// The signal that set [`STOP`].
static SIGNAL: AtomicI32 = AtomicI32::new(SIGINT);

/// Work that saves before it stops: as long as this lives, the first signal sets its flag and only a second one ends
/// the program at once.
pub struct Stop(());

impl Stop {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses the signal handler.
    pub fn listen() -> anyhow::Result<Self> {
        static STARTED: Once = Once::new();
        let mut started = Ok(());
        STARTED.call_once(|| {
            started = on_signals(|signal| {
                if !HEEDED.load(Ordering::SeqCst) || STOP.load(Ordering::SeqCst) {
                    return true;
                }
                SIGNAL.store(signal, Ordering::SeqCst);
                STOP.store(true, Ordering::SeqCst);
                // One of several ranks speaks. `eprintln!` would panic if standard error is closed.
                if Launch::of_environment().is_none_or(|launch| launch.rank == 0) {
                    let _ = writeln!(std::io::stderr(), "\nsaving and stopping; once more to stop at once");
                }
                false
            });
        });
        started?;
        HEEDED.store(true, Ordering::SeqCst);
        Ok(Self(()))
    }

    /// The flag that asks the work to save and stop.
    pub fn flag(&self) -> &'static AtomicBool {
        &STOP
    }
}

/// What comes after is not saved, so that a signal ends it at once.
impl Drop for Stop {
    fn drop(&mut self) {
        HEEDED.store(false, Ordering::SeqCst);
    }
}

/// From now on, Ctrl-C, SIGTERM and SIGHUP end the program as they always do, but what it is writing beside its places
/// is cleared away first. For commands that do not save before they stop. A signal that is ignored, as by `nohup`,
/// stays ignored.
pub fn clear_away_on_signals() {
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal));
    // Without it, the next writer clears away.
    let Ok(mut signals) = Signals::new(heeded) else { return };
    let listen = move || {
        for signal in signals.forever() {
            strata_files::clear_scratch();
            // As a signal and not as an exit code: a shell ends its loop after Ctrl-C.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    let _ = std::thread::Builder::new().name("signals".into()).spawn(listen);
}

/// Whether this process was started with a signal ignored, as far as the system says.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// How a command ended that was asked to stop and has saved its work; `None` if nobody asked.
pub fn outcome() -> Option<Outcome> {
    STOP.load(Ordering::SeqCst).then(|| Outcome::Stopped(SIGNAL.load(Ordering::SeqCst)))
}

/// The exit code of a program that a signal ended, as shells report it: 130 after Ctrl-C, 143 after SIGTERM
/// (`EXIT_CODES` in `examples.rs` lists them for users).
pub fn exit_code(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// Calls `take` with each Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 (which `mpirun` hands on to all ranks, and Slurm sends
/// before the time is up), on a thread of its own; where it returns true, the program ends at once. A SIGHUP that is
/// ignored, as by `nohup`, stays ignored.
///
/// # Errors
/// The system refuses the signal handler.
pub fn on_signals(mut take: impl FnMut(i32) -> bool + Send + 'static) -> anyhow::Result<()> {
    let hangs_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1].into_iter().chain(hangs_up)).context("cannot listen for Ctrl-C")?;
    let listen = move || {
        for signal in signals.forever() {
            if take(signal) {
                strata_files::clear_scratch();
                std::process::exit(128 + signal);
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen).context("cannot listen for Ctrl-C")?;
    Ok(())
}

/// Sets the stop flag when the parent process ends, so that a killed study leaves no training behind that locks its
/// run.
pub fn stop_with_parent() {
    let parent = std::os::unix::process::parent_id();
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        SIGNAL.store(SIGTERM, Ordering::SeqCst);
        STOP.store(true, Ordering::SeqCst);
    });
}
