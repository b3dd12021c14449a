//! The engine: many requests in, their translations out, in the same order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::ThreadPool;

use crate::error::Error;
use crate::model::Model;
use crate::request::{Hypothesis, Request};
use crate::session::{Limits, Session};
use crate::stop::Stop;
use crate::tally::Tally;

/// Least hypotheses of a worker when the engine chooses the number of workers: with fewer rows, reading the weights
/// once per worker costs more than threads that wait for one another at every product.
const ROWS_OF_A_WORKER: usize = 32;

/// Translates with one model. Threads can share it; each call has its own sessions.
pub struct Engine {
    model: Arc<Model>,
    /// Sessions for reuse, so that successive calls allocate their buffers once.
    idle: Mutex<Vec<(Limits, Session)>>,
    /// Thread pools for reuse, for workers of several threads.
    pools: Mutex<Vec<ThreadPool>>,
}

/// The requests of a call; workers take them one by one.
struct Queue<'a> {
    requests: &'a [Request],
    /// Longest first: sentences in a batch then end at about the same step, and no long one is left alone at the end.
    order: Vec<usize>,
    next: AtomicUsize,
    stop: &'a Stop,
    tally: &'a Tally,
}

impl Engine {
    /// An engine for `model`.
    pub fn new(model: Arc<Model>) -> Self {
        Self { model, idle: Mutex::default(), pools: Mutex::default() }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// A new session, for callers that advance it step by step.
    pub fn session(&self, limits: Limits) -> Session {
        Session::new(self.model.clone(), limits)
    }

    /// Translates `requests`: for each up to `nbest` hypotheses, best first, in the order of the requests.
    ///
    /// # Errors
    /// [`Error::Request`] for a request that does not fit the model; nothing is translated then. [`Error::Threads`] if
    /// the system cannot start a thread.
    pub fn translate(&self, requests: &[Request], limits: &Limits) -> Result<Vec<Vec<Hypothesis>>, Error> {
        self.translate_until(&Stop::default(), &Tally::default(), requests, limits)
    }

    /// [`Engine::translate`], but `stop` can end it, and `tally` counts the requests that are done.
    ///
    /// # Errors
    /// As there; [`Error::Stopped`] where `stop` has ended it.
    pub fn translate_until(
        &self,
        stop: &Stop,
        tally: &Tally,
        requests: &[Request],
        limits: &Limits,
    ) -> Result<Vec<Vec<Hypothesis>>, Error> {
        requests.iter().try_for_each(|request| request.check(self.model.config()))?;
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(requests[*i].source.len()));
        let queue = Queue { requests, order, next: AtomicUsize::new(0), stop, tally };
        let workers = workers(requests, limits);
        let found = if workers == 1 {
            vec![self.work(&queue, &Limits { workers: 1, ..*limits })]
        } else {
            self.side_by_side(&queue, limits, workers)?
        };
        let mut results = vec![Vec::new(); requests.len()];
        for found in found {
            found?.into_iter().for_each(|(i, hypotheses)| results[i] = hypotheses);
        }
        Ok(results)
    }

    /// Runs `workers` on the queue, each with its share of `limits`.
    fn side_by_side(&self, queue: &Queue, limits: &Limits, workers: usize) -> Result<Vec<Translated>, Error> {
        let share = |all: usize| (all / workers).max(1);
        let limits = Limits {
            source_tokens: share(limits.source_tokens),
            hypotheses: share(limits.hypotheses),
            join_tokens: share(limits.join_tokens),
            threads: share(limits.threads),
            workers: 1,
        };
        if limits.threads == 1 {
            return Ok(each_on_a_thread((0..workers).map(|_| || self.work(queue, &limits))));
        }
        let pools = self.take_pools(workers, limits.threads)?;
        let found = each_on_a_thread(pools.iter().map(|pool| || pool.install(|| self.work(queue, &limits))));
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).extend(pools);
        Ok(found)
    }

    /// Translates requests from the queue until it is empty.
    fn work(&self, queue: &Queue, limits: &Limits) -> Translated {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let used = idle.iter().position(|(of, _)| of == limits).map(|i| idle.swap_remove(i).1);
        drop(idle);
        let mut session = used.unwrap_or_else(|| self.session(*limits));
        let (mut places, mut first, mut results) = (Vec::new(), None, Vec::new());
        loop {
            if session.waiting() == 0 {
                let all = session.is_idle();
                let (tokens, width) =
                    if all { (limits.source_tokens, limits.hypotheses) } else { (limits.join_tokens, usize::MAX) };
                let (mut got_tokens, mut got_width) = (0, 0);
                while got_tokens < tokens && got_width < width {
                    let Some(i) = queue.take() else { break };
                    let request = &queue.requests[i];
                    (got_tokens, got_width) = (got_tokens + request.source.len(), got_width + request.width());
                    // Ids are given one after another.
                    first.get_or_insert(session.submit(request.clone())?);
                    places.push(i);
                }
            }
            if session.is_idle() {
                break;
            }
            if queue.stop.is_stopped() {
                return Err(Error::Stopped); // and drop the session with what it has begun
            }
            for finished in session.step() {
                queue.tally.add(1);
                results.push((places[(finished.id - first.unwrap_or(0)) as usize], finished.hypotheses));
            }
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Sessions with other limits are unlikely to be used again.
        idle.retain(|(of, _)| of == limits);
        idle.push((*limits, session));
        Ok(results)
    }

    /// `count` pools of `threads` threads, idle ones first.
    fn take_pools(&self, count: usize, threads: usize) -> Result<Vec<ThreadPool>, Error> {
        let mut idle = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|pool| pool.current_num_threads() == threads);
        let from = idle.len().saturating_sub(count);
        let mut pools = idle.split_off(from);
        drop(idle);
        while pools.len() < count {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pools.push(pool.map_err(|e| Error::Threads(e.to_string()))?);
        }
        Ok(pools)
    }
}

/// Places of requests and their hypotheses.
type Translated = Result<Vec<(usize, Vec<Hypothesis>)>, Error>;

impl Queue<'_> {
    fn take(&self) -> Option<usize> {
        self.order.get(self.next.fetch_add(1, Ordering::Relaxed)).copied()
    }
}

/// Workers of a call: those asked for, or enough for the rows; never more than requests or threads.
fn workers(requests: &[Request], limits: &Limits) -> usize {
    let wanted = match limits.workers {
        0 => requests.iter().map(Request::width).sum::<usize>().min(limits.hypotheses) / ROWS_OF_A_WORKER,
        given => given,
    };
    wanted.min(limits.threads).min(requests.len()).max(1)
}

/// Runs each piece of work on its own thread; the first on this one.
fn each_on_a_thread<W: FnOnce() -> Translated + Send>(mut work: impl Iterator<Item = W>) -> Vec<Translated> {
    std::thread::scope(|scope| {
        let first = work.next();
        let others: Vec<_> = work.map(|work| scope.spawn(work)).collect();
        let mut found: Vec<Translated> = first.into_iter().map(|work| work()).collect();
        for other in others {
            found.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}
