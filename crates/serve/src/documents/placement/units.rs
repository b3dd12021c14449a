//! A translated segment as units (words, punctuation, space) with the places in the source that they come from.

use std::ops::Range;

use strata_translate::{Part, Target, Trace};
use unicode_segmentation::UnicodeSegmentation;

use crate::documents::translation::{FULL_STOPS, chosen};

/// A word, a punctuation mark or a space of the translation.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// What it says.
    pub text: String,
    /// The byte of the segment's text that it attends to most; `None` for space.
    pub source: Option<usize>,
    /// All places that it attends to, in bytes of the segment's text, each with its attention.
    links: Vec<(usize, f32)>,
}

impl Unit {
    fn new(text: &str, links: Vec<(usize, f32)>) -> Self {
        // Of equals the first.
        let best = links.iter().fold(None, |best: Option<(usize, f32)>, link| match best {
            Some(best) if best.1 >= link.1 => Some(best),
            _ => Some(*link),
        });
        let source = if text.trim().is_empty() { None } else { best.map(|(at, _)| at) };
        Self { text: text.to_string(), source, links }
    }

    /// Its attention to a range of the source, from 0 to 1.
    pub fn attention_to(&self, range: &Range<usize>) -> f32 {
        self.links.iter().filter(|(at, _)| range.contains(at)).map(|(_, weight)| weight).sum()
    }
}

/// The units of a segment whose parts are at `ranges` of its text, each part with its `choice`-th translation.
pub fn units(text: &str, ranges: &[Range<usize>], translations: &[Part], choice: usize) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut at = 0;
    for (i, range) in ranges.iter().enumerate() {
        kept(text, at..range.start, i > 0, &mut units);
        at = range.end;
        let Some(part) = translations.get(i) else { continue };
        match part.targets.get(choice.min(part.targets.len().saturating_sub(1))) {
            Some(target) if !target.attention.is_empty() => aligned(&part.source, target, range, &mut units),
            _ => proportional(chosen(part, choice), range, &mut units),
        }
    }
    kept(text, at..text.len(), false, &mut units);
    units
}

/// Units of text that is not translated. `between` two sentences it may be one space, which scripts without spaces
/// drop.
fn kept(text: &str, range: Range<usize>, between: bool, units: &mut Vec<Unit>) {
    let text = &text[range.clone()];
    if between && text.trim().is_empty() {
        if !units.last().is_some_and(|unit: &Unit| unit.text.ends_with(FULL_STOPS)) {
            units.push(Unit::new(" ", Vec::new()));
        }
        return;
    }
    units.extend(text.split_word_bound_indices().map(|(i, word)| Unit::new(word, vec![(range.start + i, 1.0)])));
}

/// Units of a translation, placed by its attention to the source, which is `range` of the segment's text.
fn aligned(source: &Trace, target: &Target, range: &Range<usize>, units: &mut Vec<Unit>) {
    // The model may see the text in another form (normalized): then places are scaled.
    let scale = |at: usize| at * range.len() / source.text.len().max(1);
    let place = |i: usize| {
        let token = &source.tokens[i].range;
        let text = source.text.get(token.clone()).unwrap_or("");
        range.start + scale(token.start + text.len() - text.trim_start().len()).min(range.len().saturating_sub(1))
    };
    // Without the language tag at the start and the end mark.
    let places: Vec<(usize, usize)> = (1..source.tokens.len().saturating_sub(1)).map(|i| (i, place(i))).collect();
    for (start, word) in target.trace.text.split_word_bound_indices() {
        let end = start + word.len();
        // A row of attention for each token but the tag.
        let tokens = target.trace.tokens.iter().skip(1).zip(&target.attention);
        let rows: Vec<&Vec<f32>> =
            tokens.filter(|(t, _)| t.range.start < end && start < t.range.end).map(|(_, row)| row).collect();
        let weight = |i: usize| rows.iter().filter_map(|row| row.get(i)).sum::<f32>() / rows.len().max(1) as f32;
        units.push(Unit::new(word, places.iter().map(|(i, place)| (*place, weight(*i))).collect()));
    }
}

/// Units of a translation without attention: as far along as in the source.
fn proportional(text: &str, range: &Range<usize>, units: &mut Vec<Unit>) {
    let place = |at: usize| range.start + at * range.len() / text.len().max(1);
    units.extend(text.split_word_bound_indices().map(|(i, word)| Unit::new(word, vec![(place(i), 1.0)])));
}
