//! The line that a score is printed as.

use std::fmt;

use crate::{bleu::BleuScore, chrf::ChrfScore, signature::Signature, significance::Confidence, ter::TerScore};

/// `NAME|SIGNATURE = SCORE (μ = MEAN ± CI) REST`; signature and parentheses only where known.
pub(crate) fn score_line(
    name: &str,
    signature: Option<&Signature>,
    score: f64,
    confidence: Option<Confidence>,
    decimals: usize,
    rest: &str,
) -> String {
    let mut line = name.to_owned();
    if let Some(signature) = signature {
        line += &format!("|{signature}");
    }
    line += &format!(" = {score:.decimals$}");
    // sacreBLEU leaves out an interval around zero.
    if let Some(confidence) = confidence.filter(|confidence| confidence.mean > 0.0) {
        line += &format!(" ({confidence:.decimals$})");
    }
    if !rest.is_empty() {
        line += &format!(" {rest}");
    }
    line
}

/// A score prints as its line without signature and interval, with two decimals unless the format says how many.
macro_rules! print_as_line {
    ($($score:ty),+) => {$(
        impl fmt::Display for $score {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.line(None, None, f.precision().unwrap_or(2)))
            }
        }
    )+};
}

print_as_line!(BleuScore, ChrfScore, TerScore);
