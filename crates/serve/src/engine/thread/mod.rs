//! A model's thread, seen from outside: requests go in, translations come out.
//!
//! The thread (`worker`) takes sentences from the requests in turn and lets them join one batch, so that a long request
//! does not hold up short ones. A panic in it, or a model file that changes under it, fails the requests that it holds
//! and ends the thread; the next request gets a new one.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use strata_runtime::Request;
use tokio::sync::oneshot;

use crate::engine::job::{Decoder, Failure, Job, Translations};
use crate::engine::load::{Admission, Load};
use crate::engine::worker::Worker;
use crate::lock::lock;

/// A thread that translates. Dropping the last handle ends it.
pub struct Engine {
    jobs: Mutex<Sender<Job>>,
    load: Arc<Load>,
    most: usize,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Starts the thread `name`, which takes up to `most` sentences. Before each answer `change` says whether the
    /// model's files have changed, so that what the decoder computes is worthless. `broken` gets that message, or a
    /// panic's.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        name: &str,
        decoder: impl Decoder,
        most: usize,
        change: impl Fn() -> Option<String> + Send + 'static,
        broken: impl FnOnce(String) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, receiver) = channel();
        let load = Arc::new(Load::default());
        let worker = Worker::new(decoder, change, receiver, load.clone());
        let thread = std::thread::Builder::new().name(format!("engine {name}")).spawn(move || worker.run(broken))?;
        Ok(Self { jobs: Mutex::new(jobs), load, most, thread })
    }

    /// Ends the thread, and waits until it has dropped everything.
    pub fn close(self) {
        let Self { jobs, thread, .. } = self;
        drop(jobs);
        // A panic has been logged.
        let _ = thread.join();
    }

    /// How much it has to do, and how fast it does it.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Translates `requests`, or says why not. Dropping the future takes them out of the engine.
    ///
    /// # Errors
    /// [`Failure`]; `Full` also where they would not be done within `time`, behind those that wait already.
    pub async fn translate(&self, requests: Vec<Request>, time: Duration) -> Result<Translations, Failure> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let count = requests.len();
        let (admission, before) = Admission::new(&self.load, count);
        let wait = self.load.wait(before + count);
        // A request that is alone is always admitted: it has its own limits.
        if before > 0 && (before + count > self.most || wait > time) {
            return Err(Failure::Full(self.load.wait(before).as_secs().clamp(1, 600)));
        }
        let (reply, answer) = oneshot::channel();
        let job = Job::new(requests, admission, reply);
        if lock(&self.jobs).send(job).is_err() {
            return Err(Failure::Broken);
        }
        answer.await.unwrap_or(Err(Failure::Broken))
    }
}

#[cfg(test)]
mod tests;
