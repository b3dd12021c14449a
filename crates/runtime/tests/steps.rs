//! The engine's numbers against a plain statement of the model that computes every prefix from scratch.

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::reference::Reference;
use common::{END, engine, kinds, options, request, score, small, sources};
use strata_recipe::{Exits, Kind, ModelConfig};
use strata_runtime::{Limits, Precision, SearchOptions};

#[test]
fn scores_of_given_translations_are_those_of_the_plain_model() {
    for (seed, config) in kinds().into_iter().enumerate() {
        let engine = engine(&config, seed as u64, Precision::F32);
        let reference = Reference::new(&config, seed as u64);
        let lines = sources(&config, 4, 11 + seed as u64);
        let (source, target) = (&lines[0], &lines[1][1..lines[1].len() - 1]);
        let found = score(&engine, source, 2, target);
        assert_eq!(found.len(), target.len() + 1);
        for (i, found) in found.iter().enumerate() {
            let prefix: Vec<u32> = [2].iter().chain(&target[..i]).copied().collect();
            let id = target.get(i).copied().unwrap_or(END);
            let expected = reference.next(source, &prefix).0[id as usize];
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{}: {found}, plainly {expected}", config.name());
        }
    }
}

#[test]
fn each_step_of_a_beam_gives_the_numbers_of_a_computation_from_scratch() {
    for (seed, config) in kinds().into_iter().enumerate() {
        let engine = engine(&config, seed as u64, Precision::F32);
        let reference = Reference::new(&config, seed as u64);
        let lines = sources(&config, 3, 5 + seed as u64);
        let options = SearchOptions { beam: 3, nbest: 3, alignments: true, ..options() };
        let requests: Vec<_> = lines.iter().map(|line| request(line, &options)).collect();
        let found = engine.translate(&requests, &Limits::default()).expect("translations");
        for (source, hypotheses) in lines.iter().zip(found) {
            assert_eq!(hypotheses.len(), 3);
            for hypothesis in hypotheses {
                let attention = hypothesis.attention.as_ref().expect("attention");
                assert_eq!(attention.len(), hypothesis.ids.len());
                let mut prefix = vec![2];
                for (i, found) in hypothesis.token_scores.iter().enumerate() {
                    let id = hypothesis.ids.get(i).copied().unwrap_or(END);
                    let (expected, rows) = reference.next(source, &prefix);
                    let expected = expected[id as usize];
                    assert!((f64::from(*found) - expected).abs() < 1e-5, "{}: {found} {expected}", config.name());
                    if let Some(row) = attention.get(i) {
                        assert_eq!(row.len(), source.len());
                        row.iter().zip(&rows).for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-5));
                    }
                    prefix.push(id);
                }
                let sum: f32 = hypothesis.token_scores.iter().sum();
                assert!((hypothesis.score - sum / hypothesis.token_scores.len() as f32).abs() < 1e-5);
            }
        }
    }
}

/// The experts that each gate of a block may choose: in SMoE those of its stratum and of all later ones (in one pool
/// all), in a stack those of its own layer, else all.
#[allow(clippy::single_range_in_vec_init)] // one gate, which may choose any of them
const VISIBLE: [&[Range<usize>]; 16] = [
    &[],
    &[0..4],
    &[0..5],
    &[0..4],
    &[0..4],
    &[0..2, 2..4],
    &[0..4, 2..4],
    &[0..6, 2..6, 3..6],
    &[0..6, 2..6, 4..6],
    &[0..4],
    &[0..6, 2..6, 4..6],
    &[0..5, 3..5],
    &[0..5, 0..5],
    &[0..6, 2..6, 4..6],
    &[0..5, 2..5],
    &[0..8, 3..8],
];

/// The layers with an expert block, of the encoder and of the decoder: every second one, unless a kind says otherwise.
fn expert_layers(kind: usize) -> [&'static [usize]; 2] {
    match kind {
        0 => [&[], &[]],
        2 => [&[0, 1], &[0, 1]],
        11 => [&[0], &[0, 1, 2]],
        _ => [&[1], &[1]],
    }
}

