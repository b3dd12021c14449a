//! The search of one sentence, apart from the model: it says which tokens to read next, takes their candidates, and
//! chooses.
//!
//! Hypotheses are leaves of a tree of tokens. A node knows its parent, so reordering the beam only means following
//! another leaf.

mod beam;
mod candidates;
mod constraints;
mod finish;
mod question;
mod sampling;

pub(crate) use candidates::Candidates;
pub(crate) use question::{Answer, Question};
pub(crate) use sampling::Buffers as SamplingBuffers;

use crate::cache::TargetCache;
use crate::decoder::StepTokens;
use crate::request::Request;
use crate::routing::{TokenRouting, Tracer};
use constraints::Constraints;

/// No node, row or place.
const NONE: u32 = u32::MAX;

/// A token of the tree.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    id: u32,
    /// Its log-probability.
    log_p: f32,
    /// Its row in the target cache, from when it is read until no open hypothesis needs it.
    row: u32,
    /// The row of [`Search::attention`] from which it was predicted.
    attention: u32,
    /// The last step at which an open hypothesis contained it.
    reached: u32,
}

/// An open hypothesis.
#[derive(Clone, Default)]
struct Open {
    /// Its last token.
    node: u32,
    /// The sum of its log-probabilities.
    sum: f32,
    /// Sampling: the number of the translation.
    sample: u32,
    /// Tokens of each constraint that are met.
    met: Vec<u16>,
}

/// A finished hypothesis.
struct Done {
    /// Its last token without the end mark.
    node: u32,
    /// Whether the decoder has read that token; at the longest length the last token is written but never read.
    read: bool,
    /// Log-probability of the end mark, if it has one.
    end: Option<f32>,
    score: f32,
}

/// The search of one sentence.
pub(crate) struct Search {
    request: Request,
    constraints: Constraints,
    /// Longest translation, end mark included.
    longest: usize,
    /// Tokens that every open hypothesis has, without the prompt.
    length: usize,
    nodes: Vec<Node>,
    open: Vec<Open>,
    /// The open hypotheses of the next step; a buffer between steps.
    next: Vec<Open>,
    done: Vec<Done>,
    /// Nodes to read in the next step: those of the prompt and of a forced prefix, then the open hypotheses.
    pending: Vec<u32>,
    /// Nodes that have a row in the target cache.
    held: Vec<u32>,
    step: u32,
    /// `[rows, source]`: attention to the source, a row for each token that was read.
    attention: Vec<f32>,
    /// The row of `attention` of the first pending token of the step.
    attention_base: u32,
    /// Routing of each node that was read, if asked for.
    routing: Vec<TokenRouting>,
    /// Routing of the source tokens, if asked for.
    pub source_routing: Vec<TokenRouting>,
    order: Vec<beam::Candidate>,
}

