use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use strata_runtime::{Error, Finished, Hypothesis, SearchOptions};

use super::*;

/// Finishes the oldest sentence at every step with its source as the translation; falls over at subword 666, and takes
/// its time at 777.
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
    ids.iter().map(|id| Request::new(vec![*id], [0], 1, SearchOptions::default())).collect()
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
        let empty = Request::new(Vec::new(), [0], 1, SearchOptions::default());
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
