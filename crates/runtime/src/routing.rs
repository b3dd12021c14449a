//! The routing trace: which experts each token asked for, kept only for the requests that want it.

use crate::gate::Choices;

/// One visit of a token to a gate.
#[derive(Clone, Debug, PartialEq)]
pub struct GateVisit {
    /// The gate's stratum, from 0.
    pub stratum: usize,
    /// The chosen experts by their global index in the block, best first.
    pub experts: Vec<u32>,
    /// The gate's probability of each.
    pub probabilities: Vec<f32>,
    /// The gate's probability of every expert that it sees, which are the block's experts from `first` on.
    pub distribution: Vec<f32>,
    /// The first expert that the gate sees.
    pub first: usize,
}

/// A token's way through one expert block; the number of visits is its requested capacity (RC).
#[derive(Clone, Debug, PartialEq)]
pub struct BlockRouting {
    /// The block's layer, from 0.
    pub layer: usize,
    /// The gates that it visited, in order.
    pub visits: Vec<GateVisit>,
}

/// A token's way through all expert blocks of the encoder or of the decoder.
pub type TokenRouting = Vec<BlockRouting>;

/// The routing of a sentence and of one translation of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// Of each source token, in the encoder.
    pub source: Vec<TokenRouting>,
    /// Of each token that the decoder read: the first token, then the translation's without the last one that it wrote.
    pub target: Vec<TokenRouting>,
}

/// What the gate of one stratum chose for the tokens that visit it.
pub(crate) struct AtGate<'a> {
    pub stratum: usize,
    /// Its first visible expert.
    pub first: usize,
    pub visible: usize,
    pub top_k: usize,
    /// The tokens.
    pub rows: &'a [u32],
    /// One for each token.
    pub choices: &'a [Choices],
    /// The gate's probabilities `[tokens, visible]`.
    pub distributions: &'a [f32],
}

/// Collects the visits of the rows of one pass.
#[derive(Default)]
pub(crate) struct Tracer {
    /// The layer under way.
    pub layer: usize,
    /// Whether each row's visits are wanted; rows beyond the end are not.
    pub wanted: Vec<bool>,
    /// The routing of each row that is wanted.
    routings: Vec<TokenRouting>,
}

impl Tracer {
    /// Forgets the pass before.
    pub fn clear(&mut self) {
        self.wanted.clear();
        self.routings.clear();
    }

    /// The routing of `row`, which is left empty.
    pub fn take(&mut self, row: usize) -> TokenRouting {
        self.routings.get_mut(row).map(std::mem::take).unwrap_or_default()
    }

    /// Notes what a gate chose.
    pub fn visits(&mut self, gate: AtGate<'_>) {
        if self.wanted.is_empty() {
            return;
        }
        let AtGate { stratum, first, visible, top_k, rows, choices, distributions } = gate;
        self.routings.resize(self.wanted.len(), Vec::new());
        for ((row, choice), distribution) in rows.iter().zip(choices).zip(distributions.chunks_exact(visible)) {
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
                    experts: choice.experts[..top_k].iter().map(|e| e + first as u32).collect(),
                    probabilities: choice.probabilities[..top_k].to_vec(),
                    distribution: distribution.to_vec(),
                    first,
                });
            }
        }
    }
}
