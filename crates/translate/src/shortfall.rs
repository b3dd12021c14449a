//! Translations that say less than their source: cut off, or much too short.

use std::ops::Range;

use strata_runtime::{Hypothesis, Request};

/// Why a translation may lack some of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shortfall {
    /// It reached the longest length without an end.
    CutOff,
    /// It is much shorter than its source.
    Short,
    /// No word of it attends to a long stretch of the source.
    Unread,
    /// The model's scores were no numbers: there is no translation.
    NotFinite,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::CutOff => {
                "the translation reached its longest length without an end; some of the text may be missing"
            }
            Self::Short => "the translation is much shorter than the text; some of it may be missing",
            Self::Unread => "the translation leaves out a part of the text",
            Self::NotFinite => {
                "the model's scores are no finite numbers, so there is no translation; use another precision or model"
            }
        })
    }
}

/// Sources of fewer subwords are too short to tell.
const LEAST_SOURCE: usize = 10;
/// A translation of fewer subwords than this share of its source is short.
const LEAST_RATIO: f32 = 0.34;
/// Attention that a source subword gets of a whole translation, at least, if it was read.
const LEAST_ATTENTION: f32 = 0.12;
/// Neighboring subwords of the source that are not read at most: this many, and this share of the source.
const MOST_UNREAD: (usize, f32) = (8, 0.3);
/// Nor is a stretch missed where the translation is longer than this share of its source.
const FULL_RATIO: f32 = 0.7;

/// What a translation lacks, if it lacks something, of the tokens of the source that are `text`, and no tags or end
/// mark. A length that the caller sets is his own will.
pub(crate) fn shortfall(request: &Request, text: Range<usize>, found: &Hypothesis) -> Option<Shortfall> {
    if found.score.is_nan() {
        return Some(Shortfall::NotFinite);
    }
    let (written, source) = (found.ids.len(), text.len());
    if request.options.max_length == 0 && written > 0 && found.token_scores.len() == written {
        return Some(Shortfall::CutOff);
    }
    if source < LEAST_SOURCE || request.options.max_length > 0 {
        return None;
    }
    let ratio = written as f32 / source as f32;
    if ratio < LEAST_RATIO {
        return Some(Shortfall::Short);
    }
    let attention = found.attention.as_deref().filter(|_| ratio < FULL_RATIO)?;
    (unread(attention, text) > MOST_UNREAD.0.max((source as f32 * MOST_UNREAD.1) as usize)).then_some(Shortfall::Unread)
}

/// The longest stretch of the text in the source that no row of `[target, source]` attends to.
fn unread(attention: &[Vec<f32>], text: Range<usize>) -> usize {
    let (mut longest, mut run) = (0, 0);
    for position in text {
        let mass: f32 = attention.iter().filter_map(|row| row.get(position)).sum();
        run = if mass < LEAST_ATTENTION { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use strata_recipe::SearchOptions;

    use super::*;

    fn found(source: u32, written: u32, ended: bool, attention: Option<Vec<Vec<f32>>>) -> Option<Shortfall> {
        let request = Request::new((0..source + 2).collect(), vec![3], 1, SearchOptions::default());
        let scores = vec![-0.1; (written + u32::from(ended)) as usize];
        shortfall(
            &request,
            1..source as usize + 1,
            &Hypothesis { ids: (0..written).collect(), token_scores: scores, attention, ..Hypothesis::default() },
        )
    }

    #[test]
    fn translations_that_say_less_are_found() {
        assert_eq!(found(20, 18, true, None), None);
        assert_eq!(found(20, 60, false, None), Some(Shortfall::CutOff));
        assert_eq!(found(20, 6, true, None), Some(Shortfall::Short));
        assert_eq!(found(5, 1, true, None), None, "one word for a phrase");
        // Twelve words for twenty, which attend to all of the source or to its beginning.
        assert_eq!(found(20, 12, true, Some(attention(20))), None);
        assert_eq!(found(20, 12, true, Some(attention(5))), Some(Shortfall::Unread));
    }

    /// Attention of twelve words to the first `positions` of twenty subwords.
    fn attention(positions: usize) -> Vec<Vec<f32>> {
        let row = |word: usize| {
            let mut row = vec![0.0; 22];
            let reached = word * positions / 12..(word + 1) * positions / 12;
            reached.for_each(|position| row[1 + position] = 0.4);
            row
        };
        (0..12).map(row).collect()
    }

    #[test]
    fn a_length_that_was_asked_for_is_none() {
        let options = SearchOptions { max_length: 5, ..SearchOptions::default() };
        let request = Request::new((0..30).collect(), vec![3], 1, options);
        let cut = Hypothesis { ids: vec![7; 5], token_scores: vec![-0.1; 5], ..Hypothesis::default() };
        assert_eq!(shortfall(&request, 1..29, &cut), None);
    }
}
