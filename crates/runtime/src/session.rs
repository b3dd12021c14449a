//! Continuous batching: sentences join the batch when there is room and leave it when they are finished, independently
//! of their neighbors.
//!
//! A request's bits do not depend on its neighbors, on when it joins, or on the number of threads: every row of every
//! product is computed by itself, and sums have a fixed order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::cache::{Sources, TargetCache};
use crate::decoder::StepTokens;
use crate::error::Error;
use crate::model::Model;
use crate::request::{Hypothesis, Request};
use crate::routing::TokenRouting;
use crate::search::Search;
use crate::vocabulary::Projection;
use crate::workspace::Workspace;

/// What a session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most source tokens in the batch; a single sentence may exceed it.
    pub source_tokens: usize,
    /// Most hypotheses in the batch; a single sentence may exceed it.
    pub hypotheses: usize,
    /// Waiting sentences join together once they have this many source tokens, or once all of them fit: encoding many
    /// tokens together reads the encoder's weights once.
    pub join_tokens: usize,
    /// Threads of a step; with several workers, of all of them together.
    pub threads: usize,
    /// Parallel sessions of [`Engine::translate`](crate::Engine::translate), each with its share of the limits above:
    /// they need not wait for one another at every product. 0 = automatic. A session on its own ignores it.
    pub workers: usize,
}

/// Suits a machine that does nothing else.
impl Default for Limits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { source_tokens: 4096, hypotheses: 320, join_tokens: 256, threads, workers: 0 }
    }
}

/// Most source tokens encoded together; more would only need larger buffers.
const ENCODED: usize = 1024;

/// A request's translations.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The id that [`Session::submit`] returned.
    pub id: u64,
    /// Up to `nbest` translations, best first; at least one.
    pub hypotheses: Vec<Hypothesis>,
}

/// Requests in translation by one model, step by step.
pub struct Session {
    model: Arc<Model>,
    limits: Limits,
    next_id: u64,
    waiting: VecDeque<(u64, Request)>,
    active: Vec<Active>,
    own: TargetCache,
    sources: Sources,
    workspace: Workspace,
    tokens: StepTokens,
    projection: Projection,
    joining: Joining,
}

/// A sentence in the batch.
struct Active {
    id: u64,
    /// Slot of its source.
    source: u32,
    search: Search,
}

/// Buffers of sentences that join.
#[derive(Default)]
struct Joining {
    ids: Vec<u32>,
    offsets: Vec<usize>,
    slots: Vec<u32>,
}

impl Session {
    /// A session without requests.
    pub fn new(model: Arc<Model>, limits: Limits) -> Self {
        Self {
            own: TargetCache::new(model.decoder.len(), model.row_width()),
            workspace: Workspace::new(limits.threads),
            model,
            limits,
            next_id: 0,
            waiting: VecDeque::new(),
            active: Vec::new(),
            sources: Sources::default(),
            tokens: StepTokens::default(),
            projection: Projection::default(),
            joining: Joining::default(),
        }
    }

    /// Queues a request and returns its id. Requests join the batch in the order of submission.
    ///
    /// # Errors
    /// [`Error::Request`] for a request that does not fit the model.
    pub fn submit(&mut self, request: Request) -> Result<u64, Error> {
        request.check(&self.model.config)?;
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back((id, request));
        Ok(id)
    }

