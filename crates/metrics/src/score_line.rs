//! The line that a score is printed as.

use crate::{signature::Signature, significance::Confidence};

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
