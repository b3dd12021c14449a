//! The speed of one training step on random tokens of fixed lengths, for comparison with other programs at the same shape.

use std::time::Instant;

use serde::Serialize;
use strata_kernels::AdamStep;
pub use strata_kernels::Products;
use strata_model::{Forward, Packed, Transformer, parse_device};
use strata_recipe::{Cost, ModelConfig, Shape};

use crate::error::Error;
use crate::optimizer::{Adam, GradientSum};

/// The shape of a step.
#[derive(Clone, Debug)]
pub struct StepOptions {
    /// The model.
    pub shape: Shape,
    /// Sentence pairs of a step.
    pub batch: usize,
    /// Subwords of every sentence.
    pub length: usize,
    /// Timed steps, after two that are not.
    pub steps: usize,
    /// Dropout.
    pub dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// Where to compute, as `strata_model::parse_device` takes it.
    pub device: String,
    /// Precision of the products with weights.
    pub products: Products,
}

/// Steps before those that count.
const WARM_UP: usize = 2;

/// Products with a weight in a step for one in the forward pass: the gradients of inputs and of weights are one each.
const PASSES: f64 = 3.0;

/// What a run of [`train_step`] found.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Source and target tokens per second of the fastest step.
    pub tokens_per_second_best: f64,
    /// The same of the median step.
    pub tokens_per_second_median: f64,
    /// Loss of the first step, with label smoothing 0.1 and the balance loss, per target token.
    pub first_loss: f64,
    /// Loss of the last step, on the same batch.
    pub last_loss: f64,
    /// Weights of the model.
    pub parameters: u64,
    /// FLOP/s of the fastest step: three times the forward FLOPs under uniform routing, as `strata inspect` counts them.
    pub flops_per_second_best: f64,
    /// Pages that the system had to give the process in a timed step; none where it does not say.
    pub page_faults_per_step: Option<f64>,
    /// This program and its version.
    pub strata: String,
}

/// Trains a fresh model on one random batch again and again: forward, label-smoothed cross-entropy, balance loss, backward, Adam.
///
/// # Errors
/// [`Error::Recipe`] or [`Error::Config`] for an impossible shape, [`Error::Model`] for an unknown device.
pub fn train_step(options: &StepOptions) -> Result<StepReport, Error> {
    let StepOptions { batch, length, steps, .. } = *options;
    let vocab = options.shape.vocab;
    for (name, value, least) in [("batch", batch, 1), ("length", length, 1), ("steps", steps, 1), ("vocab", vocab, 5)] {
        if value < least {
            return Err(Error::Recipe(format!("{name} = {value} is too small; choose {least} or more")));
        }
    }
    let config = ModelConfig {
        dropout: options.dropout,
        attention_dropout: options.attention_dropout,
        ..options.shape.config(length)
    };
    let device = parse_device(&options.device)?.autodiff();
    let mut model = Transformer::new(&config, 1, &device)?;
    let cost = Cost::of(&config, None)?;
    let tokens = batch * length;
    // Any ids will do; these come from a linear congruential generator.
    let mut state = 1u64;
    let mut random = |count: usize| -> Vec<u32> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            4 + ((state >> 33) % (vocab as u64 - 4)) as u32
        };
        (0..count).map(|_| next()).collect()
    };
    let offsets: Vec<usize> = (0..=batch).map(|i| i * length).collect();
    let source = Packed::new(random(tokens), offsets.clone());
    let target = Packed::new(random(tokens), offsets);
    let targets: strata_kernels::Rows = random(tokens).into();
    let mut adam = Adam::default();
    let (mut seconds, mut losses) = (Vec::new(), Vec::new());
    let mut faults_before = None;
    for update in 1..=steps + WARM_UP {
        if update == WARM_UP + 1 {
            faults_before = page_faults();
        }
        let start = Instant::now();
        let mut forward = Forward::training(update as u64).with_products(options.products);
        let scale = 1.0 / tokens as f32;
        let mut loss = model.loss(&source, &target, targets.clone(), 0.1, scale, &mut forward).loss;
        if let Some(balance) = forward.balance_loss() {
            loss = loss + balance * config.balance_weight as f32;
        }
        let mut gradients = GradientSum::default();
        gradients.add(&mut model, loss.backward());
        let step = AdamStep {
            learning_rate: 5e-4,
            betas: (0.9, 0.98),
            epsilon: 1e-6,
            weight_decay: 0.0,
            update: update as u64,
            gradient_scale: 1.0,
        };
        adam.step(&mut model, gradients, &step);
        losses.push(f64::from(loss.into_scalar::<f32>()));
        seconds.push(start.elapsed().as_secs_f64());
    }
    let faults = page_faults().zip(faults_before).map(|(after, before)| (after - before) as f64 / steps as f64);
    let mut timed = seconds.split_off(WARM_UP);
    timed.sort_by(f64::total_cmp);
    let middle = |i: usize| timed.get(i).copied().unwrap_or(f64::NAN);
    let median = (middle((timed.len().saturating_sub(1)) / 2) + middle(timed.len() / 2)) / 2.0;
    Ok(StepReport {
        tokens_per_second_best: 2.0 * tokens as f64 / middle(0),
        tokens_per_second_median: 2.0 * tokens as f64 / median,
        first_loss: losses.first().copied().unwrap_or(f64::NAN),
        last_loss: losses.last().copied().unwrap_or(f64::NAN),
        parameters: cost.parameters,
        flops_per_second_best: PASSES * cost.flops_per_token as f64 * tokens as f64 / middle(0),
        page_faults_per_step: faults,
        strata: env!("CARGO_PKG_VERSION").to_string(),
    })
}

/// Page faults of this process so far that needed no disk.
fn page_faults() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name, is in brackets and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}
