//! BLEU (Papineni et al., 2002), the geometric mean of n-gram precisions with a penalty for brevity, as sacreBLEU
//! (Post, 2018) computes it.

use crate::{
    error::MetricError,
    ngrams::{self, Words},
    score_line::score_line,
    signature::{Signature, case, yes_no},
    significance::Confidence,
    statistics::{Arithmetic, Metric, Scorer, Value, as_floats},
    text::{is_space, words},
    tokenizer::Tokenizer,
};

/// What to do about an n-gram order without any match (Chen and Cherry, 2014).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Smoothing {
    /// Nothing: the score is 0 as soon as one order has no match.
    None,
    /// Count this instead of 0 matches; sacreBLEU's usual value is 0.1.
    Floor(f64),
    /// Add this to matches and totals of all orders but the first; sacreBLEU's usual value is 1.
    AddK(f64),
    /// The k-th order without a match counts 1/2^k matches (as mteval does). The default.
    #[default]
    Exp,
}

/// Options of [`Bleu`]; the default is sacreBLEU's.
#[derive(Debug, Clone)]
pub struct BleuOptions {
    /// How segments are split into tokens.
    pub tokenizer: Tokenizer,
    /// Compare in lower case.
    pub lowercase: bool,
    /// What to do about orders without a match.
    pub smoothing: Smoothing,
    /// Leave out orders that the hypothesis is too short for; meant for single sentences.
    pub effective_order: bool,
    /// The longest n-gram, 1 to 255; 4 by default.
    pub max_order: usize,
}

impl Default for BleuOptions {
    fn default() -> Self {
        Self {
            tokenizer: Tokenizer::default(),
            lowercase: false,
            smoothing: Smoothing::default(),
            effective_order: false,
            max_order: 4,
        }
    }
}

/// The metric BLEU with its options fixed. The counts of a segment are hypothesis length, length of the closest
/// reference, matches per order, n-grams per order.
#[derive(Debug, Clone)]
pub struct Bleu {
    options: BleuOptions,
}

impl Bleu {
    /// Fixes the options.
    ///
    /// # Errors
    /// [`MetricError::Option`] for an order outside 1 to 255, or a smoothing value that is negative or not finite.
    pub fn new(options: BleuOptions) -> Result<Self, MetricError> {
        if !(1..=255).contains(&options.max_order) {
            return Err(MetricError::Option {
                option: "max_order",
                value: options.max_order.to_string(),
                allowed: "BLEU needs a longest n-gram of 1 to 255 tokens",
            });
        }
        if let Smoothing::Floor(value) | Smoothing::AddK(value) = options.smoothing
            && !(value.is_finite() && value >= 0.0)
        {
            return Err(MetricError::Option {
                option: "smoothing value",
                value: value.to_string(),
                allowed: "it must be 0 or greater",
            });
        }
        Ok(Self { options })
    }

    /// The options it was made with.
    pub fn options(&self) -> &BleuOptions {
        &self.options
    }

    /// Score, precisions `[max_order]` and brevity penalty for summed counts.
    fn compute(&self, totals: &[f64], arithmetic: Arithmetic) -> (f64, Vec<f64>, f64) {
        let order = self.options.max_order;
        let round = |x| arithmetic.round(x);
        let (hypothesis, reference) = (totals[0], totals[1]);
        let (matches, ngrams) = totals[2..].split_at(order);
        let brevity_penalty = match hypothesis {
            h if h >= reference => 1.0,
            0.0 => 0.0,
            h => (1.0 - reference / h).exp(),
        };
        let mut precisions = vec![0.0; order];
        if matches.iter().all(|&count| count == 0.0) {
            return (0.0, precisions, brevity_penalty);
        }
        let mut halving = 1.0;
        let mut counted_orders = order;
        for n in 1..=order {
            let (mut matched, mut total) = (matches[n - 1], ngrams[n - 1]);
            if let Smoothing::AddK(k) = self.options.smoothing
                && n > 1
            {
                let add = |count: f64| match arithmetic {
                    Arithmetic::Integer => (count + k).trunc(),
                    _ => round(count + round(k)),
                };
                (matched, total) = (add(matched), add(total));
            }
            if total == 0.0 {
                break;
            }
            if self.options.effective_order {
                counted_orders = n;
            }
            precisions[n - 1] = match self.options.smoothing {
                _ if matched > 0.0 => round(round(100.0 * matched) / total),
                Smoothing::Exp => {
                    halving *= 2.0;
                    round(100.0 / round(halving * total))
                }
                Smoothing::Floor(value) => round(round(100.0 * value) / total),
                Smoothing::None | Smoothing::AddK(_) => 0.0,
            };
        }
        // A precision of 0 makes the score 0; sacreBLEU writes its logarithm as this number.
        let log = |p: f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
        let logs: f64 = precisions[..counted_orders].iter().map(|&p| log(p)).fold(0.0, |sum, x| sum + x);
        (brevity_penalty * (logs / counted_orders as f64).exp(), precisions, brevity_penalty)
    }
}

