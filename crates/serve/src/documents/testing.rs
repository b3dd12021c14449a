//! What the formats' tests share: a splitter and translations that need no model.

use std::ops::Range;

use strata_translate::{Candidate, Part, Target, Trace, TracedToken};

use crate::documents::document::Document;
use crate::documents::parts::Parts;

/// Splits lines at full stops.
pub fn split_at_stops(line: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut ranges = Vec::new();
    for unit in line.split_inclusive(['.', '。']) {
        let start = at + unit.len() - unit.trim_start().len();
        let end = at + unit.trim_end().len();
        if start < end {
            ranges.push(start..end);
        }
        at += unit.len();
    }
    ranges
}

/// A translation with one candidate, without alignment.
pub fn part(text: &str) -> Part {
    let candidate = Candidate { text: text.to_string(), ..Default::default() };
    Part { candidates: vec![candidate], ..Part::default() }
}

/// A translation whose words attend to the source words of these places.
pub fn aligned(source: &str, target: &str, links: &[usize]) -> Part {
    let trace = |text: &str, source: bool| {
        let token = |range| TracedToken { piece: String::new(), range, score: None, routing: Vec::new() };
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        let words = text.split(' ').map(|word| token(start(word)..start(word) + word.len()));
        let end = source.then(|| token(0..0));
        Trace { text: text.to_string(), tokens: [token(0..0)].into_iter().chain(words).chain(end).collect() }
    };
    let (source, traced) = (trace(source, true), trace(target, false));
    let attention = links
        .iter()
        .map(|link| (0..source.tokens.len()).map(|i| if i == link + 1 { 0.9 } else { 0.01 }).collect())
        .collect();
    let candidate = Candidate { text: target.to_string(), ..Candidate::default() };
    Part { candidates: vec![candidate], source, targets: vec![Target { trace: traced, attention }] }
}

/// A translation that has the source's words in capitals from back to front, aligned.
pub fn reversed(text: &str) -> Part {
    let words: Vec<String> = text.split(' ').rev().map(str::to_uppercase).collect();
    aligned(text, &words.join(" "), &(0..words.len()).rev().collect::<Vec<_>>())
}

/// The texts of a document's parts, and the document with these translations of them.
pub fn translated(document: impl Document + 'static, said: &[&str]) -> (Vec<String>, String) {
    let parts = Parts::new(Box::new(document), &split_at_stops);
    let translations: Vec<Part> = said.iter().map(|text| part(text)).collect();
    (parts.texts().to_vec(), parts.render_text(&translations, 0).unwrap())
}
