//! The thread that runs a model: it takes sentences from the requests in turn, so that a long request does not hold up short
//! ones, and lets them join one batch.
//!
//! A panic in the engine, or a file of the model that is changed under it, fails the requests that are in it and ends the thread;
//! the next request gets a new one.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use strata_runtime::{Error, Finished, Hypothesis, Request, Session};
use tokio::sync::oneshot;

use crate::load::{Admission, Load};
use crate::worker::Worker;

/// What decodes, step by step; the engine's [`Session`] but in tests.
pub trait Decoder: Send + 'static {
    /// Puts a request into the queue and gives its id.
    ///
    /// # Errors
    /// A request that does not fit the model.
    fn submit(&mut self, request: Request) -> Result<u64, Error>;
    /// Forgets a request.
    fn cancel(&mut self, id: u64);
    /// Goes on by a token; gives what is finished.
    fn step(&mut self) -> Vec<Finished>;
    /// Requests that wait for room.
    fn waiting(&self) -> usize;
    /// Whether there is nothing to do.
    fn is_idle(&self) -> bool;
}

impl Decoder for Session {
    fn submit(&mut self, request: Request) -> Result<u64, Error> {
        Session::submit(self, request)
    }

    fn cancel(&mut self, id: u64) {
        Session::cancel(self, id);
    }

    fn step(&mut self) -> Vec<Finished> {
        Session::step(self)
    }

    fn waiting(&self) -> usize {
        Session::waiting(self)
    }

    fn is_idle(&self) -> bool {
        Session::is_idle(self)
    }
}

/// Why a request got no translations.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The engine stopped by a fault of its own.
    Broken,
    /// There are too many sentences already; try again after so many seconds.
    Full(u64),
    /// The model cannot take a sentence; why.
    Refused(String),
}

/// All translations of a request, sentence by sentence.
pub type Translations = Vec<Vec<Hypothesis>>;

/// A request on its way through the thread.
pub struct Job {
    /// What is not in the batch yet, with its place.
    pub pending: VecDeque<(usize, Request)>,
    /// What is translated.
    pub results: Translations,
    /// Sentences without a translation.
    pub missing: usize,
    /// In front of `reply`, so that it is dropped first.
    admission: Admission,
    reply: oneshot::Sender<Result<Translations, Failure>>,
}

impl Job {
    /// Ends it: who has the answer finds its room free.
    pub fn answer(self, answer: Result<Translations, Failure>) {
        let Self { admission, reply, .. } = self;
        drop(admission);
        // A client may be gone.
        let _ = reply.send(answer);
    }

    /// Whether nobody waits for it any more.
    pub fn is_closed(&self) -> bool {
        self.reply.is_closed()
    }
}

/// An engine's outside. Dropping the last one ends its thread.
pub struct Engine {
    jobs: Mutex<Sender<Job>>,
    load: Arc<Load>,
    most: usize,
    thread: JoinHandle<()>,
}

impl Engine {
    /// Starts the thread `name`; at most `most` sentences are let in. `change` tells when what the decoder computes is worth
    /// nothing any more, and is asked before anything is answered. `broken` is told that, or what a panic said.
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

    /// Ends the thread, and waits until all that it held is given up.
    pub fn close(self) {
        let Self { jobs, thread, .. } = self;
        drop(jobs);
        // A panic has been told of.
        let _ = thread.join();
    }

