//! What one forward pass carries besides the hidden states: randomness, the routing trace and the auxiliary losses.

use std::sync::Arc;

use burn::tensor::Tensor;
use strata_kernels::{HiddenDropout, MatmulPrecision, add_dropout, dropout};
use strata_ranks::Ranks;
use strata_simd::random::mix;

use crate::packed::Packed;
use crate::stages::Done;
use crate::trace::BlockTrace;

/// The state of one forward pass.
pub struct Forward {
    /// The seed, and how many random decisions it has made so far; `None` at inference, where nothing is random.
    randomness: Option<(u64, u64)>,
    /// Precision of the products with weights; gates always decide on f32.
    pub(crate) products: MatmulPrecision,
    /// What the expert blocks did, in the order of the pass.
    pub blocks: Vec<BlockTrace>,
    /// Balance loss of each expert block, unweighted; `[1]` each.
    pub(crate) balance: Vec<Tensor<1>>,
    /// Sum of the CMR gates of this rank's tokens in each block, `[1]`, and the tokens of the whole batch.
    pub(crate) cmr_used: Vec<(Tensor<1>, usize)>,
    /// Where the batch is split among ranks: they, and what comes before this rank's part.
    part: Option<(Ranks, Part)>,
    /// The ranks among which the experts of each block are spread, if they are.
    pub(crate) experts: Option<Ranks>,
    /// Who is told what the backward pass has done.
    pub(crate) done: Option<Arc<Done>>,
    /// The first row of what is masked next, in the whole batch.
    pub(crate) first_row: usize,
    /// The first attention probability of what is masked next, in the whole batch.
    pub(crate) first_probability: usize,
}

/// What comes before a part of a batch in the whole batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Source tokens.
    pub(crate) source: usize,
    /// Target tokens.
    pub(crate) target: usize,
    /// Attention probabilities of one head: source over source, target over target, target over source.
    pub(crate) probabilities: [usize; 3],
}

impl Part {
    /// The part that begins with sentence `first` of a batch of `source` and `target`.
    pub fn from_sentence(source: &Packed, target: &Packed, first: usize) -> Self {
        let length = |sentences: &Packed, i: usize| sentences.offsets[i + 1] - sentences.offsets[i];
        let products = |a: &Packed, b: &Packed| (0..first).map(|i| length(a, i) * length(b, i)).sum();
        Self {
            source: source.offsets[first],
            target: target.offsets[first],
            probabilities: [products(source, source), products(target, target), products(target, source)],
        }
    }
}

/// The tokens at a gate, where the batch may be split among ranks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtGate {
    /// Tokens of the parts before this rank's.
    pub before: usize,
    /// Tokens of the whole batch.
    pub tokens: usize,
    /// Whether tokens of any batch visit the gate now. Where experts are spread, all ranks visit it then, those without
    /// tokens for the others' sake.
    pub visited: bool,
}

impl Forward {
    /// A training pass: `seed` alone determines dropout, masks and Gumbel noise.
    pub fn training(seed: u64) -> Self {
        Self { randomness: Some((seed, 0)), ..Self::inference() }
    }

    /// An inference pass: no randomness, no capacity limit.
    pub fn inference() -> Self {
        Self {
            randomness: None,
            products: MatmulPrecision::F32,
            blocks: vec![],
            balance: vec![],
            cmr_used: vec![],
            part: None,
            experts: None,
            done: None,
            first_row: 0,
            first_probability: 0,
        }
    }

    /// The same pass over a part of a batch, whose other parts lie with the other `ranks`. All of them make this pass
    /// together, a rank without sentences too; their losses and gradients add up to those of the whole batch.
    pub fn of_part(mut self, ranks: Ranks, part: Part) -> Self {
        self.part = Some((ranks, part));
        self
    }

    /// The same pass with products of this precision.
    pub fn with_products(mut self, products: MatmulPrecision) -> Self {
        self.products = products;
        self
    }

    /// The same pass of a model that holds its share of the experts, the others' being with the others of `ranks`. All
    /// of them make a pass at the same time, over parts of one batch or each over its own.
    pub fn with_spread_experts(mut self, ranks: Ranks) -> Self {
        self.experts = Some(ranks);
        self
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.randomness.is_some()
    }

    /// The dropout rate of this pass: `rate` in training, 0 at inference.
    pub(crate) fn rate(&self, rate: f64) -> f32 {
        if self.is_training() { rate as f32 } else { 0.0 }
    }

    /// A new seed for the next random decision of the pass.
    pub(crate) fn next_seed(&mut self) -> u64 {
        match &mut self.randomness {
            Some((seed, count)) => {
                *count += 1;
                mix(*seed, *count)
            }
            None => 0,
        }
    }

