//! The routing trace: which experts each token asked for, kept only for requests that ask for it.

use std::ops::Range;

use crate::gate::Choices;

/// One visit of a token to a gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateVisit {
    /// The gate's stratum, from 0.
    pub stratum: usize,
    /// The chosen experts by their index in the block, best first.
    pub experts: Vec<u32>,
    /// The gate's probability of each.
    pub probabilities: Vec<f32>,
    /// The gate's probability of each expert that it sees.
    pub distribution: Vec<f32>,
    /// The index in the block of the first expert that the gate sees.
    pub first: usize,
}

/// A token's visits in one expert block; their number is its requested capacity (RC).
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRouting {
    /// The block's layer, from 0.
    pub layer: usize,
    /// One for each stratum that the token visited, in order.
    pub visits: Vec<GateVisit>,
}

/// A token's visits in all expert blocks of the encoder or of the decoder.
pub type TokenRouting = Vec<BlockRouting>;

/// The routing of a sentence and of one of its translations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// Of each source token, in the encoder.
    pub source: Vec<TokenRouting>,
    /// Of each token that the decoder read: the last token of its prompt (such as the language tag), then the
    /// translation without its last one.
    pub target: Vec<TokenRouting>,
}

/// What the gate of one stratum decided for the tokens that visit it.
pub(crate) struct StratumVisit<'a> {
    pub stratum: usize,
    /// The experts that the gate sees.
    pub visible: Range<usize>,
    /// `k`: how many of each token's choices count.
    pub top_k: usize,
    /// The tokens.
    pub rows: &'a [u32],
    /// Of each token.
    pub choices: &'a [Choices],
    /// The gate's probabilities `[tokens, visible]`.
    pub probabilities: &'a [f32],
}

/// Collects the visits of one pass.
#[derive(Default)]
pub(crate) struct Tracer {
    /// The layer that the pass is in.
    pub layer: usize,
    /// Whether to keep each row's visits; rows beyond the end are not kept.
    pub wanted: Vec<bool>,
    /// Of each row, empty where not wanted.
    routings: Vec<TokenRouting>,
}

impl Tracer {
    /// Forgets the previous pass.
    pub fn clear(&mut self) {
        self.wanted.clear();
        self.routings.clear();
    }

    /// Takes the routing of `row` out.
    pub fn take(&mut self, row: usize) -> TokenRouting {
        self.routings.get_mut(row).map(std::mem::take).unwrap_or_default()
    }

    /// Notes what a gate decided.
    pub fn note(&mut self, visit: StratumVisit<'_>) {
        if self.wanted.is_empty() {
            return;
        }
        let StratumVisit { stratum, visible, top_k, rows, choices, probabilities } = visit;
        self.routings.resize(self.wanted.len(), Vec::new());
        for ((row, choice), distribution) in rows.iter().zip(choices).zip(probabilities.chunks_exact(visible.len())) {
            if !self.wanted.get(*row as usize).is_some_and(|wanted| *wanted) {
                continue;
            }
            let routing = &mut self.routings[*row as usize];
            if routing.last().is_none_or(|block| block.layer != self.layer) {
                routing.push(BlockRouting { layer: self.layer, visits: Vec::new() });
            }
            if let Some(block) = routing.last_mut() {
                block.visits.push(GateVisit {
                    stratum,
                    experts: choice.experts[..top_k].iter().map(|e| e + visible.start as u32).collect(),
                    probabilities: choice.probabilities[..top_k].to_vec(),
                    distribution: distribution.to_vec(),
                    first: visible.start,
                });
            }
        }
    }
}
