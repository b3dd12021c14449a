//! One update: the passes of its batches, the sums over all ranks, Adam's step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;
use strata_corpus::{Batch, ExampleId};
use strata_kernels::AdamStep;
use strata_model::{BlockTrace, Done, Forward, Part};
use strata_simd::random::mix;

use super::Session;
use crate::batch::PackedBatch;
use crate::error::Error;
use crate::schedule::learning_rate;
use crate::spread::{BatchSums, Reduction, Sharing, all_first_choices, cut, part_of};
use crate::window::Window;

/// What a pass of a batch, or of this rank's part of it, gives.
struct Passed {
    /// `[1]`: its share of the update's loss, auxiliary losses included.
    loss: Tensor<1>,
    sums: BatchSums,
    /// What its gates decided.
    blocks: Vec<BlockTrace>,
}

impl Session {
    /// Makes one update from `train.accumulate` batches, or this rank's share of it. Says whether any rank was asked to
    /// `stop`. A process alone that is asked between two batches drops the update: the state stays that before it.
    pub(super) fn update(&mut self, window: &mut Window, stop: &AtomicBool) -> Result<bool, Error> {
        let update = self.state.update + 1;
        let (batches, named) = self.next_batches()?;
        let targets: usize = batches.iter().map(|batch| batch.target_out.len()).sum();
        let (ranks, sharing) = (self.ranks.clone(), Sharing::new(batches.len(), self.ranks.size()));
        let (budget, mut decided) = (self.model.config().capacity_budget > 0.0, Vec::new());
        let mut gradients = self.optimizer.gradients();
        let (mut sums, count) = (Vec::with_capacity(batches.len()), batches.len());
        for (i, batch) in batches.into_iter().enumerate() {
            if sharing == Sharing::Batches && i % ranks.size() != ranks.rank() {
                continue;
            }
            let seed = mix(mix(self.recipe.train.seed, update), i as u64);
            // The ranks' gradients are added up after each of their whole batches, or after the last that they share.
            let reduction = match sharing == Sharing::Batches || i + 1 == count {
                true => self.optimizer.begin_to_add_up(&mut gradients, &ranks),
                false => None,
            };
            let mut passed = self.pass(batch, sharing, targets, seed, reduction.as_ref().map(Reduction::done));
            sums.push((i, passed.sums));
            if budget {
                decided.append(&mut passed.blocks);
            }
            gradients.add(&mut self.model, passed.loss.backward());
            if let Some(reduction) = reduction {
                gradients.add_up(&reduction)?;
            }
            // Ranks must agree to stop, which they do once in an update, with its sums.
            if i + 1 < count && !ranks.is_many() && stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
        }
        let (sums, interrupted) = BatchSums::gather(&ranks, sums, stop.load(Ordering::Relaxed))?;
        for (sum, named) in sums.iter().zip(&named) {
            if !sum.loss.is_finite() {
                return Err(self.not_finite(update, "loss", named.clone()));
            }
            window.loss += sum.loss * targets as f64;
            window.nll += sum.nll;
            window.balance += sum.balance;
            window.tokens += sum.tokens;
            self.state.tokens += sum.tokens;
            window.routing.merge(&sum.routing);
        }
        let norm = self.optimizer.norm(&gradients, &ranks)?;
        if !norm.is_finite() {
            return Err(self.not_finite(update, "gradient", named.into_iter().next().unwrap_or_default()));
        }
        let step = self.adam_step(update, norm);
        self.optimizer.step(&mut self.model, gradients, &step)?;
        if budget {
            self.model.adjust_offsets(&all_first_choices(&ranks, decided)?, self.recipe.train.budget_rate);
        }
        self.optimizer.average(&mut self.model, update);
        window.gradient_norm += norm;
        window.targets += targets as u64;
        window.updates += 1;
        self.state.update = update;
        self.state.target_tokens += targets as u64;
        self.state.position = self.stream.position();
        Ok(interrupted)
    }

    /// The batches of an update, and how a message about a run that diverged names each.
    fn next_batches(&mut self) -> Result<(Vec<Batch>, Vec<String>), Error> {
        let accumulate = self.recipe.train.accumulate;
        let (mut batches, mut named) = (Vec::with_capacity(accumulate), Vec::with_capacity(accumulate));
        for _ in 0..accumulate {
            let place = self.stream.position();
            let batch = self.stream.next_batch()?;
            let pairs = self.name_examples(&batch.examples);
            named.push(format!("; the batch was number {} of round {} ({pairs})", place.batch, place.round));
            batches.push(batch);
        }
        Ok((batches, named))
    }

