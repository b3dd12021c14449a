//! The validation loss over all held-out pairs, direction by direction, without dropout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strata_corpus::{Batch, HeldOut};
use strata_model::{Forward, Transformer};
use strata_ranks::Ranks;

use crate::batch::PackedBatch;
use crate::error::Error;
use crate::spread::{bits, exchange};
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

/// What was measured on one batch.
#[derive(Serialize, Deserialize)]
struct Measured {
    /// The batch's place among those of `held_out`.
    batch: usize,
    direction: usize,
    tokens: u64,
    /// Sums over the target subwords.
    #[serde(with = "bits")]
    loss: f64,
    #[serde(with = "bits")]
    nll: f64,
    routing: RoutingStats,
}

/// Measures the losses of `model`, which must be without gradients, over `held_out`. Ranks take turns with the batches;
/// sums are made in the order of the batches. With `experts`, the model holds its share of them, and the others' are
/// with these ranks.
///
/// # Errors
/// [`Error::Corpus`] where the shards cannot be read, [`Error::Ranks`].
pub fn validate(
    model: &Transformer,
    held_out: &HeldOut,
    smoothing: f32,
    ranks: &Ranks,
    experts: Option<&Ranks>,
) -> Result<Validation, Error> {
    let pass = |batch: Batch| {
        let mut forward = Forward::inference();
        if let Some(experts) = experts {
            forward = forward.with_spread_experts(experts.clone());
        }
        let PackedBatch { source, target, targets } = PackedBatch::new(batch);
        let result = model.loss(&source, &target, targets, smoothing, 1.0, &mut forward);
        (result, forward)
    };
    let (mut measured, mut batches) = (Vec::new(), 0);
    for (place, batch) in held_out.batches().enumerate() {
        batches += 1;
        let (direction, batch) = batch?;
        if place % ranks.size() != ranks.rank() {
            continue;
        }
        let tokens = batch.target_out.len() as u64;
        let (result, forward) = pass(batch);
        let mut routing = RoutingStats::default();
        routing.add(&forward.blocks);
        let loss = f64::from(result.loss.into_scalar::<f32>());
        measured.push(Measured { batch: place, direction, tokens, loss, nll: result.nll, routing });
    }
    let rest = batches % ranks.size();
    if experts.is_some() && rest > 0 && ranks.rank() >= rest {
        // Tokens of the others' last batches come here.
        pass(Batch::default());
    }
    if ranks.is_many() {
        measured = exchange(ranks, &measured)?.into_iter().flatten().collect();
        measured.sort_by_key(|m| m.batch);
    }
    let mut routing = RoutingStats::default();
    let mut sums: BTreeMap<usize, (f64, u64)> = BTreeMap::new();
    let (mut loss, mut tokens) = (0.0, 0u64);
    for batch in &measured {
        routing.merge(&batch.routing);
        loss += batch.loss;
        tokens += batch.tokens;
        let sum = sums.entry(batch.direction).or_default();
        sum.0 += batch.nll;
        sum.1 += batch.tokens;
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
