//! The validation loss over all held-out pairs, direction by direction, without dropout.

use std::collections::BTreeMap;

use strata_corpus::HeldOut;
use strata_model::{Forward, Transformer};

use crate::batch::Tensors;
use crate::error::Error;
use crate::stats::RoutingStats;

/// Losses per target subword, in nats.
#[derive(Clone, Debug)]
pub struct Validation {
    /// Label-smoothed, over all directions together: what `best` is judged by.
    pub loss: f64,
    /// Without smoothing.
    pub nll: f64,
    /// Without smoothing, for each direction.
    pub nll_by_direction: BTreeMap<String, f64>,
    /// How the expert blocks routed.
    pub routing: RoutingStats,
}

/// Measures the losses of `model`, which must be without gradients, over `held_out`.
///
/// # Errors
/// [`Error::Corpus`] where the shards cannot be read.
pub fn validate(model: &Transformer, held_out: &HeldOut, smoothing: f32) -> Result<Validation, Error> {
    let mut routing = RoutingStats::default();
    let mut sums: BTreeMap<usize, (f64, u64)> = BTreeMap::new();
    let (mut loss, mut tokens) = (0.0, 0u64);
    for batch in held_out.batches() {
        let (direction, batch) = batch?;
        let tensors = Tensors::new(batch);
        let count = tensors.targets.len() as u64;
        let mut forward = Forward::inference();
        let (source, target, targets) = (&tensors.source, &tensors.target, tensors.targets.clone());
        let result = model.loss(source, target, targets, smoothing, 1.0, &mut forward);
        routing.add(&forward.blocks);
        loss += f64::from(result.loss.into_scalar::<f32>());
        tokens += count;
        let sum = sums.entry(direction).or_default();
        sum.0 += result.nll;
        sum.1 += count;
    }
    let nll: f64 = sums.values().map(|(nll, _)| nll).sum();
    let per_token = |sum: f64, tokens: u64| sum / tokens.max(1) as f64;
    Ok(Validation {
        loss: per_token(loss, tokens),
        nll: per_token(nll, tokens),
        nll_by_direction: sums
            .iter()
            .map(|(direction, (nll, tokens))| (held_out.directions()[*direction].to_string(), per_token(*nll, *tokens)))
            .collect(),
        routing,
    })
}
