//! The thread that runs a model: it takes sentences from the requests in turn, so that a long request does not hold up short
//! ones, and lets them join one batch.
//!
//! A panic in the engine fails the requests that are in it, and ends the thread; the next request gets a new one.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use strata_runtime::{Error, Finished, Hypothesis, Request, Session};
use tokio::sync::oneshot;

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

/// What is known of an engine from outside.
#[derive(Debug, Default)]
pub struct Load {
    /// Sentences that were let in and are not answered.
    sentences: AtomicUsize,
    /// Sentences finished since the start.
    finished: AtomicU64,
    /// Subwords written since the start.
    subwords: AtomicU64,
    /// Sentences per second, lately; bits of an f64, 0 before the first measurement.
    rate: AtomicU64,
    /// Whether the engine's thread has ended by a panic.
    broken: AtomicBool,
}

impl Load {
    /// Sentences waiting or under way.
    pub fn sentences(&self) -> usize {
        self.sentences.load(Ordering::Relaxed)
    }

    /// Sentences finished since the start.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Subwords written since the start.
    pub fn subwords(&self) -> u64 {
        self.subwords.load(Ordering::Relaxed)
    }

    /// Sentences per second while there is work; 0 before anything was measured.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// Whether the engine has stopped by a fault.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// How long those that are there will take.
    fn wait(&self, sentences: usize) -> Duration {
        let rate = self.rate();
        if rate > 0.0 { Duration::from_secs_f64((sentences as f64 / rate).min(86_400.0)) } else { Duration::ZERO }
    }
}

/// Sentences let in; they leave the count when this is dropped.
struct Admission {
    load: Arc<Load>,
    sentences: usize,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.load.sentences.fetch_sub(self.sentences, Ordering::Relaxed);
    }
}

/// All translations of a request, sentence by sentence.
pub type Translations = Vec<Vec<Hypothesis>>;

struct Job {
    /// What is not in the batch yet, with its place.
    pending: VecDeque<(usize, Request)>,
    results: Translations,
    missing: usize,
    /// In front of `reply`, so that it is dropped first.
    admission: Admission,
    reply: oneshot::Sender<Result<Translations, Failure>>,
}

impl Job {
    /// Ends it: who has the answer finds its room free.
    fn answer(self, answer: Result<Translations, Failure>) {
        let Self { admission, reply, .. } = self;
        drop(admission);
        // A client may be gone.
        let _ = reply.send(answer);
    }
}

/// An engine's outside. Dropping the last one ends its thread.
pub struct Engine {
    jobs: Mutex<Sender<Job>>,
    load: Arc<Load>,
    most: usize,
}

impl Engine {
    /// Starts the thread `name`; at most `most` sentences are let in. `broken` is told what a panic said.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        name: &str,
        decoder: impl Decoder,
        most: usize,
        broken: impl FnOnce(String) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, receiver) = channel();
        let load = Arc::new(Load::default());
        let worker = Worker {
            decoder,
            receiver,
            load: load.clone(),
            jobs: HashMap::new(),
            turns: VecDeque::new(),
            places: HashMap::new(),
            next: 0,
            busy: 0.0,
            done: 0.0,
        };
        std::thread::Builder::new().name(format!("engine {name}")).spawn(move || worker.run(broken))?;
        Ok(Self { jobs: Mutex::new(jobs), load, most })
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
        let before = self.load.sentences.fetch_add(count, Ordering::Relaxed);
        let admission = Admission { load: self.load.clone(), sentences: count };
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

/// Sentences that wait in the decoder for room at most, so that every request's turn comes soon.
const FEED: usize = 32;
/// Time after which what was measured counts half, in seconds.
const HALF_LIFE: f64 = 5.0;

/// The thread's side.
struct Worker<D> {
    decoder: D,
    receiver: Receiver<Job>,
    load: Arc<Load>,
    jobs: HashMap<u64, Job>,
    /// Jobs with sentences that are not in the decoder, in the order of their turns.
    turns: VecDeque<u64>,
    /// The job and place of each sentence in the decoder.
    places: HashMap<u64, (u64, usize)>,
    next: u64,
    /// Seconds of work and sentences done in them, the older the less.
    busy: f64,
    done: f64,
}

impl<D: Decoder> Worker<D> {
    fn run(mut self, broken: impl FnOnce(String)) {
        let panic = loop {
            // The worker is not used after a panic but to answer those that wait.
            match catch_unwind(AssertUnwindSafe(|| self.round())) {
                Ok(true) => {}
                Ok(false) => return,
                Err(panic) => break panic,
            }
        };
        self.load.broken.store(true, Ordering::Release);
        let said = panic.downcast_ref::<&str>().map(ToString::to_string);
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        broken(said);
        for (_, job) in self.jobs.drain() {
            job.answer(Err(Failure::Broken));
        }
        // Jobs that were sent meanwhile are dropped with the receiver, which their senders see.
    }

    /// One step; false when there will be no more work.
    fn round(&mut self) -> bool {
        if self.jobs.is_empty() {
            match self.receiver.recv() {
                Ok(job) => self.take(job),
                Err(_) => return false,
            }
        }
        // Those that wait for answers hold the engine themselves, so a closed channel means only that no more come.
        while let Ok(job) = self.receiver.try_recv() {
            self.take(job);
        }
        self.forget_closed();
        self.feed();
        if self.decoder.is_idle() {
            return true;
        }
        let start = Instant::now();
        let finished = self.decoder.step();
        self.measure(start.elapsed().as_secs_f64(), finished.len());
        for finished in finished {
            self.finish(finished);
        }
        true
    }

    fn take(&mut self, job: Job) {
        self.jobs.insert(self.next, job);
        self.turns.push_back(self.next);
        self.next += 1;
    }

    /// Takes out the requests whose clients are gone or whose time is up.
    fn forget_closed(&mut self) {
        let closed: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| job.reply.is_closed()).map(|(number, _)| *number).collect();
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
        self.load.subwords.fetch_add(written as u64, Ordering::Relaxed);
        self.load.finished.fetch_add(1, Ordering::Relaxed);
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
            self.load.rate.store((self.done / self.busy).to_bits(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
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
        let engine = Engine::start("test", Echo::default(), 10, |_| {}).unwrap();
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
        let engine = Engine::start("test", Echo::default(), 10, move |said| tell.send(said).unwrap()).unwrap();
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
    fn requests_take_turns() {
        let decoder = Echo::default();
        let order = decoder.order.clone();
        let engine = Engine::start("test", decoder, 1000, |_| {}).unwrap();
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
        let engine = Engine::start("test", decoder, 3, |_| {}).unwrap();
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
        let engine = Engine::start("test", Echo::default(), 1000, |_| {}).unwrap();
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