    /// Drops a request, waiting or in the batch; returns whether there was one.
    pub fn cancel(&mut self, id: u64) -> bool {
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == id) {
            self.waiting.remove(at);
            return true;
        }
        let Some(at) = self.active.iter().position(|active| active.id == id) else { return false };
        let mut active = self.active.remove(at);
        active.search.abandon(&mut self.own);
        self.sources.give_back(active.source);
        true
    }

    /// Whether no request is waiting or in the batch.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Number of requests that wait for room.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Number of requests in the batch.
    pub fn active(&self) -> usize {
        self.active.len()
    }

    /// Lets waiting sentences join, extends every hypothesis by a token, and returns the requests that this finished.
    pub fn step(&mut self) -> Vec<Finished> {
        if self.limits.threads < 2 {
            return self.advance();
        }
        // One of the pool's threads takes the step. A thread from outside would sleep through each product until the
        // pool woke it, which for a single sentence takes as long as the products.
        rayon::scope(|_| self.advance())
    }

    /// [`Session::step`] on this thread and its pool.
    fn advance(&mut self) -> Vec<Finished> {
        self.join();
        if self.active.is_empty() {
            return Vec::new();
        }
        self.tokens.clear();
        self.workspace.tracer.clear();
        let tracing = self.active.iter().any(|active| active.search.request().options.routing);
        for active in &mut self.active {
            active.search.read(active.source, &mut self.tokens, &mut self.own);
            if tracing {
                self.workspace.tracer.wanted.resize(self.tokens.len(), active.search.request().options.routing);
            }
        }
        self.model.read(&mut self.tokens, &mut self.own, &self.sources, &mut self.workspace);
        let mut attention = self.tokens.attention_rows.as_slice();
        let mut row = 0;
        for active in &mut self.active {
            active.search.observe(&mut attention, row, &mut self.workspace.tracer);
            row += active.search.pending();
        }
        let searches: Vec<&Search> = self.active.iter().map(|active| &active.search).collect();
        let hidden = &self.workspace.normed[..self.tokens.len() * self.model.config.d_model];
        self.projection.run(&self.model, hidden, &searches, &mut self.workspace.scratch);
        let mut finished = Vec::new();
        let mut row = 0;
        self.active.retain_mut(|active| {
            let rows = row..row + active.search.pending();
            row = rows.end;
            let over = active.search.advance(&self.projection.candidates[rows], &mut self.own);
            if over {
                self.sources.give_back(active.source);
                finished.push(Finished { id: active.id, hypotheses: active.search.finish() });
            }
            !over
        });
        finished
    }

    /// Lets waiting sentences join as far as there is room.
    fn join(&mut self) {
        let mut tokens: usize = self.active.iter().map(|active| active.search.request().source.len()).sum();
        let mut width: usize = self.active.iter().map(|active| active.search.request().width()).sum();
        let (mut joining, mut new_tokens) = (0, 0);
        for (_, request) in &self.waiting {
            let alone = self.active.is_empty() && joining == 0;
            tokens += request.source.len();
            width += request.width();
            if !alone && (tokens > self.limits.source_tokens || width > self.limits.hypotheses) {
                break;
            }
            joining += 1;
            new_tokens += request.source.len();
        }
        let enough = joining == self.waiting.len() || new_tokens >= self.limits.join_tokens || self.active.is_empty();
        if !enough {
            return;
        }
        while joining > 0 {
            let mut tokens = 0;
            let group = self.waiting.iter().take(joining).take_while(|(_, request)| {
                let fits = tokens == 0 || tokens + request.source.len() <= ENCODED;
                tokens += request.source.len();
                fits
            });
            let group = group.count();
            self.encode(group);
            joining -= group;
        }
    }

    /// Encodes the first `count` waiting sentences.
    fn encode(&mut self, count: usize) {
        let (layers, d) = (self.model.decoder.len(), self.model.config.d_model);
        let Joining { ids, offsets, slots } = &mut self.joining;
        ids.clear();
        slots.clear();
        offsets.clear();
        offsets.push(0);
        self.workspace.tracer.clear();
        let tracing = self.waiting.iter().take(count).any(|(_, request)| request.options.routing);
        for (_, request) in self.waiting.iter().take(count) {
            ids.extend_from_slice(&request.source);
            offsets.push(ids.len());
            slots.push(self.sources.take(request.source.len(), layers, d));
            if tracing {
                self.workspace.tracer.wanted.resize(ids.len(), request.options.routing);
            }
        }
        self.model.encode(ids, offsets, &mut self.workspace);
        self.model.keep_sources(offsets, slots, &mut self.sources, &mut self.workspace);
        for ((slot, bounds), (id, request)) in slots.iter().zip(offsets.windows(2)).zip(self.waiting.drain(..count)) {
            let mut routing: Vec<TokenRouting> = Vec::new();
            if request.options.routing {
                routing.extend((bounds[0]..bounds[1]).map(|row| self.workspace.tracer.take(row)));
            }
            let longest = request.longest(&self.model.config);
            let mut search = Search::new(request, longest);
            search.source_routing = routing;
            self.active.push(Active { id, source: *slot, search });
        }
    }
}

#[cfg(test)]
mod tests {
    use strata_recipe::{ModelConfig, SearchOptions};

    use super::*;
    use crate::linear::Precision;
    use crate::weights::RandomWeights;

    fn session(limits: Limits) -> Session {
        let config = ModelConfig {
            encoder_layers: 1,
            decoder_layers: 1,
            d_model: 8,
            d_ffn: 8,
            heads: 2,
            vocab_size: 50,
            max_length: 40,
            ..ModelConfig::default()
        };
        let model = Model::pack(&config, &RandomWeights::new(1), Precision::F32).expect("a model");
        Session::new(Arc::new(model), limits)
    }

    fn request(length: usize) -> Request {
        let options = SearchOptions { max_ratio: 0.0, max_extra: 30, min_length: 25, ..SearchOptions::default() };
        Request::new([vec![3; length - 1], vec![1]].concat(), [2], 1, options)
    }

    #[test]
    fn only_rows_of_live_hypotheses_are_kept_and_all_come_back() {
        let mut session = session(Limits { threads: 1, ..Limits::default() });
        (5..10).for_each(|length| assert!(session.submit(request(length)).is_ok()));
        let (mut most, mut written, mut steps) = (0, 0, 0);
        while !session.is_idle() {
            session.step();
            written += session.tokens.len();
            most = most.max(session.own.used());
            // A live hypothesis has at most one row for each token.
            steps += 1;
            assert!(session.own.used() <= session.active.len() * 5 * steps);
        }
        assert_eq!(session.own.used(), 0);
        assert!(most < written / 2, "{most} rows at a time, {written} written");
        let id = session.submit(request(7)).expect("an id");
        (0..4).for_each(|_| assert!(session.step().is_empty()));
        assert!(session.own.used() > 0 && session.cancel(id));
        assert_eq!((session.own.used(), session.is_idle()), (0, true));
    }

    #[test]
    fn limits_hold_and_one_sentence_may_exceed_them() {
        let limits = Limits { source_tokens: 20, hypotheses: 12, join_tokens: 1, threads: 1, workers: 1 };
        let mut session = session(limits);
        for length in [30, 5, 5, 5, 12, 12] {
            session.submit(request(length)).expect("an id");
        }
        let mut together = Vec::new();
        while !session.is_idle() {
            session.step();
            let lengths: Vec<usize> = session.active.iter().map(|a| a.search.request().source.len()).collect();
            let fits = lengths.iter().sum::<usize>() <= 20 && 5 * lengths.len() <= 12;
            assert!(fits || lengths.len() == 1, "{lengths:?}");
            together.push(lengths.len());
        }
        assert_eq!(together.first(), Some(&1));
        assert_eq!(together.iter().max(), Some(&2), "two of beam 5 fit 12 hypotheses");
    }
}