    /// The first pairs of a batch, by direction and place in the training shard.
    fn name_examples(&self, examples: &[ExampleId]) -> String {
        let directions = self.stream.directions();
        let first: Vec<String> =
            examples.iter().take(3).map(|e| format!("{} {}", directions[e.direction], e.index)).collect();
        format!("{} pairs from {}", examples.len(), first.join(", "))
    }

    /// The forward pass of a batch, or of this rank's part of it, in an update with `targets` target subwords. All
    /// randomness follows from `seed`: there is no state to save. `done` takes gradients during the backward pass.
    fn pass(&self, batch: Batch, sharing: Sharing, targets: usize, seed: u64, done: Option<Arc<Done>>) -> Passed {
        self.model.device().seed(device_seed(seed, sharing, self.ranks.rank()));
        let mut forward = Forward::training(seed).with_products(self.products);
        if let Some(experts) = &self.experts {
            forward = forward.with_spread_experts(experts.clone());
        }
        if let Some(done) = done {
            forward = forward.telling(done);
        }
        // The auxiliary losses weigh as much as the batch's share of the target tokens (R8 of `strata_routing`).
        let share = batch.target_out.len() as f32 / targets as f32;
        let batch = match sharing {
            Sharing::Batches => PackedBatch::new(batch),
            Sharing::Sentences => {
                let mine = part_of(&batch, &self.ranks);
                let whole = PackedBatch::new(batch.clone());
                let before = Part::from_sentence(&whole.source, &whole.target, mine.start);
                forward = forward.of_part(self.ranks.counting("gates"), before);
                PackedBatch::new(cut(batch, &mine))
            }
        };
        let (smoothing, scale) = (self.recipe.train.label_smoothing as f32, 1.0 / targets as f32);
        let tokens = batch.tokens() as u64;
        let result = self.model.loss(&batch.source, &batch.target, batch.targets, smoothing, scale, &mut forward);
        let mut loss = result.loss;
        let mut sums = BatchSums { nll: result.nll, tokens, ..BatchSums::default() };
        sums.loss = f64::from(loss.clone().into_scalar::<f32>());
        sums.routing.add(&forward.blocks);
        let config = self.model.config();
        if let Some(balance) = forward.balance_loss() {
            sums.balance = f64::from(balance.clone().into_scalar::<f32>() * share);
            loss = loss + balance * (config.balance_weight as f32 * share);
        }
        if let Some(used) = forward.cmr_loss(config.cmr_budget) {
            loss = loss + used * (config.cmr_weight as f32 * share);
        }
        Passed { loss, sums, blocks: std::mem::take(&mut forward.blocks) }
    }

    /// Adam's step of an update whose gradients have this norm.
    fn adam_step(&self, update: u64, norm: f64) -> AdamStep {
        let train = &self.recipe.train;
        AdamStep {
            learning_rate: learning_rate(train, update),
            betas: (train.adam_beta1, train.adam_beta2),
            epsilon: train.adam_eps,
            weight_decay: train.weight_decay,
            update,
            gradient_scale: if train.clip_norm > 0.0 && norm > train.clip_norm { train.clip_norm / norm } else { 1.0 },
        }
    }
}

/// The seed of the device, from which GPUs draw the masks of dropout, for a pass of this `seed`. They know nothing of
/// places in a batch, so ranks that have parts of one batch have seeds of their own.
fn device_seed(seed: u64, sharing: Sharing, rank: usize) -> u64 {
    match sharing {
        Sharing::Batches => seed,
        Sharing::Sentences => mix(seed, rank as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_draw_other_masks_for_each_part_of_a_batch() {
        let seeds =
            |sharing| (0..4).map(|rank| device_seed(9, sharing, rank)).collect::<std::collections::HashSet<_>>();
        // Whole batches have the masks of one process.
        assert_eq!(seeds(Sharing::Batches), [9].into());
        assert_eq!(seeds(Sharing::Sentences).len(), 4);
    }
}
