//! The engine on the architectures of the field: the numbers of a plain statement of each, and the same bits in any
//! batch.

mod common;
mod folders;

use std::sync::Arc;

use common::reference::Reference;
use common::shapes::shapes;
use common::{END, engine, options};
use folders::write_model;
use strata_recipe::{Mark, ModelConfig};
use strata_runtime::{
    Engine, Hypothesis, Limits, Model, PackedFolder, Precision, Request, SearchOptions, write_packed,
};
use strata_simd::random::SplitMix64;
use strata_store::{Check, Existing};

/// The id of a mark in these tests.
fn id(mark: Mark) -> u32 {
    match mark {
        Mark::Target => 2,
        Mark::Source => 4,
        Mark::End => END,
        Mark::Padding | Mark::Zero => 0,
        Mark::Subword(id) => id,
    }
}

fn ids(marks: &[Mark]) -> Vec<u32> {
    marks.iter().map(|mark| id(*mark)).collect()
}

/// `count` random sentences in their frames.
fn sentences(config: &ModelConfig, count: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut numbers = SplitMix64::new(seed);
    let mut sentence = || {
        let length = 2 + numbers.below(7);
        let words = (0..length).map(|_| 2 + numbers.below(config.source_vocab_size() as u64 - 2) as u32);
        [ids(&config.prompts.source_front), words.collect(), ids(&config.prompts.source_end)].concat()
    };
    (0..count).map(|_| sentence()).collect()
}

fn request(config: &ModelConfig, source: &[u32], options: SearchOptions) -> Request {
    Request::new(source.to_vec(), ids(&config.prompts.decoder), END, options)
}

fn translate(engine: &Engine, requests: &[Request], limits: Limits) -> Vec<Vec<Hypothesis>> {
    engine.translate(requests, &limits).expect("translations")
}

#[test]
fn every_step_gives_the_numbers_of_the_plain_model() {
    for (seed, (name, config)) in shapes().into_iter().enumerate() {
        config.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
        let engine = engine(&config, seed as u64, Precision::F32);
        let reference = Reference::new(&config, seed as u64);
        let lines = sentences(&config, 2, seed as u64);
        let options = SearchOptions { beam: 3, nbest: 3, alignments: true, ..options() };
        let requests: Vec<Request> = lines.iter().map(|line| request(&config, line, options)).collect();
        // The prefix is read in one step with the prompt.
        let forced = Request { prefix: vec![9, 3, 14], ..requests[0].clone() };
        let requests = [requests, vec![forced]].concat();
        let found = translate(&engine, &requests, Limits::default());
        for (request, hypotheses) in requests.iter().zip(found) {
            assert_eq!(hypotheses.len(), 3, "{name}");
            for hypothesis in hypotheses {
                assert!(hypothesis.ids.starts_with(&request.prefix), "{name}");
                let mut read = request.prompt.clone();
                for (i, found) in hypothesis.token_scores.iter().enumerate() {
                    let id = hypothesis.ids.get(i).copied().unwrap_or(END);
                    let (expected, attention) = reference.next(&request.source, &read);
                    let expected = expected[id as usize];
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{name}: {found}, plainly {expected}");
                    if let Some(row) = hypothesis.attention.as_ref().and_then(|rows| rows.get(i)) {
                        let close = row.iter().zip(&attention).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5);
                        assert!(close && row.len() == attention.len(), "{name}: {row:?}, plainly {attention:?}");
                    }
                    read.push(id);
                }
                let sum: f32 = hypothesis.token_scores.iter().sum();
                let mean = sum / hypothesis.token_scores.len() as f32;
                assert!((hypothesis.score - mean).abs() < 1e-5, "{name}: the prompt is not in the score");
            }
        }
    }
}

#[test]
fn every_option_changes_what_the_model_computes() {
    let scores = |config: &ModelConfig| {
        let engine = engine(config, 5, Precision::F32);
        let score = |source| Request::score(source, ids(&config.prompts.decoder), END, vec![9, 3, 14, 6, 21, 28, 17]);
        let requests: Vec<Request> = sentences(config, 8, 7).into_iter().map(score).collect();
        let found = translate(&engine, &requests, Limits::default()).into_iter().flatten();
        found.flat_map(|hypothesis| hypothesis.token_scores).collect::<Vec<f32>>()
    };
    for (name, config) in shapes() {
        let usual = ModelConfig { network: Default::default(), prompts: Default::default(), ..config.clone() };
        let usual = ModelConfig { block_experts: Vec::new(), ..usual };
        let (found, usual) = (scores(&config), scores(&usual));
        assert!(found.iter().zip(&usual).any(|(a, b)| (a - b).abs() > 1e-4), "{name}: {found:?} and {usual:?}");
    }
}

#[test]
fn bits_do_not_depend_on_batches_or_threads_in_any_architecture() {
    for (name, config) in shapes() {
        for precision in Precision::ALL {
            let config = ModelConfig { d_model: 48, d_ffn: 96, ..config.clone() };
            let engine = engine(&config, 3, precision);
            let mut requests: Vec<Request> =
                sentences(&config, 12, 4).iter().map(|line| request(&config, line, options())).collect();
            for request in requests.iter_mut().step_by(3) {
                request.prefix = vec![9, 3];
            }
            for request in requests.iter_mut().step_by(4) {
                request.vocabulary = Some(Arc::new([1, 3, 5, 6, 7, 8, 9, 11, 20]));
            }
            let limits = |sentences: usize, threads| Limits {
                source_tokens: 11 * sentences,
                hypotheses: 8 * sentences,
                join_tokens: 20,
                threads,
                workers: 0,
            };
            let alone: Vec<Vec<Hypothesis>> = requests
                .iter()
                .map(|one| translate(&engine, std::slice::from_ref(one), limits(1, 1)).remove(0))
                .collect();
            for (sentences, threads) in [(5, 1), (12, 2)] {
                let found = translate(&engine, &requests, limits(sentences, threads));
                assert!(found == alone, "{name}, {precision:?}: {sentences} at a time on {threads} threads");
            }
        }
    }
}

#[test]
fn every_architecture_can_be_packed() {
    let dir = tempfile::tempdir().expect("a folder");
    for (seed, (name, config)) in shapes().into_iter().enumerate() {
        let folder = write_model(&dir.path().join(format!("{seed}")), &config, seed as u64);
        let lines = sentences(&config, 3, seed as u64);
        let requests: Vec<Request> = lines.iter().map(|line| request(&config, line, options())).collect();
        let run = |model: Model| translate(&Engine::new(Arc::new(model)), &requests, Limits::default());
        for precision in Precision::ALL {
            let path = dir.path().join(format!("{seed}-{}", precision.name()));
            write_packed(&folder, precision, &path, Existing::Refuse, &[]).expect("a packed folder");
            let packed = PackedFolder::open(&path, Check::Contents).expect("a packed folder");
            let expected = run(Model::load(&folder, precision).expect("a model"));
            assert!(run(Model::load_packed(&packed).expect("a model")) == expected, "{name}, {precision:?}");
        }
    }
}

#[test]
fn a_prompt_of_another_length_is_refused() {
    let (_, config) = shapes().into_iter().find(|(name, _)| *name == "NLLB-MoE").expect("a shape");
    let engine = engine(&config, 1, Precision::F32);
    let request = Request::new(vec![4, 5, END], [2], END, options());
    let error = engine.translate(&[request], &Limits::default()).expect_err("an error").to_string();
    assert_eq!(error, "a prompt of 1 tokens; the decoder of this model reads 2 first");
}
