//! TER (Snover et al., 2006), the edits that turn a hypothesis into its reference, where moving a run of words is one
//! edit, in percent of the reference's length; as sacreBLEU computes it with the defaults of Tercom.

mod distance;
mod shifts;

use crate::{
    error::MetricError,
    ngrams::Words,
    score_line::score_line,
    signature::Signature,
    significance::Confidence,
    statistics::{Arithmetic, Metric, Scorer, Value, as_floats},
    text::words,
};

/// The metric TER. A segment has two counts: the edits to the nearest reference, and the references' lengths summed.
/// Lower is better; 0 is a perfect translation, and a long wrong one has more than 100.
#[derive(Debug, Clone, Copy)]
pub struct Ter {
    references: usize,
}

impl Ter {
    /// TER against so many references of each segment: their mean length is what edits are divided by.
    ///
    /// # Errors
    /// [`MetricError::NoReferences`] for none.
    pub fn new(references: usize) -> Result<Self, MetricError> {
        if references == 0 {
            return Err(MetricError::NoReferences);
        }
        Ok(Self { references })
    }

    fn compute(self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        let (edits, lengths) = (totals[0], totals[1]);
        if lengths > 0.0 {
            let length = arithmetic.round(lengths / self.references as f64);
            let score = arithmetic.round(100.0 * arithmetic.round(edits / length));
            return Value { score, single: arithmetic == Arithmetic::Single };
        }
        // Words where the references have none are all wrong.
        Value { score: if edits > 0.0 { 100.0 } else { 0.0 }, single: false }
    }
}

impl Scorer for Ter {
    type Score = TerScore;

    fn score_of_totals(&self, totals: &[u64]) -> TerScore {
        let score = self.compute(&as_floats(totals), Arithmetic::Exact).score;
        TerScore { score, edits: totals[0], reference_length: totals[1] as f64 / self.references as f64 }
    }
}

impl Metric for Ter {
    fn name(&self) -> String {
        "TER".to_owned()
    }

    fn width(&self) -> usize {
        2
    }

    fn segment(&self, hypothesis: &str, references: &[&str]) -> Result<Vec<u64>, MetricError> {
        if references.len() != self.references {
            return Err(MetricError::Option {
                option: "references",
                value: references.len().to_string(),
                allowed: "TER was made for another number of references a segment",
            });
        }
        let hypothesis = hypothesis.to_lowercase();
        let references: Vec<String> = references.iter().map(|text| text.to_lowercase()).collect();
        let mut vocabulary = Words::default();
        let hypothesis = vocabulary.intern(words(&hypothesis));
        let (mut fewest, mut lengths) = (u64::MAX, 0);
        for reference in &references {
            let reference = vocabulary.intern(words(reference));
            fewest = fewest.min(shifts::edits(&hypothesis, &reference));
            lengths += reference.len() as u64;
        }
        Ok(vec![fewest, lengths])
    }

    fn value(&self, totals: &[f64], arithmetic: Arithmetic) -> Value {
        self.compute(totals, arithmetic)
    }

    fn signature(&self, references: usize) -> Signature {
        let fields = [("case", "c", "lc"), ("tok", "t", "tercom"), ("norm", "nr", "no"), ("punct", "pn", "yes")];
        let fields = fields.into_iter().chain([("asian", "as", "no")]);
        Signature::new(references, fields.map(|(key, short, value)| (key, short, value.to_owned())).collect())
    }
}

/// A TER score. `Display` is sacreBLEU's line.
#[derive(Debug, Clone, PartialEq)]
pub struct TerScore {
    /// TER, 0 or more; lower is better.
    pub score: f64,
    /// Edits in all segments.
    pub edits: u64,
    /// Words in the references, the mean of each segment's references.
    pub reference_length: f64,
}

impl TerScore {
    /// sacreBLEU's line with optional signature and confidence interval, and the score to so many decimals.
    pub fn line(&self, signature: Option<&Signature>, confidence: Option<Confidence>, decimals: usize) -> String {
        score_line("TER", signature, self.score, confidence, decimals, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_worked_by_hand() {
        let ter = Ter::new(1).unwrap();
        // One move, one substitution, one word too many, of six words.
        let score = ter.sentence("THE CITY in the old dog sleeps", &["in the old city the cat sleeps"]).unwrap();
        assert!(score.edits < 7 && score.reference_length == 7.0, "{score:?}");
        // A block that moved is one edit, not four.
        let moved = ter.sentence("d e a b c", &["a b c d e"]).unwrap();
        assert_eq!((moved.edits, moved.to_string().as_str()), (1, "TER = 20.00"));
        assert_eq!(ter.sentence("a b", &["a b"]).unwrap().score, 0.0);
        assert_eq!(ter.sentence("", &["a b c d"]).unwrap().score, 100.0);
        assert_eq!(ter.sentence("a b", &[""]).unwrap().score, 100.0);
        assert_eq!(ter.sentence("", &[""]).unwrap().score, 0.0);
    }

    #[test]
    fn edits_are_divided_by_the_mean_length() {
        let ter = Ter::new(2).unwrap();
        let score = ter.sentence("a b c", &["a b c d", "a b"]).unwrap();
        assert_eq!((score.edits, score.reference_length), (1, 3.0));
        assert!(ter.sentence("a", &["a"]).is_err() && Ter::new(0).is_err());
    }
}
