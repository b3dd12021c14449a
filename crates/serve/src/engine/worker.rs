//! A model's thread, from inside: it decodes the sentences of all requests in turn, until no more come or a fault ends
//! it.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use strata_runtime::Finished;

use crate::engine::job::{Decoder, Failure, Job};
use crate::engine::load::Load;

/// Sentences that may wait in the decoder. Few, so that a new request's turn comes soon.
const FEED: usize = 32;
/// Seconds after which a measurement counts half.
const HALF_LIFE: f64 = 5.0;

/// How a round ended.
enum Round {
    Done,
    /// No more requests can come.
    Last,
    /// The model's files have changed; how.
    Changed(String),
}

/// A panic's message.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The thread's side.
pub struct Worker<D, C> {
    decoder: D,
    /// Says how the model's files have changed, if they have: then results are worthless.
    change: C,
    receiver: Receiver<Job>,
    load: Arc<Load>,
    jobs: HashMap<u64, Job>,
    /// Jobs with sentences that are not in the decoder yet, in the order of their turns.
    turns: VecDeque<u64>,
    /// The job and place of each sentence in the decoder.
    places: HashMap<u64, (u64, usize)>,
    next: u64,
    /// Seconds of work, and sentences finished in them; both decay with [`HALF_LIFE`].
    busy: f64,
    done: f64,
}

impl<D: Decoder, C: Fn() -> Option<String>> Worker<D, C> {
    /// A worker with nothing to do yet.
    pub fn new(decoder: D, change: C, receiver: Receiver<Job>, load: Arc<Load>) -> Self {
        let (jobs, turns, places) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Self { decoder, change, receiver, load, jobs, turns, places, next: 0, busy: 0.0, done: 0.0 }
    }

    /// Works until no more requests can come, or until a fault, which goes to `broken`.
    pub fn run(mut self, broken: impl FnOnce(String)) {
        let fault = loop {
            // After a panic the worker only answers those that wait.
            match catch_unwind(AssertUnwindSafe(|| self.round())) {
                Ok(Round::Done) => {}
                Ok(Round::Last) => return,
                Ok(Round::Changed(what)) => break what,
                // If a file has changed, that is what caused the panic.
                Err(panic) => break (self.change)().unwrap_or_else(|| said(panic.as_ref())),
            }
        };
        self.load.stopped();
        broken(fault);
        for (_, job) in self.jobs.drain() {
            job.answer(Err(Failure::Broken));
        }
        // Jobs that were sent meanwhile are dropped with the receiver; their senders see that.
    }

    fn round(&mut self) -> Round {
        if self.jobs.is_empty() {
            match self.receiver.recv() {
                Ok(job) => self.take(job),
                Err(_) => return Round::Last,
            }
        }
        // Clients that wait hold the engine, so a closed channel only means that no more jobs come.
        while let Ok(job) = self.receiver.try_recv() {
            self.take(job);
        }
        self.forget_closed();
        self.feed();
        if self.decoder.is_idle() {
            return Round::Done;
        }
        let start = Instant::now();
        let finished = self.decoder.step();
        // Only when there is something to answer: the check is a system call.
        if !finished.is_empty()
            && let Some(what) = (self.change)()
        {
            return Round::Changed(what);
        }
        self.measure(start.elapsed().as_secs_f64(), finished.len());
        for finished in finished {
            self.finish(finished);
        }
        Round::Done
    }

    fn take(&mut self, job: Job) {
        self.jobs.insert(self.next, job);
        self.turns.push_back(self.next);
        self.next += 1;
    }

    /// Drops the requests whose clients are gone or whose time is up.
    fn forget_closed(&mut self) {
        let closed: Vec<u64> = self.jobs.iter().filter(|(_, job)| job.is_closed()).map(|(number, _)| *number).collect();
        for number in closed {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) -> Option<Job> {
        self.turns.retain(|turn| *turn != number);
        let ids: Vec<u64> = self.places.iter().filter(|(_, (job, _))| *job == number).map(|(id, _)| *id).collect();
        for id in ids {
            self.places.remove(&id);
            self.decoder.cancel(id);
        }
        self.jobs.remove(&number)
    }

    /// Gives the decoder a sentence of each job in turn.
    fn feed(&mut self) {
        while self.decoder.waiting() < FEED {
            let Some(number) = self.turns.pop_front() else { return };
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            let Some((place, request)) = job.pending.pop_front() else { continue };
            if !job.pending.is_empty() {
                self.turns.push_back(number);
            }
            match self.decoder.submit(request) {
                Ok(id) => {
                    self.places.insert(id, (number, place));
                }
                Err(error) => {
                    if let Some(job) = self.forget(number) {
                        job.answer(Err(Failure::Refused(error.to_string())));
                    }
                }
            }
        }
    }

    fn finish(&mut self, finished: Finished) {
        let Some((number, place)) = self.places.remove(&finished.id) else { return };
        let written: usize = finished.hypotheses.first().map_or(0, |best| best.token_scores.len());
        self.load.finish(written);
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.results[place] = finished.hypotheses;
        job.missing -= 1;
        if job.missing == 0
            && let Some(mut job) = self.jobs.remove(&number)
        {
            let results = std::mem::take(&mut job.results);
            job.answer(Ok(results));
        }
    }

    fn measure(&mut self, seconds: f64, finished: usize) {
        let kept = 0.5f64.powf(seconds / HALF_LIFE);
        self.busy = self.busy * kept + seconds;
        self.done = self.done * kept + finished as f64;
        if self.busy > 0.2 && self.done > 0.0 {
            self.load.measured(self.done / self.busy);
        }
    }
}
