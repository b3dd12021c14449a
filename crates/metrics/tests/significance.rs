//! What the tests must say where the answer is known, and what they refuse.

use strata_metrics::{
    Bleu, Chrf, ChrfOptions, Metric, MetricError, Scorer, Statistics, Tokenizer,
    bleu::BleuOptions,
    significance::{
        BootstrapOptions, Confidence, RandomizationOptions, approximate_randomization, confidence, paired_bootstrap,
    },
};

/// Forty references, and outputs of which `wrong` in every ten have two words exchanged.
fn corpus(wrong: usize) -> (Vec<String>, Vec<String>) {
    let line = |i: usize| format!("number {i} is a short sentence about topic {} and page {}", i * 7 % 13, i * 3);
    let output = |i: usize| if i % 10 < wrong { line(i).replace("short sentence", "sentence short") } else { line(i) };
    ((0..40).map(output).collect(), (0..40).map(line).collect())
}

fn statistics(metric: &Bleu, wrong: usize) -> Statistics {
    let (outputs, references) = corpus(wrong);
    Statistics::collect(metric, &outputs, &[&references]).unwrap()
}

#[test]
fn clear_differences_are_significant_and_none_is_not() {
    let bleu = Bleu::default();
    let (good, bad) = (statistics(&bleu, 1), statistics(&bleu, 8));
    let bootstrap = BootstrapOptions::default();
    let randomization = RandomizationOptions { trials: 1000, ..Default::default() };
    let clear = paired_bootstrap(&bleu, &bad, &good, bootstrap).unwrap();
    assert!(clear.system.score > clear.baseline.score && clear.p_value < 0.01, "{clear:?}");
    assert!(approximate_randomization(&bleu, &bad, &good, randomization).unwrap().p_value < 0.01);
    // The same system twice: no trial differs by more than nothing, so chance explains nothing either, as in sacreBLEU.
    assert_eq!(paired_bootstrap(&bleu, &good, &good, bootstrap).unwrap().p_value, 1.0 / 1001.0);
    assert_eq!(approximate_randomization(&bleu, &good, &good, randomization).unwrap().p_value, 1.0 / 1001.0);
}

#[test]
fn confidence_surrounds_the_score() {
    let bleu = Bleu::default();
    let statistics = statistics(&bleu, 3);
    let score = statistics.score(&bleu).unwrap();
    let Confidence { mean, half_width } = confidence(&bleu, &statistics, BootstrapOptions::default()).unwrap();
    assert!(half_width > 0.1 && (mean - score).abs() < half_width, "{score} {mean} {half_width}");
}

#[test]
fn misuse_is_refused() {
    let bleu = Bleu::default();
    let chrf = Chrf::new(ChrfOptions::chrf2()).unwrap();
    let forty = statistics(&bleu, 3);
    let one = Statistics::collect(&bleu, &["a"], &[&["a"]]).unwrap();
    let no_resamples = BootstrapOptions { resamples: 0, ..Default::default() };
    let no_trials = RandomizationOptions { trials: 0, ..Default::default() };

    let error = paired_bootstrap(&bleu, &forty, &one, BootstrapOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "a paired test needs the same segments: the baseline has 40, the system 1");
    let error = paired_bootstrap(&chrf, &forty, &forty, BootstrapOptions::default()).unwrap_err();
    assert!(error.to_string().contains("have 10 counts per segment, but chrF2 needs 18"), "{error}");
    assert!(matches!(chrf.score(&forty), Err(MetricError::WrongStatistics { .. })));
    assert!(matches!(confidence(&bleu, &forty, no_resamples), Err(MetricError::Option { option: "resamples", .. })));
    let error = approximate_randomization(&bleu, &forty, &forty, no_trials).unwrap_err();
    assert!(matches!(error, MetricError::Option { option: "trials", .. }));
}

#[test]
fn a_tokenizer_of_the_caller_scores_and_signs() {
    let spaced = |text: &str| Ok(text.chars().map(|c| format!("{c} ")).collect());
    let custom =
        Bleu::new(BleuOptions { tokenizer: Tokenizer::custom("flores200", spaced), ..Default::default() }).unwrap();
    let char = Bleu::new(BleuOptions { tokenizer: Tokenizer::Char, ..Default::default() }).unwrap();
    let (outputs, references) = corpus(4);
    assert_eq!(custom.corpus(&outputs, &[&references]).unwrap(), char.corpus(&outputs, &[&references]).unwrap());
    assert_eq!(
        custom.signature(1).to_string(),
        format!("nrefs:1|case:mixed|eff:no|tok:flores200|smooth:exp|version:{}", strata_metrics::SACREBLEU_VERSION)
    );
    let failing = Tokenizer::custom("broken", |_| Err("out of memory".into()));
    let bleu = Bleu::new(BleuOptions { tokenizer: failing, ..Default::default() }).unwrap();
    let error = bleu.corpus(&outputs, &[&references]).unwrap_err();
    assert!(matches!(error, MetricError::Tokenizer { ref name, .. } if name == "broken"), "{error}");
}
