//! Every search option against an exhaustive statement: all translations of a tiny vocabulary, scored one by one.

mod common;

use std::sync::Arc;

use common::reference::Reference;
use common::{END, engine, kinds, options, request, small, sources};
use strata_recipe::{Kind, ModelConfig};
use strata_runtime::{Engine, Hypothesis, Limits, Precision, RandomWeights, Request, SearchOptions};

/// Longest translation of the exhaustive tests, with the end mark.
const LONGEST: usize = 4;

fn tiny() -> ModelConfig {
    ModelConfig { kind: Kind::Smoe, strata: vec![2, 2], vocab_size: 6, ..small() }
}

/// Keeps everything there is.
fn everything() -> SearchOptions {
    SearchOptions { beam: 1024, nbest: 1024, max_ratio: 0.0, max_extra: LONGEST, length_penalty: 0.7, ..options() }
}

/// Nothing is suppressed.
fn free(source: &[u32], options: SearchOptions) -> Request {
    Request::new(source.to_vec(), [2], END, options)
}

fn one(engine: &Engine, request: Request) -> Vec<Hypothesis> {
    engine.translate(&[request], &Limits::default()).expect("translations").remove(0)
}

/// All translations of up to [`LONGEST`] subwords with their scores, best first.
fn all_translations(engine: &Engine, source: &[u32], longest: usize) -> Vec<(Vec<u32>, f32)> {
    let mut all: Vec<Vec<u32>> = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last.iter().flat_map(|ids| [0, 2, 3, 4, 5].map(|id| [ids.as_slice(), &[id]].concat())).collect();
        all.extend(last.iter().cloned());
    }
    let requests: Vec<Request> = all.iter().map(|ids| Request::score(source.to_vec(), [2], END, ids.clone())).collect();
    let found = engine.translate(&requests, &Limits::default()).expect("scores");
    let mut scored: Vec<(Vec<u32>, f32)> = all
        .into_iter()
        .zip(found)
        .map(|(ids, mut found)| {
            let scores = found.remove(0).token_scores;
            // The longest have no end mark.
            let length = scores.len().min(longest);
            let sum: f32 = scores[..length].iter().sum();
            (ids, sum / (length as f32).powf(0.7))
        })
        .collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored
}

/// Compares complete lists, best first; equal scores may change places.
fn same(found: &[Hypothesis], expected: &[(Vec<u32>, f32)], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found.score - expected.1).abs() < 1e-5, "{what}: {found:?}, exhaustively {expected:?}");
    }
    let sorted = |mut ids: Vec<Vec<u32>>| {
        ids.sort();
        ids
    };
    let ids = found.iter().map(|h| h.ids.clone()).collect();
    assert_eq!(sorted(ids), sorted(expected.iter().map(|e| e.0.clone()).collect()), "{what}");
    assert_eq!(found[0].ids, expected[0].0, "{what}");
}

#[test]
fn a_wide_beam_finds_what_an_exhaustive_search_finds() {
    let engine = engine(&tiny(), 3, Precision::F32);
    for source in sources(&tiny(), 4, 1) {
        let all = all_translations(&engine, &source, LONGEST);
        assert_eq!(all.len(), 1 + 5 + 25 + 125 + 625);
        let check_request = |request: Request, what: &str, keep: &dyn Fn(&[u32]) -> bool| {
            let expected: Vec<_> = all.iter().filter(|(ids, _)| keep(ids)).cloned().collect();
            assert!(expected.len() < all.len() || what == "plain");
            same(&one(&engine, request), &expected, what);
        };
        let check = |options: SearchOptions, what: &str, keep: &dyn Fn(&[u32]) -> bool| {
            check_request(free(&source, options), what, keep);
        };
        let length = |ids: &[u32]| (ids.len() + 1).min(LONGEST); // with the end mark
        check(everything(), "plain", &|_| true);
        check(SearchOptions { min_length: 3, ..everything() }, "minimum", &|ids| length(ids) >= 3);
        let suppressed = Request { suppressed: Arc::new([0, 4]), ..free(&source, everything()) };
        check_request(suppressed, "suppressed", &|ids| !ids.contains(&0) && !ids.contains(&4));
        for n in 1..=3 {
            check(SearchOptions { no_repeat_ngram: n, ..everything() }, "no repeated n-grams", &|ids| {
                let ngrams: Vec<&[u32]> = ids.windows(n).collect();
                (0..ngrams.len()).all(|i| !ngrams[..i].contains(&ngrams[i]))
            });
        }
        let shorter = all_translations(&engine, &source, 3);
        let found = one(&engine, free(&source, SearchOptions { max_length: 3, ..everything() }));
        same(&found, &shorter, "maximum");
    }
}

