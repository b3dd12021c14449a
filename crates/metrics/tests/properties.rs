//! What must hold for any text, checked on generated ones.

use proptest::{collection::vec, prelude::*};
use strata_metrics::{
    Bleu, BleuOptions, Chrf, ChrfOptions, Metric, Smoothing, Statistics, Tokenizer,
    significance::{BootstrapOptions, RandomizationOptions, approximate_randomization, confidence, paired_bootstrap},
};

/// Every kind of metric, chosen by index.
fn metric(index: usize) -> Box<dyn Metric> {
    let bleu = |tokenizer, smoothing, effective_order| {
        let options = BleuOptions { tokenizer, smoothing, effective_order, ..Default::default() };
        Box::new(Bleu::new(options).unwrap()) as Box<dyn Metric>
    };
    let chrf = |options| Box::new(Chrf::new(options).unwrap()) as Box<dyn Metric>;
    match index {
        0 => bleu(Tokenizer::V13a, Smoothing::Exp, false),
        1 => bleu(Tokenizer::Intl, Smoothing::None, true),
        2 => bleu(Tokenizer::Zh, Smoothing::Floor(0.1), false),
        3 => bleu(Tokenizer::Char, Smoothing::AddK(1.0), true),
        4 => bleu(Tokenizer::None, Smoothing::Exp, true),
        5 => chrf(ChrfOptions::chrf2()),
        6 => chrf(ChrfOptions::chrf2_plus_plus()),
        _ => chrf(ChrfOptions { eps_smoothing: true, whitespace: true, ..ChrfOptions::chrf2_plus_plus() }),
    }
}
const METRICS: usize = 8;

/// Any characters, or a few words that often coincide.
fn line() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,20}", "((a|b|c|the|3\\.5|,|。) ?){0,12}", any::<String>()]
}

fn corpus() -> impl Strategy<Value = Vec<(String, String, String)>> {
    vec((line(), line(), line()), 1..8)
}

fn columns(corpus: &[(String, String, String)]) -> [Vec<&str>; 3] {
    [
        corpus.iter().map(|segment| segment.0.as_str()).collect(),
        corpus.iter().map(|segment| segment.1.as_str()).collect(),
        corpus.iter().map(|segment| segment.2.as_str()).collect(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn scores_lie_between_0_and_100(corpus in corpus(), kind in 0..METRICS) {
        let [a, b, c] = columns(&corpus);
        let metric = metric(kind);
        let score = Statistics::collect(&*metric, &a, &[&b, &c]).unwrap().score(&*metric).unwrap();
        prop_assert!((0.0..=100.0 + 1e-9).contains(&score), "{} {score}", metric.name());
    }

    #[test]
    fn identical_text_scores_100(lines in vec("[a-z]{1,6}( [a-z]{1,6}){5,9}", 1..6), kind in 0..METRICS) {
        let metric = metric(kind);
        let score = Statistics::collect(&*metric, &lines, &[&lines]).unwrap().score(&*metric).unwrap();
        prop_assert!((score - 100.0).abs() < 1e-9, "{} {score}", metric.name());
    }

    #[test]
    fn the_order_of_segments_does_not_matter(corpus in corpus(), kind in 0..METRICS, by in 0_usize..8) {
        let metric = metric(kind);
        let totals = |corpus: &[(String, String, String)]| {
            let [a, b, c] = columns(corpus);
            Statistics::collect(&*metric, &a, &[&b, &c]).unwrap().totals()
        };
        let mut turned = corpus.clone();
        turned.rotate_left(by % corpus.len());
        prop_assert_eq!(totals(&corpus), totals(&turned));
    }

    #[test]
    fn another_reference_only_helps_matches(corpus in corpus(), kind in 0..5_usize) {
        let [a, b, c] = columns(&corpus);
        let metric = metric(kind);
        let one = Statistics::collect(&*metric, &a, &[&b]).unwrap().totals();
        let two = Statistics::collect(&*metric, &a, &[&b, &c]).unwrap().totals();
        for n in 2..6 {
            prop_assert!(two[n] >= one[n]);
        }
    }

    #[test]
    fn tests_give_probabilities_and_do_not_care_which_system_is_first(corpus in corpus(), kind in 0..METRICS, seed: u64) {
        let [a, b, c] = columns(&corpus);
        let metric = metric(kind);
        let of = |hypotheses: &[&str]| Statistics::collect(&*metric, hypotheses, &[&c]).unwrap();
        let (a, b) = (of(&a), of(&b));
        let bootstrap = BootstrapOptions { resamples: 20, seed };
        let there = paired_bootstrap(&*metric, &a, &b, bootstrap).unwrap();
        let back = paired_bootstrap(&*metric, &b, &a, bootstrap).unwrap();
        prop_assert_eq!(there.p_value, back.p_value);
        prop_assert_eq!(there.system, back.baseline);
        let interval = confidence(&*metric, &a, bootstrap).unwrap();
        prop_assert_eq!(interval.half_width, there.baseline.confidence.unwrap().half_width);

        let randomization = RandomizationOptions { trials: 20, seed, confidence_resamples: None };
        let shuffled = approximate_randomization(&*metric, &a, &b, randomization).unwrap();
        for p in [there.p_value, shuffled.p_value] {
            prop_assert!((1.0 / 21.0..=1.0).contains(&p));
        }
    }
}
