//! chrF (Popović, 2015) and chrF++ (Popović, 2017), the F-score over character and word n-grams, as sacreBLEU computes
//! it.

use crate::{
    error::MetricError,
    ngrams::{self, Words},
    score_line::score_line,
    signature::{Signature, case, yes_no},
    significance::Confidence,
    statistics::{Arithmetic, Metric, Scorer, Value, as_floats},
    text::{is_space, words},
};

/// Options of [`Chrf`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChrfOptions {
    /// The longest character n-gram.
    pub char_order: usize,
    /// The longest word n-gram; 0 for chrF, 2 for chrF++.
    pub word_order: usize,
    /// How many times as important recall is as precision.
    pub beta: u32,
    /// Compare in lower case.
    pub lowercase: bool,
    /// Count white space as characters.
    pub whitespace: bool,
    /// Smooth orders that do not occur with a tiny number, as chrF++.py, NLTK and Moses, rather than leave them out.
    pub eps_smoothing: bool,
}

impl ChrfOptions {
    /// chrF2, sacreBLEU's default: characters up to 6-grams.
    pub fn chrf2() -> Self {
        Self { char_order: 6, word_order: 0, beta: 2, lowercase: false, whitespace: false, eps_smoothing: false }
    }

    /// chrF2++: characters up to 6-grams and words up to 2-grams.
    pub fn chrf2_plus_plus() -> Self {
        Self { word_order: 2, ..Self::chrf2() }
    }
}

impl Default for ChrfOptions {
    fn default() -> Self {
        Self::chrf2()
    }
}

/// The metric chrF with its options fixed. For each order, character orders first, a segment has three counts: n-grams
/// of the hypothesis, of the reference, and those in both. Of several references the one with the best score counts.
#[derive(Debug, Clone)]
pub struct Chrf {
    options: ChrfOptions,
}

impl Chrf {
    /// Fixes the options.
    ///
    /// # Errors
    /// [`MetricError::Option`] when there is no order at all, or one above 255.
    pub fn new(options: ChrfOptions) -> Result<Self, MetricError> {
        let ChrfOptions { char_order, word_order, .. } = options;
        if char_order > 255 || word_order > 255 || char_order + word_order == 0 {
            return Err(MetricError::Option {
                option: "char_order, word_order",
                value: format!("{char_order}, {word_order}"),
                allowed: "chrF needs at least one order, and none above 255",
            });
        }
        Ok(Self { options })
    }

    /// The options it was made with.
    pub fn options(&self) -> &ChrfOptions {
        &self.options
    }

    /// The F-score of summed counts `[3 * orders]`.
    fn f_score(&self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        if self.options.eps_smoothing {
            self.mean_of_f(totals, arithmetic)
        } else {
            self.f_of_means(totals, arithmetic)
        }
    }

    /// The F-score of precision and recall averaged over the orders that both sides have.
    fn f_of_means(&self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        let round = |x| arithmetic.round(x);
        let factor = self.factor();
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for counts in totals.chunks_exact(3) {
            let (hypothesis, reference, common) = (counts[0], counts[1], counts[2]);
            if hypothesis > 0.0 && reference > 0.0 {
                precision = round(precision + round(common / hypothesis));
                recall = round(recall + round(common / reference));
                orders += 1.0;
            }
        }
        if orders == 0.0 || precision + recall == 0.0 {
            return Value { score: 0.0, single: false };
        }
        let (precision, recall) = (round(precision / orders), round(recall / orders));
        let score = round(round((1.0 + factor) * precision) * recall);
        let score = round(score / round(round(factor * precision) + recall));
        Value { score: round(100.0 * score), single: arithmetic == Arithmetic::Single }
    }