    /// The ranks among which the batch is split, if it is.
    pub(crate) fn split(&self) -> Option<&Ranks> {
        self.part.as_ref().map(|(ranks, _)| ranks)
    }

    /// What comes before this rank's part.
    pub(crate) fn before(&self) -> Part {
        self.part.as_ref().map(|(_, part)| *part).unwrap_or_default()
    }

    /// Where `rows` tokens of this rank stand among those of the whole batch at a gate.
    pub(crate) fn at_gate(&self, rows: usize) -> AtGate {
        let sum = |counts: &[Vec<u32>]| counts.iter().map(|count| count[0] as usize).sum();
        match (self.split(), &self.experts) {
            (None, None) => AtGate { before: 0, tokens: rows, visited: rows > 0 },
            // The ranks of one batch include those that share experts.
            (Some(ranks), _) => {
                let all = gathered(ranks, &[rows as u32]);
                let tokens = sum(&all);
                AtGate { before: sum(&all[..ranks.rank()]), tokens, visited: tokens > 0 }
            }
            (None, Some(ranks)) => {
                let all: usize = sum(&gathered(ranks, &[rows as u32]));
                AtGate { before: 0, tokens: rows, visited: all > 0 }
            }
        }
    }

    /// How many random decisions the pass has made, for [`Forward::undo_random`].
    pub(crate) fn random_decisions(&self) -> Option<(u64, u64)> {
        self.randomness
    }

    /// Goes back to an earlier [`Forward::random_decisions`]: what is done for other batches' sake leaves no trace in
    /// this one's masks.
    pub(crate) fn undo_random(&mut self, earlier: Option<(u64, u64)>) {
        self.randomness = earlier;
    }

    pub(crate) fn dropout(&mut self, x: Tensor<2>, rate: f64) -> Tensor<2> {
        let (rate, seed) = (self.rate(rate), self.next_seed());
        dropout(x, rate, seed, self.first_row)
    }

    /// Dropout of the hidden values of experts at a visit whose first choice has row `first` in the whole batch. It
    /// takes a seed only where something is dropped, so that the seeds of passes without it are as they always were.
    pub(crate) fn hidden_dropout(&mut self, rate: f64, first: usize) -> HiddenDropout {
        match self.rate(rate) {
            0.0 => HiddenDropout::default(),
            rate => HiddenDropout { rate, seed: self.next_seed(), first },
        }
    }

    /// `residual + dropout(x)`
    pub(crate) fn add_dropout(&mut self, residual: Tensor<2>, x: Tensor<2>, rate: f64) -> Tensor<2> {
        let (rate, seed) = (self.rate(rate), self.next_seed());
        add_dropout(residual, x, rate, seed, self.first_row)
    }

    /// The balance loss of the model before its weight: the mean over the expert blocks, each the mean over the gates
    /// that tokens visited (rule R8 of [`strata_routing`]). `None` without experts.
    pub fn balance_loss(&self) -> Option<Tensor<1>> {
        mean(&self.balance)
    }

    /// `|G - budget|`, where G is the mean CMR gate over the tokens of all blocks together; `None` without CMR. Of a
    /// part of a batch, it is what the part adds to that.
    pub fn cmr_loss(&self, budget: f64) -> Option<Tensor<1>> {
        let tokens: usize = self.cmr_used.iter().map(|(_, tokens)| tokens).sum();
        let sum = self.cmr_used.iter().map(|(sum, _)| sum.clone()).reduce(|a, b| a + b)?;
        let Some(ranks) = self.split() else { return Some((sum / tokens as f32 - budget).abs()) };
        // Which side of the budget the mean is on, only all ranks know.
        let mut all = [f64::from(sum.clone().into_scalar::<f32>())];
        ranks.sum(&mut all).unwrap_or_else(|error| fail(&error));
        let side = if all[0] / (tokens as f64) < budget { -1.0 } else { 1.0 };
        Some((sum / tokens as f32 - budget / ranks.size() as f64) * side)
    }
}

/// [`Ranks::gather`] within a pass.
pub(crate) fn gathered(ranks: &Ranks, mine: &[u32]) -> Vec<Vec<u32>> {
    ranks.gather(mine).unwrap_or_else(|error| fail(&error))
}

/// Ends a pass whose ranks cannot reach each other. A pass has no way to return an error, least of all from within its
/// gradients, and none is worth going on for.
fn fail(error: &strata_ranks::Error) -> ! {
    panic!("{error}")
}

fn mean(values: &[Tensor<1>]) -> Option<Tensor<1>> {
    let sum = values.iter().cloned().reduce(|a, b| a + b)?;
    Some(sum / values.len() as f32)
}
