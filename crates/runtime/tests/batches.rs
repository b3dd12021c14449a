//! A request's bits do not depend on its neighbors, on the size of the batch, on when it joins, or on the number of
//! threads and workers.

mod common;

use std::borrow::Cow;
use std::sync::Arc;

use common::{engine, options, request, score, sources};
use strata_recipe::{Kind, ModelConfig, Normalization};
use strata_runtime::{
    Engine, Error, Hypothesis, Limits, Model, Precision, RandomWeights, Request, SearchOptions, Session, Weights,
};
use strata_simd::random::SplitMix64;
use strata_simd::{from_bf16, to_bf16};

/// Large enough for products to be cut by threads, and for several blocks of the vocabulary.
fn larger(kind: Kind) -> ModelConfig {
    let plain = ModelConfig {
        kind,
        d_model: 64,
        d_ffn: 192,
        heads: 4,
        vocab_size: 1200,
        moe_every: 2,
        normalization: Normalization::Reference,
        ..common::small()
    };
    match kind {
        Kind::Smoe => ModelConfig { strata: vec![3, 5], ..plain },
        Kind::Cmr => ModelConfig { experts: 6, ..plain },
        _ => plain,
    }
}

/// Requests of every kind.
fn requests(config: &ModelConfig, count: usize) -> Vec<Request> {
    let vocabulary: Arc<[u32]> = (0..1200).filter(|id| id % 3 == 1).collect();
    let changes: [&dyn Fn(&mut Request); 8] = [
        &|_| {},
        &|r| r.options.beam = 1,
        &|r| (r.options.beam, r.options.nbest, r.options.alignments) = (3, 3, true),
        &|r| {
            let drawn = SearchOptions { sample: true, temperature: 1.2, top_k: 40, top_p: 0.9, seed: 8, ..r.options };
            r.options = drawn;
        },
        &|r| (r.options.no_repeat_ngram, r.options.min_length) = (2, 4),
        &|r| r.vocabulary = Some(vocabulary.clone()),
        &|r| (r.options.coverage_penalty, r.options.beam) = (0.3, 8),
        &|r| (r.options.routing, r.options.max_ratio) = (true, 0.7),
    ];
    let mut numbers = SplitMix64::new(4);
    sources(config, count, 3)
        .into_iter()
        .map(|source| {
            let mut request = request(&source, &options());
            changes[numbers.below(changes.len() as u64) as usize](&mut request);
            let whole = request.vocabulary.is_none();
            let constrained = !request.options.sample && whole && numbers.below(4) == 0;
            let forced = whole && numbers.below(4) == 0;
            if constrained {
                request.constraints = vec![vec![5, 6], vec![7]];
            }
            if forced {
                request.prefix = vec![9, 3, 4];
            }
            request
        })
        .collect()
}

fn limits(sentences: usize, threads: usize) -> Limits {
    Limits { source_tokens: 11 * sentences, hypotheses: 8 * sentences, join_tokens: 20, threads, workers: 0 }
}

#[test]
fn bits_do_not_depend_on_batches_neighbors_or_threads() {
    let kinds = [Kind::Dense, Kind::Smoe, Kind::Cmr];
    for (kind, precision) in kinds.into_iter().flat_map(|kind| Precision::ALL.map(|precision| (kind, precision))) {
        let config = larger(kind);
        let engine = engine(&config, 6, precision);
        let many = (kind, precision) == (Kind::Smoe, Precision::F32);
        let requests = requests(&config, if many { 1000 } else { 64 });
        let alone: Vec<Vec<Hypothesis>> = requests
            .iter()
            .map(|request| engine.translate(std::slice::from_ref(request), &limits(1, 1)).expect("one").remove(0))
            .collect();
        let mut numbers = SplitMix64::new(9);
        for (sentences, threads, workers) in
            [(1, 2, 0), (7, 1, 0), (7, 2, 1), (7, 4, 2), (64, 1, 0), (64, 2, 0), (64, 2, 1), (40, 3, 3)]
        {
            let mut order: Vec<usize> = (0..requests.len()).collect();
            (1..order.len()).for_each(|i| order.swap(i, numbers.below(i as u64 + 1) as usize));
            let shuffled: Vec<Request> = order.iter().map(|i| requests[*i].clone()).collect();
            let limits = Limits { workers, ..limits(sentences, threads) };
            let found = engine.translate(&shuffled, &limits).expect("translations");
            for (i, found) in order.iter().zip(found) {
                assert_eq!(found, alone[*i], "{precision:?} {}: {sentences} at a time", config.name());
            }
        }
    }
}