impl Search {
    /// Starts the search of a checked request.
    pub fn new(request: Request, longest: usize) -> Self {
        let constraints = Constraints::new(&request.constraints);
        let read = request.prompt.iter().chain(&request.prefix).enumerate();
        let node = |(i, id): (usize, &u32)| Node {
            parent: (i as u32).checked_sub(1).unwrap_or(NONE),
            id: *id,
            log_p: 0.0,
            row: NONE,
            attention: NONE,
            reached: 0,
        };
        let nodes: Vec<Node> = read.map(node).collect();
        let last = nodes.len() as u32 - 1;
        let mut met = constraints.none();
        request.prefix.iter().for_each(|id| constraints.advance(&mut met, *id));
        Self {
            longest,
            length: request.prefix.len(),
            pending: (0..=last).collect(),
            open: vec![Open { node: last, sum: 0.0, sample: 0, met }],
            constraints,
            nodes,
            request,
            next: Vec::new(),
            done: Vec::new(),
            held: Vec::new(),
            step: 0,
            attention: Vec::new(),
            attention_base: 0,
            routing: Vec::new(),
            source_routing: Vec::new(),
            order: Vec::new(),
        }
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Tokens to read in the next step.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Adds the tokens to read to `tokens`, each with a row of `cache`.
    pub fn read(&mut self, source: u32, tokens: &mut StepTokens, cache: &mut TargetCache) {
        let forced = self.forced();
        let attention = self.wants_attention();
        for i in 0..self.pending.len() {
            let node = self.pending[i];
            let row = cache.take();
            self.nodes[node as usize].row = row;
            self.held.push(node);
            tokens.ids.push(self.nodes[node as usize].id);
            // The last token of the prompt stands in front of the hypothesis.
            let last = self.request.prompt.len() - 1;
            tokens.places.push((last + self.length + i.min(forced) - forced) as u32);
            tokens.rows.push(row);
            tokens.sources.push(source);
            tokens.attention.push(attention);
        }
        for i in forced..self.pending.len() {
            let start = tokens.past.len();
            let mut node = self.pending[i];
            while node != NONE {
                let at = &self.nodes[node as usize];
                tokens.past.push(at.row);
                node = at.parent;
            }
            tokens.past[start..].reverse();
            // The forced prefix is part of the first hypothesis' past.
            let whole = tokens.past.len() - start;
            let prefix = if i == forced { forced } else { 0 };
            for length in whole - prefix..=whole {
                tokens.spans.push((start as u32, (start + length) as u32));
            }
        }
    }

    /// Takes one step, given the candidates of each pending token. Returns whether the search is over.
    pub fn advance(&mut self, candidates: &[Candidates], cache: &mut TargetCache) -> bool {
        let forced = self.forced();
        for i in 0..forced {
            let child = self.pending[i + 1] as usize;
            let log_p = candidates[i].first().map_or(f32::NEG_INFINITY, |(_, log_p)| *log_p);
            self.nodes[child].log_p = log_p;
            self.nodes[child].attention = self.attention_row(i);
            if child >= self.request.prompt.len() {
                self.open[0].sum += log_p;
            }
        }
        let over = self.choose(&candidates[forced..]);
        std::mem::swap(&mut self.open, &mut self.next);
        self.length += 1;
        self.step += 1;
        self.pending.clear();
        self.pending.extend(self.open.iter().map(|open| open.node));
        if over {
            self.open.clear();
        }
        self.give_back(cache);
        over
    }

    /// Takes the attention of the pending tokens from the front of `rows`, and their routing from `first_row` on.
    pub fn observe(&mut self, rows: &mut &[f32], first_row: usize, tracer: &mut Tracer) {
        if self.wants_attention() {
            let source = self.request.source.len();
            self.attention_base = (self.attention.len() / source) as u32;
            let (mine, rest) = rows.split_at(self.pending.len() * source);
            self.attention.extend_from_slice(mine);
            *rows = rest;
        }
        if self.request.options.routing {
            self.routing.resize(self.nodes.len(), Vec::new());
            for (i, node) in self.pending.iter().enumerate() {
                self.routing[*node as usize] = tracer.take(first_row + i);
            }
        }
    }

    /// Pending tokens of a forced prefix, whose continuation is known.
    fn forced(&self) -> usize {
        self.pending.len() - self.open.len()
    }

    fn wants_attention(&self) -> bool {
        let options = &self.request.options;
        options.alignments || options.coverage_penalty > 0.0
    }

    /// The row of attention of pending token `i`.
    fn attention_row(&self, i: usize) -> u32 {
        if self.wants_attention() { self.attention_base + i as u32 } else { NONE }
    }

    /// Gives back the cache rows that no open hypothesis needs.
    fn give_back(&mut self, cache: &mut TargetCache) {
        let step = self.step;
        for open in &self.open {
            let mut node = open.node;
            while node != NONE && self.nodes[node as usize].reached != step {
                self.nodes[node as usize].reached = step;
                node = self.nodes[node as usize].parent;
            }
        }
        let nodes = &mut self.nodes;
        self.held.retain(|node| {
            let node = &mut nodes[*node as usize];
            let needed = node.reached == step;
            if !needed {
                cache.give_back(node.row);
                node.row = NONE;
            }
            needed
        });
    }

    /// Gives back all cache rows when the search is canceled.
    pub fn abandon(&mut self, cache: &mut TargetCache) {
        self.open.clear();
        self.step += 1;
        self.give_back(cache);
    }

    /// The nodes of a hypothesis without its prompt, from last to first.
    fn backwards(&self, mut node: u32) -> impl Iterator<Item = &Node> {
        std::iter::from_fn(move || {
            let behind_the_prompt = node as usize >= self.request.prompt.len();
            let at = &self.nodes[node as usize];
            node = at.parent;
            behind_the_prompt.then_some(at)
        })
    }
}
