//! Decoding speed with random weights and fixed lengths, for comparison with other programs at the same shape.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use strata_recipe::{Purpose, SearchOptions, Shape, check_memory};
use strata_simd::random::mix;

use crate::engine::Engine;
use crate::error::Error;
use crate::linear::{Linear, Precision};
use crate::model::Model;
use crate::product::{ProductOptions, Scratch};
use crate::request::Request;
use crate::session::Limits;
use crate::weights::RandomWeights;

/// Seconds of equal pieces of work.
#[derive(Clone, Debug)]
pub struct Times(Vec<f64>);

impl Times {
    /// Times in any order.
    pub fn new(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// The shortest; NaN if there are no times, as for the others.
    pub fn best(&self) -> f64 {
        self.quantile(0.0)
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The time below which a `share` from 0 to 1 lies.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * share).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

/// What is decoded.
#[derive(Clone, Debug)]
pub struct DecodeOptions {
    /// The model.
    pub shape: Shape,
    /// Sentences.
    pub sentences: usize,
    /// Subwords of every source.
    pub source_length: usize,
    /// Subwords of every translation.
    pub target_length: usize,
    /// Sentences in the batch; 1 translates one after another.
    pub batch: usize,
    /// Hypotheses of each.
    pub beam: usize,
    /// Parallel sessions; 0 = automatic.
    pub workers: usize,
    /// Precision of the products.
    pub precision: Precision,
    /// Measured runs, after one to warm up; best and median count.
    pub runs: usize,
}

/// What a run of [`decode`] found.
#[derive(Clone, Debug, Serialize)]
pub struct DecodeReport {
    /// Kind of model.
    pub model: String,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// As in [`DecodeOptions`].
    pub batch: usize,
    /// As in [`DecodeOptions`].
    pub beam: usize,
    /// Target subwords per second of the best run.
    pub tokens_per_second: f64,
    /// The same of the median run.
    pub tokens_per_second_median: f64,
    /// Time per sentence of the best run.
    pub ms_per_sentence: f64,
    /// Median time per sentence; only with batch 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p50_ms: Option<f64>,
    /// 95th percentile of the time per sentence; only with batch 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95_ms: Option<f64>,
    /// Weights of the model.
    pub parameters: u64,
    /// Bytes of the packed weights.
    pub packed_bytes: usize,
}

/// Decodes random sentences with a model of random weights. The search may not end early, so the length is fixed.
///
/// # Errors
/// [`Error::Config`] for an invalid shape, or one that does not fit into memory.
pub fn decode(options: &DecodeOptions) -> Result<DecodeReport, Error> {
    let config = options.shape.config(options.source_length.max(options.target_length) + 1);
    check_memory(&config, Purpose::Translating)?;
    let parameters = strata_recipe::Cost::of(&config, None)?.parameters;
    let model = Arc::new(Model::pack(&config, &RandomWeights::new(1), options.precision)?);
    let mut packed_bytes = 0;
    model.visit(&mut |_, part| packed_bytes += part.bytes());
    let engine = Engine::new(model);
    let search = SearchOptions {
        beam: options.beam,
        min_length: options.target_length,
        max_length: options.target_length,
        ..SearchOptions::default()
    };
    let vocab = options.shape.vocab.saturating_sub(4).max(1) as u64;
    let request = |sentence: usize| {
        let id = |place: usize| 4 + (mix(sentence as u64, place as u64) % vocab) as u32;
        Request::new((0..options.source_length).map(id).collect(), [1], 2, search)
    };
    let requests: Vec<Request> = (0..options.sentences).map(request).collect();
    let limits = Limits {
        source_tokens: usize::MAX,
        hypotheses: options.batch * options.beam,
        join_tokens: options.batch * options.source_length,
        threads: rayon::current_num_threads(),
        workers: options.workers,
    };
    let (mut seconds, mut latencies, mut tokens) = (Vec::new(), Vec::new(), 0);
    for run in 0..=options.runs.max(1) {
        let started = Instant::now();
        tokens = 0;
        for group in requests.chunks(if options.batch == 1 { 1 } else { requests.len().max(1) }) {
            let sentence = Instant::now();
            tokens += engine.translate(group, &limits)?.iter().map(|h| h[0].ids.len()).sum::<usize>();
            if run > 0 && options.batch == 1 {
                latencies.push(sentence.elapsed().as_secs_f64());
            }
        }
        if run > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    let (seconds, latencies) = (Times::new(seconds), Times::new(latencies));
    let latency = |share: f64| (options.batch == 1).then(|| latencies.quantile(share) * 1e3);
    Ok(DecodeReport {
        model: config.name(),
        precision: options.precision.name(),
        batch: options.batch,
        beam: options.beam,
        tokens_per_second: tokens as f64 / seconds.best(),
        tokens_per_second_median: tokens as f64 / seconds.median(),
        ms_per_sentence: seconds.best() / options.sentences.max(1) as f64 * 1e3,
        latency_p50_ms: latency(0.5),
        latency_p95_ms: latency(0.95),
        parameters,
        packed_bytes,
    })
}

/// The speed of a product with packed weights.
#[derive(Clone, Debug, Serialize)]
pub struct ProductSpeed {
    /// Rows that are multiplied at once: hypotheses of a step, or subwords of sources.
    pub rows: usize,
    /// Inner dimension.
    pub inputs: usize,
    /// Columns of the output.
    pub outputs: usize,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// Operations a second, 2 for each multiply-add.
    pub operations_per_second: f64,
    /// The same as a share of what the processor's arithmetic and its memory allow.
    pub share: f64,
}

/// Inputs and outputs of the products of a base model: attention, the two of an FFN, and the output layer.
const MAPS: [(usize, usize); 4] = [(512, 512), (512, 2048), (2048, 512), (512, 32000)];

/// Rows of a step: one sentence's beam, a small batch, a large one.
const ROWS: [usize; 4] = [1, 4, 32, 128];

/// Bytes of weights beyond any cache.
const COLD: usize = 96 << 20;

/// Seconds for each product.
const SECONDS: f64 = 0.25;

/// Times the products of a base model on all threads, with weights that come from memory as in a model: as many maps
/// in turn as no cache holds. `peak` gives the operations a second that the processor has for a precision, `memory` the
/// bytes a second that it reads.
pub fn products(peak: impl Fn(Precision) -> f64 + Send, memory: f64) -> Vec<ProductSpeed> {
    // As in a step of a session, which one of the pool's threads takes.
    rayon::scope(|_| time_products(peak, memory))
}

/// [`products`] on this thread and its pool.
fn time_products(peak: impl Fn(Precision) -> f64, memory: f64) -> Vec<ProductSpeed> {
    let value = |i: usize| mix(3, i as u64) as f32 / u64::MAX as f32 - 0.5;
    let mut speeds = Vec::new();
    for (inputs, outputs) in MAPS {
        let weight: Vec<f32> = (0..inputs * outputs).map(value).collect();
        for precision in Precision::ALL {
            let bytes = inputs * outputs * precision.bytes();
            let pack = || Linear::pack(&weight, None, outputs, inputs, precision);
            let maps: Vec<Linear> = (0..COLD.div_ceil(bytes)).map(|_| pack()).collect();
            for rows in ROWS {
                let x: Vec<f32> = (0..rows * inputs).map(value).collect();
                let (mut out, mut scratch) = (vec![0.0; rows * outputs], Scratch::default());
                let (begun, mut seconds) = (Instant::now(), f64::INFINITY);
                while begun.elapsed().as_secs_f64() < SECONDS {
                    let started = Instant::now();
                    for map in &maps {
                        map.apply(&x, rows, &mut out, ProductOptions::default(), &mut scratch);
                    }
                    seconds = seconds.min(started.elapsed().as_secs_f64() / maps.len() as f64);
                }
                let operations = 2.0 * (rows * inputs * outputs) as f64;
                let least = (operations / peak(precision)).max(bytes as f64 / memory);
                speeds.push(ProductSpeed {
                    rows,
                    inputs,
                    outputs,
                    precision: precision.name(),
                    operations_per_second: operations / seconds,
                    share: least / seconds,
                });
            }
        }
    }
    speeds
}