    /// What is known of it.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Translates `requests`, or says why not. Dropping the future takes them out of the engine.
    ///
    /// # Errors
    /// [`Failure`]; `Full` also if they could not be done within `time` behind those that are there.
    pub async fn translate(&self, requests: Vec<Request>, time: Duration) -> Result<Translations, Failure> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let count = requests.len();
        let (admission, before) = Admission::new(&self.load, count);
        let wait = self.load.wait(before + count);
        // A request that is alone is always let in: it has its own limits.
        if before > 0 && (before + count > self.most || wait > time) {
            return Err(Failure::Full(self.load.wait(before).as_secs().clamp(1, 600)));
        }
        let (reply, answer) = oneshot::channel();
        let results = vec![Vec::new(); count];
        let pending = requests.into_iter().enumerate().collect();
        let job = Job { pending, results, missing: count, admission, reply };
        let sent = self.jobs.lock().is_ok_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(Failure::Broken);
        }
        answer.await.unwrap_or(Err(Failure::Broken))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use strata_runtime::SearchOptions;

    use super::*;

    /// Finishes the oldest sentence at every step with its source as the translation; falls over at subword 666, and takes its
    /// time at 777.
    #[derive(Default)]
    struct Echo {
        next: u64,
        waiting: VecDeque<(u64, Request)>,
        order: Arc<Mutex<Vec<u32>>>,
        cancelled: Arc<AtomicUsize>,
    }

    impl Decoder for Echo {
        fn submit(&mut self, request: Request) -> Result<u64, Error> {
            if request.source.is_empty() {
                return Err(Error::Request("nothing to translate".into()));
            }
            self.next += 1;
            self.waiting.push_back((self.next, request));
            Ok(self.next)
        }

        fn cancel(&mut self, id: u64) {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
            self.waiting.retain(|(waiting, _)| *waiting != id);
        }

        fn step(&mut self) -> Vec<Finished> {
            let Some((id, request)) = self.waiting.pop_front() else { return Vec::new() };
            assert!(!request.source.contains(&666), "a fault on purpose");
            std::thread::sleep(Duration::from_millis(if request.source.contains(&777) { 50 } else { 1 }));
            self.order.lock().unwrap().push(request.source[0]);
            vec![Finished { id, hypotheses: vec![Hypothesis { ids: request.source, ..Hypothesis::default() }] }]
        }

        fn waiting(&self) -> usize {
            self.waiting.len()
        }

        fn is_idle(&self) -> bool {
            self.waiting.is_empty()
        }
    }

    fn sentences(ids: &[u32]) -> Vec<Request> {
        let options = Arc::new(SearchOptions::default());
        ids.iter().map(|id| Request::new(vec![*id], 0, options.clone())).collect()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    const LONG: Duration = Duration::from_secs(100);

    #[test]
    fn answers_come_in_order_and_the_count_returns_to_nothing() {
        let engine = Engine::start("test", Echo::default(), 10, || None, |_| {}).unwrap();
        runtime().block_on(async {
            let found = engine.translate(sentences(&[3, 1, 2]), LONG).await.unwrap();
            let ids: Vec<u32> = found.iter().map(|hypotheses| hypotheses[0].ids[0]).collect();
            assert_eq!(ids, [3, 1, 2]);
            assert_eq!(engine.translate(Vec::new(), LONG).await, Ok(Vec::new()));
            let empty = Request::new(Vec::new(), 0, Arc::default());
            let refused = engine.translate(vec![empty], LONG).await;
            assert_eq!(refused, Err(Failure::Refused("nothing to translate".into())));
        });
        let load = engine.load();
        assert_eq!((load.sentences(), load.finished(), load.is_broken()), (0, 3, false));
    }

    #[test]
    fn a_panic_fails_what_is_under_way_and_says_so() {
        let (tell, told) = channel();
        let engine = Engine::start("test", Echo::default(), 10, || None, move |said| tell.send(said).unwrap()).unwrap();
        runtime().block_on(async {
            let (good, bad) =
                tokio::join!(engine.translate(sentences(&[666, 1]), LONG), engine.translate(sentences(&[2, 3]), LONG));
            assert_eq!((good, bad), (Err(Failure::Broken), Err(Failure::Broken)));
            assert!(told.recv().unwrap().contains("a fault on purpose"));
            assert!(engine.load().is_broken());
            assert_eq!(engine.translate(sentences(&[1]), LONG).await, Err(Failure::Broken));
        });
        assert_eq!(engine.load().sentences(), 0);
    }

    #[test]
    fn a_model_that_is_changed_under_it_answers_nothing_more() {
        let changed = Arc::new(AtomicUsize::new(0));
        let (tell, told) = channel();
        let asked = changed.clone();
        let change = move || (asked.load(Ordering::SeqCst) > 0).then(|| "weights were cut short".to_string());
        let engine = Engine::start("test", Echo::default(), 10, change, move |said| tell.send(said).unwrap()).unwrap();
        runtime().block_on(async {
            assert!(engine.translate(sentences(&[1]), LONG).await.is_ok());
            changed.store(1, Ordering::SeqCst);
            assert_eq!(engine.translate(sentences(&[2, 3]), LONG).await, Err(Failure::Broken));
        });
        assert_eq!(told.recv().unwrap(), "weights were cut short");
        assert!(engine.load().is_broken());
        engine.close();
    }

    #[test]
    fn requests_take_turns() {
        let decoder = Echo::default();
        let order = decoder.order.clone();
        let engine = Engine::start("test", decoder, 1000, || None, |_| {}).unwrap();
        let long: Vec<u32> = [777].into_iter().chain(1000..1100).collect();
        runtime().block_on(async {
            tokio::join!(async { engine.translate(sentences(&long), LONG).await.unwrap() }, async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                engine.translate(sentences(&[1, 2]), LONG).await.unwrap();
            });
        });
        let order = order.lock().unwrap();
        let last_short = order.iter().position(|id| *id == 2).unwrap();
        assert!(last_short < 50, "the short request waited for {last_short} sentences: {order:?}");
    }

    #[test]
    fn beyond_the_queue_requests_are_turned_away_and_a_dropped_one_makes_room() {
        let decoder = Echo::default();
        let cancelled = decoder.cancelled.clone();
        let engine = Engine::start("test", decoder, 3, || None, |_| {}).unwrap();
        runtime().block_on(async {
            let gone = tokio::time::timeout(
                Duration::from_millis(20),
                engine.translate(sentences(&[777, 777, 777, 777]), LONG), // more than fits, but alone
            );
            let (gone, full) = tokio::join!(gone, engine.translate(sentences(&[1]), LONG));
            assert!(gone.is_err(), "it was not dropped");
            assert_eq!(full, Err(Failure::Full(1)));
            while engine.load().sentences() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(engine.translate(sentences(&[1, 2, 3]), LONG).await.is_ok());
        });
        assert!(cancelled.load(Ordering::SeqCst) > 0);
    }

    #[test]
    fn what_cannot_be_done_in_time_is_turned_away_at_once() {
        let engine = Engine::start("test", Echo::default(), 1000, || None, |_| {}).unwrap();
        runtime().block_on(async {
            engine.translate(sentences(&[777; 6]), LONG).await.unwrap();
            let rate = engine.load().rate();
            assert!(rate > 10.0 && rate < 25.0, "{rate}");
            let long = engine.translate(sentences(&[777; 10]), LONG);
            let (_, full) = tokio::join!(long, engine.translate(sentences(&[1; 10]), Duration::from_millis(700)));
            assert_eq!(full, Err(Failure::Full(1)));
        });
    }
}
