//! The search of one sentence, kept apart from the model: it names the tokens to be read next, takes their candidates, and
//! moves on.
//!
//! Hypotheses are leaves of a tree of tokens. A node knows its parent, so following another leaf is all it takes to reorder
//! the beam.

mod beam;
mod candidates;
mod constraints;
mod finish;
mod sampling;

pub(crate) use candidates::{Candidates, RowScratch};

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
    /// Its row in the target cache, once it was read and as long as it is needed.
    row: u32,
    /// The row of attention to the source from which it was predicted.
    attention: u32,
    /// The last step at which it was reachable from an open hypothesis.
    reached: u32,
}

/// A hypothesis under way.
#[derive(Clone, Default)]
struct Open {
    /// Its last token.
    node: u32,
    /// The sum of its log-probabilities.
    sum: f32,
    /// Which of the drawn translations it is.
    sample: u32,
    /// How far each constraint is met.
    met: Vec<u16>,
}

/// A finished hypothesis.
struct Done {
    /// Its last token without the end mark.
    node: u32,
    /// Whether the decoder has read that token; the last one at the longest length was only written.
    read: bool,
    /// Log-probability of the end mark, if it has one.
    end: Option<f32>,
    score: f32,
}

/// The search of one sentence.
pub(crate) struct Search {
    request: Request,
    constraints: Constraints,
    /// Longest translation with end mark.
    longest: usize,
    /// Tokens that every open hypothesis has, without the first.
    length: usize,
    nodes: Vec<Node>,
    open: Vec<Open>,
    /// The open hypotheses of the next step, and room for reuse.
    next: Vec<Open>,
    done: Vec<Done>,
    /// Nodes to be read: those of a forced prefix, then the open hypotheses.
    pending: Vec<u32>,
    /// Nodes that have a row in the target cache.
    held: Vec<u32>,
    step: u32,
    /// Attention to the source, `[rows, source]`.
    attention: Vec<f32>,
    /// The row of `attention` of the first pending token of the step.
    attention_base: u32,
    /// Routing of each node that was read, if wanted.
    routing: Vec<TokenRouting>,
    /// Routing of the source tokens, if wanted.
    pub source_routing: Vec<TokenRouting>,
    order: Vec<beam::Candidate>,
}

impl Search {
    /// Starts the search of a checked request.
    pub fn new(request: Request, longest: usize) -> Self {
        let constraints = Constraints::new(&request.constraints);
        let root = Node { parent: NONE, id: request.first, log_p: 0.0, row: NONE, attention: NONE, reached: 0 };
        let mut nodes = vec![root];
        for (i, id) in request.prefix.iter().enumerate() {
            nodes.push(Node { parent: i as u32, id: *id, ..root });
        }
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

    /// Tokens to be read in the next step.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Names the tokens to be read, in `tokens`, with rows of `cache`.
    pub fn read(&mut self, source: u32, tokens: &mut StepTokens, cache: &mut TargetCache) {
        let forced = self.forced();
        let attention = self.wants_attention();
        for i in 0..self.pending.len() {
            let node = self.pending[i];
            let row = cache.take();
            self.nodes[node as usize].row = row;
            self.held.push(node);
            tokens.ids.push(self.nodes[node as usize].id);
            tokens.places.push((self.length + i.min(forced) - forced) as u32);
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
            // The tokens of a forced prefix lie on the way to the first hypothesis.
            let whole = tokens.past.len() - start;
            let prefix = if i == forced { forced } else { 0 };
            for length in whole - prefix..=whole {
                tokens.spans.push((start as u32, (start + length) as u32));
            }
        }
    }

    /// Takes the candidates of the pending tokens, each in its row, and goes one step on. Gives whether the search is over.
    pub fn advance(&mut self, candidates: &[Candidates], cache: &mut TargetCache) -> bool {
        let forced = self.forced();
        for i in 0..forced {
            let child = self.pending[i + 1] as usize;
            let log_p = candidates[i].first().map_or(f32::NEG_INFINITY, |(_, log_p)| *log_p);
            self.nodes[child].log_p = log_p;
            self.nodes[child].attention = self.attention_row(i);
            self.open[0].sum += log_p;
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

    /// Takes the attention of the pending tokens from the front of `rows`, and the routing of their rows, from `first_row` on.
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

    /// Pending tokens of a forced prefix, which have a known continuation.
    fn forced(&self) -> usize {
        self.pending.len() - self.open.len()
    }

    fn wants_attention(&self) -> bool {
        let options = &self.request.options;
        options.alignment || options.attention || options.coverage_penalty > 0.0
    }

    /// The row of attention of pending token `i`.
    fn attention_row(&self, i: usize) -> u32 {
        if self.wants_attention() { self.attention_base + i as u32 } else { NONE }
    }

    /// Gives rows back that no open hypothesis needs.
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

    /// Gives all rows back, of a search that is cancelled.
    pub fn abandon(&mut self, cache: &mut TargetCache) {
        self.open.clear();
        self.step += 1;
        self.give_back(cache);
    }

    /// The ids of a hypothesis without the first, last to first.
    fn backwards(&self, mut node: u32) -> impl Iterator<Item = &Node> {
        std::iter::from_fn(move || {
            let at = &self.nodes[node as usize];
            node = at.parent;
            (node != NONE).then_some(at)
        })
    }
}