impl Default for Bleu {
    /// sacreBLEU's default: `13a`, mixed case, exponential smoothing, up to 4-grams.
    fn default() -> Self {
        Self { options: BleuOptions::default() }
    }
}

impl Scorer for Bleu {
    type Score = BleuScore;

    fn score_of_totals(&self, totals: &[u64]) -> BleuScore {
        let (score, precisions, brevity_penalty) = self.compute(&as_floats(totals), Arithmetic::Exact);
        let (matches, ngrams) = totals[2..].split_at(self.options.max_order);
        BleuScore {
            score,
            precisions,
            brevity_penalty,
            hypothesis_length: totals[0],
            reference_length: totals[1],
            matches: matches.to_vec(),
            ngrams: ngrams.to_vec(),
        }
    }
}

impl Metric for Bleu {
    fn name(&self) -> String {
        "BLEU".to_owned()
    }

    fn width(&self) -> usize {
        2 + 2 * self.options.max_order
    }

    fn segment(&self, hypothesis: &str, references: &[&str]) -> Result<Vec<u64>, MetricError> {
        if references.is_empty() {
            return Err(MetricError::NoReferences);
        }
        let tokenized = |text: &str| -> Result<String, MetricError> {
            let lower;
            let text = if self.options.lowercase {
                lower = text.to_lowercase();
                &lower
            } else {
                text
            };
            Ok(self.options.tokenizer.tokenize(text.trim_end_matches(is_space))?.into_owned())
        };
        let hypothesis = tokenized(hypothesis)?;
        let references = references.iter().map(|text| tokenized(text)).collect::<Result<Vec<_>, _>>()?;
        let mut vocabulary = Words::default();
        let hypothesis = vocabulary.intern(words(&hypothesis));
        let references: Vec<_> = references.iter().map(|text| vocabulary.intern(words(text))).collect();

        let order = self.options.max_order;
        let mut counts = vec![0; self.width()];
        counts[0] = hypothesis.len() as u64;
        counts[1] = closest_length(hypothesis.len(), references.iter().map(Vec::len)) as u64;
        for n in 1..=order {
            // An n-gram may match as often as it occurs in the reference that has most of it.
            let mut allowed = ngrams::Counts::new();
            for reference in &references {
                for (ngram, count) in ngrams::count(reference, n) {
                    let most = allowed.entry(ngram).or_insert(0);
                    *most = count.max(*most);
                }
            }
            counts[1 + n] = ngrams::matches(&ngrams::count(&hypothesis, n), &allowed);
            counts[1 + order + n] = ngrams::total(hypothesis.len(), n);
        }
        Ok(counts)
    }

    fn value(&self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        // Its last step, an exponential, is a Python float in every arithmetic.
        Value { score: self.compute(totals, arithmetic).0, single: false }
    }

    fn signature(&self, references: usize) -> Signature {
        let smoothing = match self.options.smoothing {
            Smoothing::None => "none".to_owned(),
            Smoothing::Floor(value) => format!("floor[{value:.2}]"),
            Smoothing::AddK(value) => format!("add-k[{value:.2}]"),
            Smoothing::Exp => "exp".to_owned(),
        };
        let fields = vec![
            ("case", "c", case(self.options.lowercase)),
            ("eff", "e", yes_no(self.options.effective_order)),
            ("tok", "tok", self.options.tokenizer.name().to_owned()),
            ("smooth", "s", smoothing),
        ];
        Signature::new(references, fields)
    }
}

/// The reference length nearest to the hypothesis's; of two equally near ones the shorter.
fn closest_length(hypothesis: usize, references: impl Iterator<Item = usize>) -> usize {
    references.min_by_key(|&length| (length.abs_diff(hypothesis), length)).unwrap_or(0)
}

