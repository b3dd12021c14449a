//! A request on its way through a model's thread, and what decodes it.

use std::collections::VecDeque;

use strata_runtime::{Error, Finished, Hypothesis, Request, Session};
use tokio::sync::oneshot;

use crate::engine::load::Admission;

/// What decodes, step by step: the engine's [`Session`], or a stand-in in tests.
pub trait Decoder: Send + 'static {
    /// Queues a request and returns its id.
    ///
    /// # Errors
    /// A request that does not fit the model.
    fn submit(&mut self, request: Request) -> Result<u64, Error>;
    /// Drops a request.
    fn cancel(&mut self, id: u64);
    /// Decodes one more token of each sentence; returns those that are finished.
    fn step(&mut self) -> Vec<Finished>;
    /// Requests that wait for room in the batch.
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
    /// The engine has stopped because of a fault.
    Broken,
    /// Too many sentences are waiting; try again after this many seconds.
    Full(u64),
    /// The model cannot take a sentence; why.
    Refused(String),
}

/// All translations of a request, sentence by sentence.
pub type Translations = Vec<Vec<Hypothesis>>;

/// Where a request's translations go.
pub type Reply = oneshot::Sender<Result<Translations, Failure>>;

/// A request on its way through the thread.
pub struct Job {
    /// Sentences that are not in the batch yet, with their places in the request.
    pub pending: VecDeque<(usize, Request)>,
    /// The translations so far, by place.
    pub results: Translations,
    /// Sentences without a translation.
    pub missing: usize,
    /// Declared before `reply`, so that it is dropped first.
    admission: Admission,
    reply: Reply,
}

impl Job {
    /// A request's sentences, none of them translated.
    pub fn new(requests: Vec<Request>, admission: Admission, reply: Reply) -> Self {
        let missing = requests.len();
        let pending = requests.into_iter().enumerate().collect();
        Self { pending, results: vec![Vec::new(); missing], missing, admission, reply }
    }

    /// Ends it. Its room is free before its client has the answer.
    pub fn answer(self, answer: Result<Translations, Failure>) {
        let Self { admission, reply, .. } = self;
        drop(admission);
        // The client may be gone.
        let _ = reply.send(answer);
    }

    /// Whether nobody waits for it any more.
    pub fn is_closed(&self) -> bool {
        self.reply.is_closed()
    }
}
