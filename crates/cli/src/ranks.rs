//! Commands that several processes run together, started by `mpirun` or `srun`: one of them speaks, and whatever ends
//! one of them ends all.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use strata_ranks::{Error, Launch, Ranks};

use crate::Outcome;
use crate::message;
use crate::terminal::Terminal;

/// Time in which the rank that has failed ends all others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time that a rank leaves to those before it, in which they may say the same. Open MPI's `mpirun` takes a second to
/// end all after one has ended.
const TURN: Duration = Duration::from_secs(2);

/// Ranks after this one speak when it does.
const LAST_TURN: usize = 2;

/// Time in which the others hear that this rank has failed, before it ends them.
const WORD: Duration = Duration::from_millis(200);

/// The exit code of an error.
const FAILED: i32 = 2;

/// Runs `command` with the ranks that this process was started with; alone, if it was started alone. On other ranks
/// than the first, nothing is written to the terminal.
///
/// # Errors
/// Those of `command`. With several ranks there is no return from one: the rank that met it names itself and its host,
/// and ends all.
pub fn on_all_ranks(
    terminal: &Terminal,
    command: impl FnOnce(&Ranks, &Terminal) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let ranks = match (Ranks::of_environment(last_words), Launch::of_environment()) {
        (Ok(ranks), _) => ranks,
        (Err(error), Some(launch)) => {
            wait_turn(launch.rank);
            return Err(anyhow::Error::from(error).context(launch.name()));
        }
        (Err(error), None) => return Err(error.into()),
    };
    if !ranks.is_many() {
        return command(&ranks, terminal);
    }
    end_all_after_a_panic(&ranks);
    let silent = terminal.quieted();
    match command(&ranks, if ranks.is_first() { terminal } else { &silent }) {
        Ok(outcome) => {
            ranks.finish()?;
            Ok(outcome)
        }
        Err(error) => {
            if error.chain().any(speaks_elsewhere) {
                std::thread::sleep(PATIENCE);
            } else {
                wait_turn(ranks.rank());
                last_words(&format!("error: {} ({})", message(&error), ranks.name()));
                std::thread::sleep(WORD);
            }
            ranks.abort(FAILED)
        }
    }
}

/// [`on_all_ranks`] for commands that share lines out. Each of several ranks computes with `threads` threads, or where
/// that is 0 with its share of the host's processors.
///
/// # Errors
/// As there.
pub fn sharing_lines(
    threads: usize,
    terminal: &Terminal,
    command: impl FnOnce(&Ranks, &Terminal) -> anyhow::Result<Outcome> + Send,
) -> anyhow::Result<Outcome> {
    on_all_ranks(terminal, |ranks, terminal| {
        if threads > 0 || !ranks.is_many() {
            return command(ranks, terminal);
        }
        let threads = ranks.share_of_processors()?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.context("cannot start the threads")?.install(|| command(ranks, terminal))
    })
}

/// Whether another rank has failed, and says why.
fn speaks_elsewhere(cause: &(dyn std::error::Error + 'static)) -> bool {
    let of_ranks = cause.downcast_ref();
    #[cfg(feature = "train")]
    let of_ranks = of_ranks.or_else(|| match cause.downcast_ref() {
        Some(strata_train::Error::Ranks(error)) => Some(error),
        _ => None,
    });
    matches!(of_ranks, Some(Error::Elsewhere { .. } | Error::Lost { .. }))
}

/// Waits while ranks before `rank` may say the same. The first that speaks ends all, so that an error that all of them
/// meet is said once.
pub fn wait_turn(rank: usize) {
    std::thread::sleep(TURN * rank.min(LAST_TURN) as u32);
}

/// A panic on any thread ends all ranks: without the panicking one, the others would wait for ever.
fn end_all_after_a_panic(ranks: &Ranks) {
    let (ranks, usual) = (ranks.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        last_words(&format!("error: {} has panicked; ending all ranks", ranks.name()));
        ranks.abort(FAILED);
    }));
}

fn last_words(text: &str) {
    // `eprintln!` would panic if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