#[test]
fn prefixes_and_constraints_are_met_and_nothing_else_is_lost() {
    let engine = engine(&tiny(), 3, Precision::F32);
    for source in sources(&tiny(), 3, 2) {
        let all = all_translations(&engine, &source, LONGEST);
        let only =
            |keep: &dyn Fn(&[u32]) -> bool| -> Vec<_> { all.iter().filter(|(ids, _)| keep(ids)).cloned().collect() };
        let with = |prefix: &[u32], constraints: &[&[u32]]| {
            let mut request = free(&source, everything());
            request.prefix = prefix.to_vec();
            request.constraints = constraints.iter().map(|ids| ids.to_vec()).collect();
            one(&engine, request)
        };
        let has = |ids: &[u32], phrase: &[u32]| ids.windows(phrase.len()).any(|w| w == phrase);
        same(&with(&[5, 3], &[]), &only(&|ids| ids.starts_with(&[5, 3])), "prefix");
        same(&with(&[4], &[]), &only(&|ids| ids.starts_with(&[4])), "short prefix");
        same(&with(&[], &[&[3, 3]]), &only(&|ids| has(ids, &[3, 3])), "one phrase");
        same(&with(&[], &[&[3], &[5, 4]]), &only(&|ids| has(ids, &[3]) && has(ids, &[5, 4])), "a word and a phrase");
        same(&with(&[], &[&[3, 2], &[2]]), &only(&|ids| has(ids, &[3, 2])), "overlapping");
        same(&with(&[4], &[&[4, 2]]), &only(&|ids| ids.starts_with(&[4]) && has(ids, &[4, 2])), "both");
    }
}

#[test]
fn narrow_beams_meet_their_constraints_too() {
    let mut lengths = Vec::new();
    for (seed, config) in kinds().into_iter().enumerate() {
        let engine = engine(&config, seed as u64, Precision::F32);
        let lines = sources(&config, 8, seed as u64 + 70);
        for beam in [1, 2, 5] {
            let requests: Vec<Request> = lines
                .iter()
                .map(|line| {
                    let mut request = request(line, &SearchOptions { beam, nbest: beam, ..options() });
                    request.constraints = vec![vec![7, 7, 8], vec![line[1], 9], vec![10]];
                    request
                })
                .collect();
            let found = engine.translate(&requests, &Limits::default()).expect("translations");
            for (request, hypotheses) in requests.iter().zip(found) {
                assert!(!hypotheses.is_empty());
                for hypothesis in hypotheses {
                    for phrase in &request.constraints {
                        let met = hypothesis.ids.windows(phrase.len()).any(|w| w == phrase);
                        assert!(met, "{}: {phrase:?} in {:?}", config.name(), hypothesis.ids);
                    }
                    lengths.push(hypothesis.ids.len());
                }
            }
        }
    }
    lengths.sort_unstable();
    assert!(lengths[0] < lengths[lengths.len() - 1], "translations of one length only: {lengths:?}");
}

#[test]
fn the_coverage_penalty_is_that_of_equation_14() {
    let config = tiny();
    let engine = engine(&config, 3, Precision::F32);
    let reference = Reference::new(&config, 3);
    let source = &sources(&config, 1, 4)[0];
    let plain = SearchOptions { beam: 3, nbest: 3, ..everything() };
    let before = one(&engine, free(source, plain));
    let after = one(&engine, free(source, SearchOptions { coverage_penalty: 0.4, ..plain }));
    for hypothesis in after {
        let mut covered = vec![0.0f64; source.len()];
        let mut prefix = vec![2];
        for i in 0..hypothesis.token_scores.len() {
            let (_, attention) = reference.next(source, &prefix);
            covered.iter_mut().zip(attention).for_each(|(sum, p)| *sum += p);
            prefix.extend(hypothesis.ids.get(i));
        }
        let penalty: f64 = covered.iter().map(|sum| sum.min(1.0).ln()).sum();
        let plain = before.iter().find(|h| h.ids == hypothesis.ids).expect("the same translations");
        assert!((f64::from(hypothesis.score - plain.score) - 0.4 * penalty).abs() < 1e-4);
    }
}

#[test]
fn a_beam_of_one_takes_the_most_probable_subword_each_time() {
    for (seed, config) in kinds().into_iter().enumerate() {
        let engine = engine(&config, seed as u64, Precision::F32);
        let reference = Reference::new(&config, seed as u64);
        let source = &sources(&config, 1, seed as u64 + 9)[0];
        let found = one(&engine, request(source, &SearchOptions { beam: 1, ..options() }));
        let mut prefix = vec![2];
        for i in 0..found[0].token_scores.len() {
            let (p, _) = reference.next(source, &prefix);
            let best = (1..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b])).expect("a subword") as u32;
            assert_eq!(found[0].ids.get(i).copied().unwrap_or(END), best, "{}", config.name());
            prefix.push(best);
        }
    }
}

