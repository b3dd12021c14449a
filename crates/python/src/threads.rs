//! Work outside of Python: without its lock, with Ctrl-C heard, in pools of threads.
//!
//! Each call has a pool of its own, so that calls of several Python threads run side by side and none waits for
//! another. Pools are kept for the next call. The child of a fork has none of its parent's threads: it is told so
//! instead of waiting for them forever.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use strata_translate::Stop;

use crate::error::{Result, StrataError, exception};

/// How long Ctrl-C may stay unheard.
const PATIENCE: Duration = Duration::from_millis(50);

/// Pools of threads that no call uses.
pub struct Pools {
    /// Threads of a pool; 0 = one for each core.
    threads: usize,
    idle: Mutex<Vec<ThreadPool>>,
    process: u32,
}

impl Pools {
    /// Pools of `threads` threads.
    pub fn new(threads: usize) -> Self {
        Self { threads, idle: Mutex::default(), process: std::process::id() }
    }

    fn take(&self) -> PyResult<ThreadPool> {
        if self.process != std::process::id() {
            return Err(StrataError::new_err(
                "this translator was made before the process was forked, and its threads are in the parent; make the \
                 translator in the child, or start processes by multiprocessing's \"spawn\"",
            ));
        }
        if let Some(pool) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(pool);
        }
        let pool = ThreadPoolBuilder::new().num_threads(self.threads).build();
        pool.map_err(|error| StrataError::new_err(format!("cannot start the threads: {error}")))
    }

    /// Runs `work` in a pool. If a signal's handler raises an exception meanwhile, as Ctrl-C does, `stop` ends the work
    /// and the exception is the result.
    pub fn run<T: Send + 'static>(
        &self,
        py: Python<'_>,
        stop: &Stop,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> PyResult<T> {
        let pool = self.take()?;
        let (sender, mut receiver) = sync_channel(1);
        pool.spawn(move || {
            // The receiver waits to the end.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let mut interrupted = Ok(());
        let ended = loop {
            let (got, back) = py.detach(move || (receiver.recv_timeout(PATIENCE), receiver));
            receiver = back;
            match got {
                Err(RecvTimeoutError::Timeout) => {
                    if interrupted.is_ok() {
                        interrupted = py.check_signals();
                        if interrupted.is_err() {
                            stop.stop();
                        }
                    }
                }
                ended => break ended,
            }
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
        interrupted?;
        match ended {
            Ok(Ok(result)) => result.map_err(|error| exception(&*error)),
            Ok(Err(panic)) => resume_unwind(panic), // which pyo3 turns into an exception
            Err(error) => Err(StrataError::new_err(error.to_string())),
        }
    }
}
