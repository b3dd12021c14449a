//! What the integration tests share: small configurations of every kind, and requests.
#![allow(dead_code)] // each test uses some of it

pub mod reference;
pub mod shapes;
#[path = "../../../model/tests/common/small.rs"]
mod small;

use std::sync::Arc;

use strata_recipe::{Exits, Kind, ModelConfig, Normalization, Visible};
use strata_runtime::{Engine, Limits, Model, Precision, RandomWeights, Request, SearchOptions};
use strata_simd::random::SplitMix64;

pub use small::small;

/// Id of the end mark in all tests.
pub const END: u32 = 1;

/// One small model of each kind, and of each rule that changes inference.
pub fn kinds() -> Vec<ModelConfig> {
    let smoe = |strata: &[usize]| ModelConfig { kind: Kind::Smoe, strata: strata.to_vec(), ..small() };
    let reference = |config| ModelConfig { normalization: Normalization::Reference, ..config };
    vec![
        small(),
        ModelConfig { kind: Kind::Moe, experts: 4, ..small() },
        ModelConfig { kind: Kind::Moe, experts: 5, eom: 0.2, moe_every: 1, ..small() },
        ModelConfig { kind: Kind::Switch, experts: 4, top_k: 1, ..small() },
        ModelConfig { kind: Kind::Cmr, experts: 4, ..small() },
        ModelConfig { kind: Kind::Stacked, strata: vec![2, 2], ..small() },
        smoe(&[2, 2]),
        smoe(&[2, 1, 3]),
        ModelConfig { top_k: 1, eom: 0.1, ..smoe(&[2, 2, 2]) },
        reference(smoe(&[4])),
        reference(smoe(&[2, 2, 2])),
        ModelConfig { encoder_layers: 1, decoder_layers: 3, moe_every: 1, ..reference(smoe(&[3, 2])) },
        ModelConfig { visible: Visible::All, exits: Exits::Learned, fom: 0.1, ..smoe(&[2, 3]) },
        ModelConfig { exits: Exits::Never, visit_scale: 0.5, ..smoe(&[2, 2, 2]) },
        ModelConfig { capacity_budget: 1.4, learned_scale: true, ..smoe(&[2, 3]) },
        ModelConfig { top_k: 4, ..smoe(&[3, 5]) },
    ]
}

pub fn engine(config: &ModelConfig, seed: u64, precision: Precision) -> Engine {
    let model = Model::pack(config, &RandomWeights::new(seed), precision).expect("a model");
    Engine::new(Arc::new(model))
}

/// `count` random sources with a tag in front and the end mark behind.
pub fn sources(config: &ModelConfig, count: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut numbers = SplitMix64::new(seed);
    let longest = (config.max_length as u64 - 2).min(9);
    (0..count)
        .map(|_| {
            let length = 1 + numbers.below(longest);
            let words = (0..length).map(|_| 2 + numbers.below(config.vocab_size as u64 - 2) as u32);
            [2].into_iter().chain(words.collect::<Vec<_>>()).chain([END]).collect()
        })
        .collect()
}

/// The log-probability of each subword of `target` and of the end mark after it.
pub fn score(engine: &Engine, source: &[u32], first: u32, target: &[u32]) -> Vec<f32> {
    let request = Request::score(source.to_vec(), [first], END, target.to_vec());
    let found = engine.translate(&[request], &Limits::default()).expect("scores");
    found.into_iter().flatten().next().expect("a hypothesis").token_scores
}

pub fn options() -> SearchOptions {
    SearchOptions { max_ratio: 1.0, max_extra: 4, ..SearchOptions::default() }
}

/// A request for the language of tag 2; padding is never chosen.
pub fn request(source: &[u32], options: &SearchOptions) -> Request {
    Request { suppressed: Arc::new([0]), ..Request::new(source.to_vec(), [2], END, *options) }
}