#[test]
fn a_part_of_the_vocabulary_shares_the_probability_among_itself() {
    let config = small();
    let engine = engine(&config, 5, Precision::F32);
    let reference = Reference::new(&config, 5);
    let vocabulary: Arc<[u32]> = Arc::new([1, 4, 5, 9, 11, 20, 28]);
    let options = SearchOptions { nbest: 5, ..options() };
    for source in sources(&config, 3, 8) {
        let request = Request {
            vocabulary: Some(vocabulary.clone()),
            suppressed: Arc::new([0, 5]),
            ..request(&source, &options)
        };
        for hypothesis in one(&engine, request) {
            let mut prefix = vec![2];
            for (i, found) in hypothesis.token_scores.iter().enumerate() {
                let id = hypothesis.ids.get(i).copied().unwrap_or(END);
                assert!(vocabulary.contains(&id) && id != 5);
                let (p, _) = reference.next(&source, &prefix);
                let sum: f64 = vocabulary.iter().map(|id| p[*id as usize].exp()).sum();
                assert!((f64::from(*found) - (p[id as usize] - sum.ln())).abs() < 1e-5);
                prefix.push(id);
            }
        }
    }
}

#[test]
fn drawn_translations_come_as_often_as_they_are_probable() {
    let engine = engine(&tiny(), 3, Precision::F32);
    let source = &sources(&tiny(), 1, 6)[0];
    let draws = 600;
    let each = 20;
    let requests: Vec<Request> = (0..draws)
        .map(|seed| {
            let drawn = SearchOptions { sample: true, seed, beam: 1, nbest: each, max_extra: 2, ..everything() };
            free(source, drawn)
        })
        .collect();
    let found = engine.translate(&requests, &Limits::default()).expect("translations");
    assert_eq!(found, engine.translate(&requests, &Limits::default()).expect("translations"), "seeds decide");
    assert_ne!(found[0], found[1]);
    let mut counts = std::collections::BTreeMap::<Vec<u32>, (f64, f64)>::new();
    for hypothesis in found.iter().flatten() {
        let sum: f32 = hypothesis.token_scores.iter().sum();
        let entry = counts.entry(hypothesis.ids.clone()).or_insert((0.0, f64::from(sum.exp())));
        entry.0 += 1.0;
    }
    let total = (draws * each as u64) as f64;
    assert_eq!(counts.values().map(|c| c.0).sum::<f64>(), total);
    assert_eq!(counts.len(), 1 + 5 + 25, "all translations of up to two subwords occur");
    for (ids, (count, p)) in counts {
        // Five standard errors.
        let error = (total * p * (1.0 - p)).sqrt();
        assert!((count - total * p).abs() < 5.0 * error, "{ids:?}: {count} times, expected {}", total * p);
    }
}

#[test]
fn what_is_drawn_is_given_back_whatever_the_beam() {
    let config = small();
    let engine = engine(&config, 2, Precision::F32);
    for source in sources(&config, 5, 3) {
        let drawn = |beam, nbest| {
            let options = SearchOptions { beam, nbest, sample: true, temperature: 3.0, seed: 4, ..options() };
            one(&engine, request(&source, &options))
        };
        let (first, five) = (drawn(1, 1), drawn(1, 5));
        assert_eq!((first.len(), five.len()), (1, 5));
        assert_eq!((drawn(5, 1), drawn(5, 5), drawn(2, 5)), (first.clone(), five.clone(), five.clone()));
        assert!(five.contains(&first[0]) && five.is_sorted_by(|a, b| a.score >= b.score), "the best first");
    }
}

#[test]
fn drawing_cold_is_searching_greedily() {
    let config = small();
    let engine = engine(&config, 2, Precision::F32);
    for source in sources(&config, 5, 3) {
        let greedy = one(&engine, request(&source, &SearchOptions { beam: 1, ..options() }));
        for (top_k, temperature) in [(1, 1.0), (0, 1e-4)] {
            let cold = SearchOptions { beam: 1, sample: true, temperature, top_k, seed: 5, ..options() };
            assert_eq!(one(&engine, request(&source, &cold)), greedy);
        }
    }
}

#[test]
fn a_search_that_may_not_go_on_gives_what_it_has() {
    // Only one subword is allowed, and it may not be repeated, nor may the end come early.
    let engine = engine(&tiny(), 3, Precision::F32);
    let options = SearchOptions { no_repeat_ngram: 1, min_length: 4, ..everything() };
    let found = one(&engine, Request { suppressed: Arc::new([0, 2, 3, 4]), ..free(&[2, 5, END], options) });
    assert_eq!((found.len(), found[0].ids.as_slice()), (1, [5].as_slice()));
}

#[test]
fn random_weights_follow_from_their_seed() {
    use strata_runtime::Weights;
    let (a, b) = (RandomWeights::new(1), RandomWeights::new(2));
    assert_eq!(a.f32("x", &[2, 3]).expect("weights"), RandomWeights::new(1).f32("x", &[2, 3]).expect("weights"));
    assert_ne!(a.f32("x", &[2, 3]).expect("weights"), b.f32("x", &[2, 3]).expect("weights"));
    assert_ne!(a.f32("x", &[2, 3]).expect("weights"), a.f32("y", &[2, 3]).expect("weights"));
}