    /// The average over all orders of their F-scores.
    fn mean_of_f(&self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        const EPSILON: f64 = 1e-16;
        let factor = self.factor();
        let mut sum = Value { score: 0.0, single: false };
        for counts in totals.chunks_exact(3) {
            let (hypothesis, reference, common) = (counts[0], counts[1], counts[2]);
            // Where neither side has the order, only Python's own numbers take part, which are double.
            let absent = hypothesis == 0.0 && reference == 0.0;
            let here = if absent { Arithmetic::Exact } else { arithmetic };
            let round = |x| here.round(x);
            let precision = if hypothesis > 0.0 { round(common / hypothesis) } else { EPSILON };
            let recall = if reference > 0.0 { round(common / reference) } else { EPSILON };
            let denominator = round(round(factor * precision) + recall);
            let (f, f_single) = if denominator > 0.0 {
                let numerator = round(round((1.0 + factor) * precision) * recall);
                (round(numerator / denominator), here == Arithmetic::Single)
            } else {
                (EPSILON, false)
            };
            sum.single |= f_single;
            let kind = if sum.single { arithmetic } else { Arithmetic::Exact };
            sum.score = kind.round(kind.round(sum.score) + kind.round(f));
        }
        let kind = if sum.single { arithmetic } else { Arithmetic::Exact };
        let orders = (self.options.char_order + self.options.word_order) as f64;
        Value { score: kind.round(kind.round(100.0 * sum.score) / orders), single: sum.single }
    }

    /// The weight of recall, beta squared.
    fn factor(&self) -> f64 {
        f64::from(self.options.beta).powi(2)
    }
}

impl Scorer for Chrf {
    type Score = ChrfScore;

    fn score_of_totals(&self, totals: &[u64]) -> ChrfScore {
        let score = self.f_score(&as_floats(totals), Arithmetic::Exact).score;
        let ChrfOptions { char_order, word_order, beta, .. } = self.options;
        ChrfScore { score, char_order, word_order, beta }
    }
}

impl Metric for Chrf {
    fn name(&self) -> String {
        name(self.options.beta, self.options.word_order)
    }

    fn width(&self) -> usize {
        3 * (self.options.char_order + self.options.word_order)
    }

    fn segment(&self, hypothesis: &str, references: &[&str]) -> Result<Vec<u64>, MetricError> {
        let cased = |text: &str| if self.options.lowercase { text.to_lowercase() } else { text.to_owned() };
        let characters = |text: &str| -> Vec<u32> {
            text.chars().filter(|&c| self.options.whitespace || !is_space(c)).map(u32::from).collect()
        };
        let hypothesis = cased(hypothesis);
        let references: Vec<String> = references.iter().map(|text| cased(text)).collect();
        let mut vocabulary = Words::default();
        let mut word_numbers =
            |text| if self.options.word_order > 0 { vocabulary.intern(parted(text)) } else { Vec::new() };
        let hypothesis = [characters(&hypothesis), word_numbers(&hypothesis)];

        let orders =
            || (1..=self.options.char_order).map(|n| (0, n)).chain((1..=self.options.word_order).map(|n| (1, n)));
        let of_hypothesis: Vec<_> = orders().map(|(side, n)| ngrams::count(&hypothesis[side], n)).collect();
        let mut best: Option<(f64, Vec<u64>)> = None;
        for reference in &references {
            let reference = [characters(reference), word_numbers(reference)];
            let mut counts = Vec::with_capacity(self.width());
            for ((side, n), of_hypothesis) in orders().zip(&of_hypothesis) {
                let in_reference = ngrams::total(reference[side].len(), n);
                // What the reference is too short for cannot be a mistake.
                let in_hypothesis = if in_reference > 0 { ngrams::total(hypothesis[side].len(), n) } else { 0 };
                let common = ngrams::matches(of_hypothesis, &ngrams::count(&reference[side], n));
                counts.extend([in_hypothesis, in_reference, common]);
            }
            let score = self.f_score(&as_floats(&counts), Arithmetic::Exact).score;
            if best.as_ref().is_none_or(|(best_score, _)| score > *best_score) {
                best = Some((score, counts));
            }
        }
        best.map(|(_, counts)| counts).ok_or(MetricError::NoReferences)
    }

