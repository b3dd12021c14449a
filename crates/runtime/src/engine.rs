//! The engine: many requests in, their translations out, in the same order.

use std::sync::{Arc, Mutex};

use crate::error::Error;
use crate::model::Model;
use crate::request::{Hypothesis, Request, SearchOptions};
use crate::session::{Limits, Session};

/// Translates with one model. It can be shared by threads; each call has its own session.
pub struct Engine {
    model: Arc<Model>,
    /// A session for reuse, so that calls one after another allocate its buffers once.
    idle: Mutex<Option<(Limits, Session)>>,
}

impl Engine {
    /// An engine for `model`.
    pub fn new(model: Arc<Model>) -> Self {
        Self { model, idle: Mutex::new(None) }
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// A session of its own, for callers that go step by step.
    pub fn session(&self, limits: Limits) -> Session {
        Session::new(self.model.clone(), limits)
    }

    /// Translates `requests`: for each up to `nbest` hypotheses, best first, in the order of the requests.
    ///
    /// # Errors
    /// [`Error::Request`] for a request that does not fit the model; nothing is translated then.
    pub fn translate(&self, requests: &[Request], limits: &Limits) -> Result<Vec<Vec<Hypothesis>>, Error> {
        requests.iter().try_for_each(|request| request.check(self.model.config()))?;
        let mut session = match self.idle.lock() {
            Ok(mut idle) => idle.take().filter(|(of, _)| of == limits).map(|(_, session)| session),
            Err(_) => None,
        }
        .unwrap_or_else(|| self.session(*limits));
        // Longest first: sentences that are together in the batch then end at about the same step, and no long one is left for
        // the end, alone.
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(requests[*i].source.len()));
        let mut places = Vec::with_capacity(order.len());
        for i in order {
            places.push((session.submit(requests[i].clone())?, i));
        }
        let mut results = vec![Vec::new(); requests.len()];
        let first = places.first().map_or(0, |(id, _)| *id);
        while !session.is_idle() {
            for finished in session.step() {
                // Ids are given one after another.
                results[places[(finished.id - first) as usize].1] = finished.hypotheses;
            }
        }
        if let Ok(mut idle) = self.idle.lock() {
            *idle = Some((*limits, session));
        }
        Ok(results)
    }

    /// The natural log-probability of each subword of `target` (given without the end mark) and of the end mark after it, as the
    /// translation of `source` with the decoder's first token `first`.
    ///
    /// # Errors
    /// As [`Engine::translate`].
    pub fn score(&self, source: &[u32], first: u32, target: &[u32], end: u32) -> Result<Vec<f32>, Error> {
        let options = Arc::new(SearchOptions { beam: 1, end, ..SearchOptions::default() });
        let request = Request::score(source.to_vec(), first, target.to_vec(), options);
        let results = self.translate(&[request], &Limits::default())?;
        Ok(results.into_iter().flatten().next().map(|hypothesis| hypothesis.token_scores).unwrap_or_default())
    }
}
