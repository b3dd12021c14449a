//! The speed of training steps at a given shape, for comparison with other programs: on random tokens of fixed lengths,
//! or on a corpus with its own lengths.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use serde::Serialize;
use strata_corpus::{StreamOptions, Subwords, TrainStream};
use strata_files::names::TOKENIZER_FILE;
pub use strata_kernels::MatmulPrecision;
use strata_kernels::{Activation, AdamStep, linear};
use strata_model::{Forward, Packed, Transformer, parse_device};
use strata_recipe::{Cost, ModelConfig, Prompts, Purpose, Shape, check_memory, is_cpu};
use strata_simd::random::SplitMix64;

use crate::batch::PackedBatch;
use crate::error::Error;
use crate::optimizer::{Adam, GradientSum};

/// The shape of a step.
#[derive(Clone, Debug)]
pub struct StepOptions {
    /// The model.
    pub shape: Shape,
    /// What it trains on.
    pub text: StepText,
    /// Timed steps, after two that are not.
    pub steps: usize,
    /// Dropout.
    pub dropout: f64,
    /// Dropout of attention probabilities.
    pub attention_dropout: f64,
    /// Where to compute, as `strata_model::parse_device` takes it.
    pub device: String,
    /// Precision of the products with weights.
    pub products: MatmulPrecision,
}

/// The sentences of each step.
#[derive(Clone, Debug)]
pub enum StepText {
    /// One batch of random subwords, again and again.
    Random {
        /// Sentence pairs of a step.
        batch: usize,
        /// Subwords of every sentence.
        length: usize,
    },
    /// The training batches of a prepared folder, whose vocabulary the model takes.
    Corpus {
        /// The folder.
        prepared: PathBuf,
        /// Subwords of a batch: the longer side of each pair, added up.
        tokens_per_batch: usize,
    },
}

/// Longest side of a corpus's pair: the default of recipes.
const MAX_LENGTH: usize = 128;

/// Steps before the timed ones.
const WARM_UP: usize = 2;

/// Matrix products in a step for each one in the forward pass: one more for the gradient of its input and one for its
/// weight.
const PASSES: f64 = 3.0;

/// What a run of [`train_step`] found.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Source and target tokens per second of the fastest step.
    pub tokens_per_second_best: f64,
    /// Source and target tokens per second of the median step.
    pub tokens_per_second_median: f64,
    /// Loss of the first step, with label smoothing 0.1 and the balance loss, per target token.
    pub first_loss: f64,
    /// Loss of the last step.
    pub last_loss: f64,
    /// Sentence pairs of a step, on average.
    pub sentences_per_step: f64,
    /// Mean of the longest source and the longest target of a step, averaged over steps: the length to which a program
    /// without packed batches pads.
    pub padded_length: f64,
    /// Share of such padded batches that is text; 1 where all lengths are the same.
    pub text_share: f64,
    /// The model's vocabulary.
    pub vocab: usize,
    /// Weights of the model.
    pub parameters: u64,
    /// FLOP/s of the fastest step: three times the forward FLOPs under uniform routing, as `strata inspect` counts
    /// them.
    pub flops_per_second_best: f64,
    /// Page faults of a timed step; `None` where the system does not count them.
    pub page_faults_per_step: Option<f64>,
    /// This program and its version.
    pub strata: String,
}