#[test]
fn the_routing_trace_covers_every_token_and_agrees_with_the_kind() {
    assert_eq!(kinds().len(), VISIBLE.len());
    for (kind, config) in kinds().into_iter().enumerate() {
        let engine = engine(&config, kind as u64, Precision::F32);
        let lines = sources(&config, 5, kind as u64);
        let plain = request(&lines[0], &options());
        let traced = request(&lines[1], &SearchOptions { routing: true, nbest: 5, ..options() });
        let requests = [plain.clone(), traced.clone(), plain];
        let found = engine.translate(&requests, &Limits::default()).expect("translations");
        assert!(found[0][0].routing.is_none() && found[2][0].routing.is_none());
        let alone = engine.translate(&[traced], &Limits::default()).expect("translations");
        assert_eq!(alone[0], found[1]);
        for hypothesis in &found[1] {
            let routing = hypothesis.routing.as_ref().expect("a trace");
            let ended = hypothesis.token_scores.len() > hypothesis.ids.len();
            assert_eq!(routing.source.len(), lines[1].len());
            assert_eq!(routing.target.len(), hypothesis.ids.len() + usize::from(ended));
            let sides = [&routing.source, &routing.target].into_iter().zip(expert_layers(kind));
            for (token, layers) in sides.flat_map(|(side, layers)| side.iter().map(move |token| (token, layers))) {
                assert!(token.iter().map(|block| block.layer).eq(layers.iter().copied()));
                for block in token {
                    assert!(!block.visits.is_empty());
                    assert!(block.visits.is_sorted_by(|a, b| a.stratum < b.stratum));
                    for visit in &block.visits {
                        let seen = VISIBLE[kind][visit.stratum].clone();
                        assert_eq!(visit.experts.len(), config.top_k);
                        assert!(visit.experts.iter().all(|e| seen.contains(&(*e as usize))));
                        // With a budget the choice goes by more than the probability.
                        assert!(config.capacity_budget > 0.0 || visit.probabilities.is_sorted_by(|a, b| a >= b));
                        assert_eq!((visit.first, visit.distribution.len()), (seen.start, seen.len()));
                        assert!((visit.distribution.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                        let chosen = visit.experts.iter().map(|e| visit.distribution[*e as usize - seen.start]);
                        assert!(chosen.eq(visit.probabilities.iter().copied()));
                    }
                }
            }
        }
    }
}

/// Chance at inference hangs on a token's own hidden state: translations do not depend on what is beside them, in f32,
/// bf16 and int8 alike, and tokens visit as many strata as was asked for.
#[test]
fn random_exits_are_the_same_in_any_batch_and_as_many_as_asked_for() {
    let strata = vec![2, 2, 2];
    let config = ModelConfig { kind: Kind::Smoe, strata, exits: Exits::Random, random_capacity: 1.6, ..small() };
    for precision in Precision::ALL {
        let engine = engine(&config, 7, precision);
        let lines = sources(&config, 60, 3);
        let options = SearchOptions { routing: true, ..options() };
        let requests: Vec<_> = lines.iter().map(|line| request(line, &options)).collect();
        let together = engine.translate(&requests, &Limits::default()).expect("translations");
        let (mut tokens, mut visits) = (0, 0);
        for (request, beside) in requests.iter().zip(&together) {
            let alone = engine.translate(std::slice::from_ref(request), &Limits::default()).expect("a translation");
            assert_eq!(&alone[0], beside);
            let routing = beside[0].routing.as_ref().expect("a trace");
            for block in routing.source.iter().chain(&routing.target).flatten() {
                assert!(block.visits.iter().enumerate().all(|(i, visit)| visit.stratum == i));
                (tokens, visits) = (tokens + 1, visits + block.visits.len());
            }
        }
        let requested = visits as f64 / f64::from(tokens);
        assert!(tokens > 300 && (requested - 1.6).abs() < 0.15, "{requested} over {tokens}");
    }
}

#[test]
fn requests_that_do_not_fit_are_refused_in_words() {
    let config = common::small();
    let engine = engine(&config, 1, Precision::F32);
    let good = request(&[2, 5, END], &options());
    let says = |change: &dyn Fn(&mut strata_runtime::Request)| {
        let mut bad = good.clone();
        change(&mut bad);
        engine.translate(&[good.clone(), bad], &Limits::default()).expect_err("an error").to_string()
    };
    let with = |change: &dyn Fn(&mut SearchOptions)| says(&|request| change(&mut request.options));
    assert!(says(&|r| r.source.clear()).contains("without subwords"));
    assert!(says(&|r| r.source = vec![3; 25]).contains("25 subwords; this model takes at most 24"));
    assert!(says(&|r| r.source[1] = 29).contains("29 is outside"));
    assert!(says(&|r| r.prefix = vec![3; 24]).contains("25 subwords; this model writes at most 24"));
    assert!(says(&|r| r.prefix = vec![END]).contains("end mark"));
    assert!(says(&|r| r.constraints = vec![vec![]]).contains("constraint without subwords"));
    assert!(with(&|o| o.beam = 0).contains("beam = 0"));
    assert!(with(&|o| o.length_penalty = f64::NAN).contains("length_penalty"));
    assert!(says(&|r| r.vocabulary = Some(Arc::new([5, 3]))).contains("ascending"));
    assert!(says(&|r| r.vocabulary = Some(Arc::new([3, 5]))).contains("subword id 1 is needed"));
    assert!(with(&|o| (o.sample, o.temperature) = (true, 0.0)).contains("temperature"));
}