#[test]
fn sessions_take_and_cancel_requests_at_any_time() {
    let config = larger(Kind::Smoe);
    let engine: Engine = engine(&config, 6, Precision::F32);
    let requests = requests(&config, 40);
    let expected = engine.translate(&requests, &limits(40, 1)).expect("translations");
    let mut session: Session = engine.session(limits(5, 1));
    let mut numbers = SplitMix64::new(2);
    let mut results = vec![None; requests.len()];
    let mut cancelled = vec![false; requests.len()];
    let mut submitted = 0;
    while submitted < requests.len() || !session.is_idle() {
        for _ in 0..numbers.below(3) {
            if submitted < requests.len() {
                let id = session.submit(requests[submitted].clone()).expect("an id");
                assert_eq!(id, submitted as u64);
                submitted += 1;
            }
        }
        if numbers.below(4) == 0 && submitted > 0 {
            let id = numbers.below(submitted as u64);
            let there = results[id as usize].is_none() && !cancelled[id as usize];
            assert_eq!(session.cancel(id), there);
            cancelled[id as usize] |= there;
        }
        for finished in session.step() {
            assert!(results[finished.id as usize].replace(finished.hypotheses).is_none());
        }
    }
    assert!(!session.cancel(0) && session.step().is_empty());
    let count = cancelled.iter().filter(|c| **c).count();
    assert!((1..40).contains(&count), "{count} cancelled");
    for ((result, expected), cancelled) in results.into_iter().zip(expected).zip(cancelled) {
        assert_eq!(result, (!cancelled).then_some(expected));
    }
}

#[test]
fn fewer_bits_say_nearly_the_same() {
    let config = larger(Kind::Smoe);
    let lines = sources(&config, 20, 1);
    let scores = |precision| {
        let engine = engine(&config, 6, precision);
        let score = |line: &Vec<u32>| score(&engine, line, 2, &line[1..line.len() - 1]);
        lines.iter().flat_map(score).collect::<Vec<f32>>()
    };
    let exact = scores(Precision::F32);
    for (precision, most) in [(Precision::Bf16, 0.05), (Precision::Int8, 0.1)] {
        let (rounded, name) = (scores(precision), precision.name());
        let distance: f32 = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs()).sum::<f32>() / exact.len() as f32;
        assert!(exact != rounded, "{name} is in use");
        assert!(distance < most, "{name}: log-probabilities are {distance} apart on average");
    }
}

/// Weights rounded to bfloat16, but for those that no product of packed weights reads: norms, biases and gates.
struct Rounded<'a>(&'a dyn Weights);

impl Weights for Rounded<'_> {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        let weights = self.0.f32(name, shape)?;
        if shape.len() < 2 || name.contains("gate") {
            return Ok(weights);
        }
        Ok(weights.iter().map(|w| from_bf16(to_bf16(*w) as u16)).collect())
    }
}

#[test]
fn bf16_has_the_bits_of_f32_with_rounded_weights() {
    for kind in [Kind::Dense, Kind::Smoe, Kind::Cmr] {
        // An odd width inside: a row's last weight has no neighbor.
        let config = ModelConfig { d_model: 14, heads: 7, d_ffn: 21, ..larger(kind) };
        let requests = requests(&config, 16);
        let weights = RandomWeights::new(6);
        let translate = |weights: &dyn Weights, precision| {
            let engine = Engine::new(Arc::new(Model::pack(&config, weights, precision).expect("a model")));
            engine.translate(&requests, &limits(7, 2)).expect("translations")
        };
        let expected = translate(&Rounded(&weights), Precision::F32);
        assert_eq!(translate(&weights, Precision::Bf16), expected, "{}", config.name());
        assert_ne!(translate(&weights, Precision::F32), expected, "{}", config.name());
    }
}