/// Trains a fresh model: forward, label-smoothed cross-entropy, balance loss, backward, Adam.
///
/// # Errors
/// [`Error::TooSmall`] or [`Error::Config`] for an impossible shape or one that does not fit into memory,
/// [`Error::Model`] for an unknown device, [`Error::Corpus`] for a folder that was not prepared.
pub fn train_step(options: &StepOptions) -> Result<StepReport, Error> {
    let steps = options.steps;
    at_least("steps", steps, 1)?;
    let (batches, vocab, length) = batches(options)?;
    let shape = Shape { vocab, ..options.shape.clone() };
    let config =
        ModelConfig { dropout: options.dropout, attention_dropout: options.attention_dropout, ..shape.config(length) };
    if is_cpu(&options.device) {
        check_memory(&config, Purpose::Training)?;
    }
    let device = parse_device(&options.device)?.autodiff();
    let mut model = Transformer::new(&config, 1, &device)?;
    let cost = Cost::of(&config, None)?;
    let mut adam = Adam::default();
    let (mut rates, mut losses, mut best_flops) = (Vec::new(), Vec::new(), 0f64);
    let mut sizes = Sizes::default();
    let mut faults_before = None;
    for (update, batch) in (1..=steps + WARM_UP).zip(batches.iter().cycle()) {
        if update == WARM_UP + 1 {
            faults_before = page_faults();
        }
        let start = Instant::now();
        let mut forward = Forward::training(update as u64).with_products(options.products);
        let PackedBatch { source, target, targets } = batch;
        let scale = 1.0 / targets.len() as f32;
        let mut loss = model.loss(source, target, targets.clone(), 0.1, scale, &mut forward).loss;
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
        let seconds = start.elapsed().as_secs_f64();
        if update > WARM_UP {
            rates.push(batch.tokens() as f64 / seconds);
            best_flops = best_flops.max(PASSES * cost.flops_per_token as f64 * targets.len() as f64 / seconds);
            sizes.add(batch);
        }
    }
    let faults = page_faults().zip(faults_before).map(|(after, before)| (after - before) as f64 / steps as f64);
    rates.sort_by(f64::total_cmp);
    let at = |i: usize| rates.get(i).copied().unwrap_or(f64::NAN);
    Ok(StepReport {
        tokens_per_second_best: at(steps - 1),
        tokens_per_second_median: (at((steps - 1) / 2) + at(steps / 2)) / 2.0,
        first_loss: losses.first().copied().unwrap_or(f64::NAN),
        last_loss: losses.last().copied().unwrap_or(f64::NAN),
        sentences_per_step: sizes.sentences / steps as f64,
        padded_length: sizes.longest / 2.0 / steps as f64,
        text_share: sizes.text / sizes.padded,
        vocab,
        parameters: cost.parameters,
        flops_per_second_best: best_flops,
        page_faults_per_step: faults,
        strata: env!("CARGO_PKG_VERSION").to_string(),
    })
}

/// The speed of the three products of an affine map in training, in FLOP/s, 2 for each multiply-add.
#[derive(Clone, Debug, Serialize)]
pub struct MapSpeed {
    /// Rows: tokens of a batch, or of an expert.
    pub rows: usize,
    /// Inner dimension of the map.
    pub inputs: usize,
    /// Its outputs.
    pub outputs: usize,
    /// `f32` or `bf16`.
    pub precision: &'static str,
    /// The map itself.
    pub map: f64,
    /// The gradient of its input.
    pub input_gradient: f64,
    /// The gradient of its weight.
    pub weight_gradient: f64,
}

/// Rows, inputs and outputs: a base model's attention and FFN, its output layer, an expert's share of a batch, and a
/// wide FFN.
const MAPS: [[usize; 3]; 7] = [
    [1024, 512, 512],
    [1024, 512, 2048],
    [1024, 2048, 512],
    [262, 512, 16000],
    [64, 256, 1024],
    [64, 1024, 256],
    [1024, 1024, 4096],
];

/// How long each product is run; the best time counts.
const TIME: Duration = Duration::from_millis(300);

