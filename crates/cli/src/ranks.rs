//! Commands that several processes run together, started by `mpirun` or `srun`: one of them speaks, and whatever ends
//! one of them ends all.

use std::io::Write;
use std::time::Duration;

use strata_ranks::{Error, Ranks};

use crate::Outcome;
use crate::message;
use crate::terminal::Terminal;

/// Time in which the rank that has failed ends all others.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let ranks = Ranks::of_environment(last_words)?;
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
            let speaks_elsewhere = |cause: &(dyn std::error::Error + 'static)| {
                matches!(cause.downcast_ref(), Some(Error::Elsewhere { .. } | Error::Lost { .. }))
                    || matches!(
                        cause.downcast_ref(),
                        Some(strata_train::Error::Ranks(Error::Elsewhere { .. } | Error::Lost { .. }))
                    )
            };
            if error.chain().any(speaks_elsewhere) {
                std::thread::sleep(PATIENCE);
            } else {
                last_words(&format!("error: {} ({})", message(&error), ranks.name()));
            }
            ranks.abort(FAILED)
        }
    }
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
