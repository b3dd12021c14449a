//! What one forward pass carries besides the hidden states: randomness, the routing trace and the auxiliary losses.

use burn::tensor::Tensor;
use strata_kernels::{MatmulPrecision, add_dropout, dropout};
use strata_simd::random::mix;

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
    /// Sum of the CMR gates of each block, `[1]`, and how many tokens it is over.
    pub(crate) cmr_used: Vec<(Tensor<1>, usize)>,
}

impl Forward {
    /// A training pass: `seed` alone determines dropout, masks and Gumbel noise.
    pub fn training(seed: u64) -> Self {
        Self { randomness: Some((seed, 0)), ..Self::inference() }
    }

    /// An inference pass: no randomness, no capacity limit.
    pub fn inference() -> Self {
        Self { randomness: None, products: MatmulPrecision::F32, blocks: vec![], balance: vec![], cmr_used: vec![] }
    }

    /// The same pass with products of this precision.
    pub fn with_products(mut self, products: MatmulPrecision) -> Self {
        self.products = products;
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

    pub(crate) fn dropout(&mut self, x: Tensor<2>, rate: f64) -> Tensor<2> {
        let (rate, seed) = (self.rate(rate), self.next_seed());
        dropout(x, rate, seed)
    }

    /// `residual + dropout(x)`
    pub(crate) fn add_dropout(&mut self, residual: Tensor<2>, x: Tensor<2>, rate: f64) -> Tensor<2> {
        let (rate, seed) = (self.rate(rate), self.next_seed());
        add_dropout(residual, x, rate, seed)
    }

    /// The balance loss of the model before its weight: the mean over the expert blocks, each the mean over the gates
    /// that tokens visited (rule R8 of [`strata_routing`]). `None` without experts.
    pub fn balance_loss(&self) -> Option<Tensor<1>> {
        mean(&self.balance)
    }

    /// `|G - budget|`, where G is the mean CMR gate over the tokens of all blocks together; `None` without CMR.
    pub fn cmr_loss(&self, budget: f64) -> Option<Tensor<1>> {
        let tokens: usize = self.cmr_used.iter().map(|(_, tokens)| tokens).sum();
        let sum = self.cmr_used.iter().map(|(sum, _)| sum.clone()).reduce(|a, b| a + b)?;
        Some((sum / tokens as f32 - budget).abs())
    }
}

fn mean(values: &[Tensor<1>]) -> Option<Tensor<1>> {
    let sum = values.iter().cloned().reduce(|a, b| a + b)?;
    Some(sum / values.len() as f32)
}