/// Times the products of affine maps in training on the CPU, on all threads, in the given precisions.
pub fn products(precisions: &[MatmulPrecision]) -> Vec<MapSpeed> {
    let speed = |[rows, inputs, outputs]: [usize; 3], precision| {
        let device = Device::flex().autodiff();
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device).detach();
        let (x, w) = (random([rows, inputs]), random([outputs, inputs]));
        let run = |x: &Tensor<2>, w: &Tensor<2>| linear(x.clone(), w.clone(), None, Activation::None, precision);
        let rate = |times: fn(Tensor<2>) -> Duration, x: Tensor<2>, w: Tensor<2>| {
            let (begun, mut best) = (Instant::now(), Duration::MAX);
            while begun.elapsed() < TIME {
                let started = Instant::now();
                let y = run(&x, &w);
                let forward = started.elapsed();
                best = best.min(if x.is_require_grad() || w.is_require_grad() { times(y) } else { forward });
            }
            2.0 * (rows * inputs * outputs) as f64 / best.as_secs_f64()
        };
        let backward = |y: Tensor<2>| {
            let y = y.sum();
            let started = Instant::now();
            let _gradients = y.backward();
            started.elapsed()
        };
        MapSpeed {
            rows,
            inputs,
            outputs,
            precision: if precision == MatmulPrecision::Bf16 { "bf16" } else { "f32" },
            map: rate(backward, x.clone(), w.clone()),
            input_gradient: rate(backward, x.clone().require_grad(), w.clone()),
            weight_gradient: rate(backward, x, w.require_grad()),
        }
    };
    MAPS.into_iter().flat_map(|shape| precisions.iter().map(move |precision| speed(shape, *precision))).collect()
}

/// Sums over the batches of the timed steps.
#[derive(Default)]
struct Sizes {
    sentences: f64,
    /// Lengths of the longest source and the longest target.
    longest: f64,
    /// Subwords.
    text: f64,
    /// Subwords of batches padded to their longest sides.
    padded: f64,
}

impl Sizes {
    fn add(&mut self, batch: &PackedBatch) {
        let longest = |side: &Packed| side.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        let longest = (longest(&batch.source) + longest(&batch.target)) as f64;
        let sentences = batch.source.offsets.len().saturating_sub(1) as f64;
        self.sentences += sentences;
        self.longest += longest;
        self.text += batch.tokens() as f64;
        self.padded += sentences * longest;
    }
}

/// The batches, the size of their vocabulary, and the longest side allowed.
fn batches(options: &StepOptions) -> Result<(Vec<PackedBatch>, usize, usize), Error> {
    match &options.text {
        StepText::Random { batch, length } => {
            let (batch, length, vocab) = (*batch, *length, options.shape.vocab);
            at_least("batch", batch, 1)?;
            at_least("length", length, 1)?;
            at_least("vocab", vocab, 5)?;
            // Any ids will do.
            let mut numbers = SplitMix64::new(1);
            let mut random =
                || -> Vec<u32> { (0..batch * length).map(|_| 4 + numbers.below(vocab as u64 - 4) as u32).collect() };
            let offsets: Vec<usize> = (0..=batch).map(|i| i * length).collect();
            let source = Packed::new(random(), offsets.clone());
            let target = Packed::new(random(), offsets);
            Ok((vec![PackedBatch { source, target, targets: random().into() }], vocab, length))
        }
        StepText::Corpus { prepared, tokens_per_batch } => {
            at_least("tokens_per_batch", *tokens_per_batch, 1)?;
            let vocab = Subwords::load(&prepared.join(TOKENIZER_FILE))?.vocab_size();
            let of_stream = StreamOptions {
                seed: 1,
                temperature: 1.0,
                tokens_per_batch: *tokens_per_batch,
                max_length: MAX_LENGTH,
                prompts: Prompts::default(),
            };
            let mut stream = TrainStream::open(prepared, &[], of_stream)?;
            let batches = (0..options.steps + WARM_UP).map(|_| Ok(PackedBatch::new(stream.next_batch()?)));
            Ok((batches.collect::<Result<_, Error>>()?, vocab, MAX_LENGTH))
        }
    }
}

fn at_least(name: &'static str, value: usize, least: usize) -> Result<(), Error> {
    if value < least {
        return Err(Error::TooSmall { name, value, least });
    }
    Ok(())
}

/// Page faults of this process so far that needed no disk.
fn page_faults() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name, is in brackets and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()
}