    fn value(&self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        self.f_score(totals, arithmetic)
    }

    fn signature(&self, references: usize) -> Signature {
        let fields = vec![
            ("case", "c", case(self.options.lowercase)),
            ("eff", "e", yes_no(!self.options.eps_smoothing)),
            ("nc", "nc", self.options.char_order.to_string()),
            ("nw", "nw", self.options.word_order.to_string()),
            ("space", "s", yes_no(self.options.whitespace)),
        ];
        Signature::new(references, fields)
    }
}

fn name(beta: u32, word_order: usize) -> String {
    format!("chrF{beta}{}", "+".repeat(word_order))
}

/// Words with one punctuation mark split off, at the end or else at the start (so `(hi)` becomes `(hi` and `)`).
fn parted(text: &str) -> impl Iterator<Item = &str> {
    words(text).flat_map(|word| {
        let mut chars = word.chars();
        let (first, last) = (chars.next(), chars.next_back());
        let (start, end) = match (first, last) {
            (_, Some(last)) if last.is_ascii_punctuation() => word.split_at(word.len() - 1),
            (Some(first), Some(_)) if first.is_ascii_punctuation() => word.split_at(1),
            _ => (word, ""),
        };
        [start, end].into_iter().filter(|part| !part.is_empty())
    })
}

/// A chrF score. `Display` is sacreBLEU's line.
#[derive(Debug, Clone, PartialEq)]
pub struct ChrfScore {
    /// chrF, 0 to 100.
    pub score: f64,
    /// The longest character n-gram.
    pub char_order: usize,
    /// The longest word n-gram.
    pub word_order: usize,
    /// How many times as important recall is as precision.
    pub beta: u32,
}

impl ChrfScore {
    /// `chrF2`, `chrF2++` and so on: beta, and a plus for every word order.
    pub fn name(&self) -> String {
        name(self.beta, self.word_order)
    }

    /// sacreBLEU's line with optional signature and confidence interval, and the score to so many decimals.
    pub fn line(&self, signature: Option<&Signature>, confidence: Option<Confidence>, decimals: usize) -> String {
        score_line(&self.name(), signature, self.score, confidence, decimals, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_worked_by_hand() {
        // "ab c" against "abd": unigrams 2 of 3 and 3, bigrams 1 of 2 and 2; precision = recall = (2/3 + 1/2) / 2.
        let chrf = Chrf::new(ChrfOptions { char_order: 2, ..ChrfOptions::chrf2() }).unwrap();
        assert_eq!(chrf.segment("ab c", &["abd"]).unwrap(), [3, 3, 2, 2, 2, 1]);
        let score = chrf.sentence("ab c", &["abd"]).unwrap();
        assert!((score.score - 100.0 * 7.0 / 12.0).abs() < 1e-12);
        assert_eq!(score.to_string(), "chrF2 = 58.33");
    }

    #[test]
    fn punctuation_is_parted_once_per_word() {
        let words: Vec<_> = parted("(hi) \"yes x. . ... é! –a").collect();
        assert_eq!(words, ["(hi", ")", "\"", "yes", "x", ".", ".", "..", ".", "é", "!", "–a"]);
    }

    #[test]
    fn orders_must_exist() {
        for (char_order, word_order) in [(0, 0), (256, 0), (6, usize::MAX)] {
            assert!(Chrf::new(ChrfOptions { char_order, word_order, ..ChrfOptions::chrf2() }).is_err());
        }
    }

    #[test]
    fn no_reference_is_an_error() {
        let chrf = Chrf::new(ChrfOptions::chrf2()).unwrap();
        assert!(matches!(chrf.sentence::<&str>("a", &[]), Err(MetricError::NoReferences)));
    }
}