/// A BLEU score with all that sacreBLEU prints. `Display` is sacreBLEU's line.
#[derive(Debug, Clone, PartialEq)]
pub struct BleuScore {
    /// BLEU, 0 to 100.
    pub score: f64,
    /// Smoothed n-gram precisions in percent, `[max_order]`.
    pub precisions: Vec<f64>,
    /// 1, or less where the hypotheses are shorter than the references.
    pub brevity_penalty: f64,
    /// Tokens in the hypotheses.
    pub hypothesis_length: u64,
    /// Tokens in the references closest in length.
    pub reference_length: u64,
    /// Matched n-grams per order before smoothing, `[max_order]`.
    pub matches: Vec<u64>,
    /// N-grams of the hypotheses per order before smoothing, `[max_order]`.
    pub ngrams: Vec<u64>,
}

impl BleuScore {
    /// Hypothesis length over reference length; 0 where the references are empty.
    pub fn ratio(&self) -> f64 {
        if self.reference_length == 0 { 0.0 } else { self.hypothesis_length as f64 / self.reference_length as f64 }
    }

    /// sacreBLEU's line with optional signature and confidence interval, and the score to so many decimals.
    pub fn line(&self, signature: Option<&Signature>, confidence: Option<Confidence>, decimals: usize) -> String {
        let precisions: Vec<String> = self.precisions.iter().map(|p| format!("{p:.1}")).collect();
        let rest = format!(
            "{} (BP = {:.3} ratio = {:.3} hyp_len = {} ref_len = {})",
            precisions.join("/"),
            self.brevity_penalty,
            self.ratio(),
            self.hypothesis_length,
            self.reference_length
        );
        score_line("BLEU", signature, self.score, confidence, decimals, &rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_worked_by_hand() {
        // Tokens: "the the cat sat ." against "the cat sat down ."; 4/5, 2/4, 1/3, 0/2 and no brevity.
        let bleu = Bleu::default();
        let score = bleu.corpus(&["the the cat sat."], &[&["the cat sat down."]]).unwrap();
        assert_eq!((score.matches.as_slice(), score.ngrams.as_slice()), (&[4, 2, 1, 0][..], &[5, 4, 3, 2][..]));
        let expected = 100.0 * (0.8 * 0.5 / 3.0 * 0.25_f64).powf(0.25); // the fourth precision: half a match of 2
        assert!((score.score - expected).abs() < 1e-12);
        assert_eq!(
            score.to_string(),
            "BLEU = 42.73 80.0/50.0/33.3/25.0 (BP = 1.000 ratio = 1.000 hyp_len = 5 ref_len = 5)"
        );
    }

    #[test]
    fn fractions_added_to_whole_numbers_are_cut_off() {
        let with = |k| Bleu::new(BleuOptions { smoothing: Smoothing::AddK(k), ..Default::default() }).unwrap();
        let totals = [9.0, 9.0, 5.0, 3.0, 2.0, 1.0, 9.0, 8.0, 7.0, 6.0];
        let score = |k, arithmetic| with(k).value(&totals, arithmetic).score;
        assert_eq!(score(1.5, Arithmetic::Integer), score(1.0, Arithmetic::Exact));
        assert_ne!(score(1.5, Arithmetic::Exact), score(1.0, Arithmetic::Exact));
    }

    #[test]
    fn closest_reference_length_prefers_the_shorter() {
        assert_eq!(closest_length(5, [9, 7, 3].into_iter()), 3);
        assert_eq!(closest_length(5, [6, 3].into_iter()), 6);
    }

    #[test]
    fn impossible_options_are_refused() {
        for max_order in [0, 256] {
            assert!(Bleu::new(BleuOptions { max_order, ..Default::default() }).is_err());
        }
        for smoothing in [Smoothing::Floor(-0.1), Smoothing::AddK(f64::NAN)] {
            let error = Bleu::new(BleuOptions { smoothing, ..Default::default() }).unwrap_err();
            assert!(error.to_string().contains("smoothing value"), "{error}");
        }
    }

    #[test]
    fn misaligned_input_is_an_error() {
        let bleu = Bleu::default();
        let message = bleu.corpus(&["a", "b"], &[&["a", "b"], &["a"]]).unwrap_err().to_string();
        assert!(message.contains("2 hypotheses but 1 references in reference stream 2"), "{message}");
        assert!(matches!(bleu.corpus::<&str, &str>(&[], &[&[]]), Err(MetricError::NoSegments)));
        assert!(matches!(bleu.corpus::<_, &str>(&["a"], &[]), Err(MetricError::NoReferences)));
        assert!(matches!(bleu.sentence::<&str>("a", &[]), Err(MetricError::NoReferences)));
    }
}
