//! What the formats' tests share: a splitter and translations that need no model.

use std::ops::Range;

use proptest::prelude::*;
use strata_translate::invisible::plain;
use strata_translate::{Candidate, Part, Target, Trace, TracedToken};
use unicode_segmentation::UnicodeSegmentation;

use crate::document::Document;
use crate::parts::Parts;

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
    Part { candidates: vec![candidate], source, targets: vec![Target { trace: traced, attention }], shortfall: None }
}

/// A translation that has the source's words in capitals from back to front, aligned.
pub fn reversed(text: &str) -> Part {
    let words: Vec<String> = text.split(' ').rev().map(str::to_uppercase).collect();
    aligned(text, &words.join(" "), &(0..words.len()).rev().collect::<Vec<_>>())
}

/// The document with the words of each part from back to front, in capitals.
pub fn all_reversed(document: impl Document + 'static) -> String {
    let parts = Parts::new(Box::new(document), &split_at_stops);
    let translations: Vec<Part> = parts.texts().iter().map(|text| reversed(text)).collect();
    parts.render_text(&translations, 0).unwrap()
}

/// The texts of a document's parts, and the document with these translations of them.
pub fn translated(document: impl Document + 'static, said: &[&str]) -> (Vec<String>, String) {
    let parts = Parts::new(Box::new(document), &split_at_stops);
    let translations: Vec<Part> = said.iter().map(|text| part(text)).collect();
    (parts.texts().to_vec(), parts.render_text(&translations, 0).unwrap())
}

/// A translation whose words, marks and spaces each attend to the source's in the same place.
fn word_by_word(text: &str, say: &dyn Fn(&str) -> String) -> Part {
    let token = |range| TracedToken { piece: String::new(), range, score: None, routing: Vec::new() };
    let trace = |words: &[String], end: bool| {
        let mut at = 0;
        let tokens = words.iter().map(|word| {
            at += word.len();
            token(at - word.len()..at)
        });
        let tokens: Vec<TracedToken> =
            [token(0..0)].into_iter().chain(tokens).chain(end.then(|| token(0..0))).collect();
        Trace { text: words.concat(), tokens }
    };
    let words: Vec<String> = text.split_word_bounds().map(str::to_string).collect();
    let said: Vec<String> = words.iter().map(|word| say(word)).collect();
    let row = |at: usize| (0..words.len() + 2).map(|i| if i == at + 1 { 0.9 } else { 0.0 }).collect();
    let attention = (0..words.len()).map(row).collect();
    let candidate = Candidate { text: said.concat(), ..Candidate::default() };
    Part {
        candidates: vec![candidate],
        source: trace(&words, true),
        targets: vec![Target { trace: trace(&said, false), attention }],
        shortfall: None,
    }
}

/// The document with each part translated as `say` says it, word by word in the same order.
pub fn said(document: Box<dyn Document>, say: &dyn Fn(&str) -> String) -> Vec<u8> {
    let parts = Parts::new(document, &split_at_stops);
    let translations: Vec<Part> = parts.texts().iter().map(|text| word_by_word(text, say)).collect();
    parts.render(&translations, 0).unwrap()
}

/// The document after a model that copies.
pub fn copied(document: impl Document + 'static) -> String {
    String::from_utf8(said(Box::new(document), &str::to_string)).unwrap()
}

/// The document after a model that copies, but neither sees nor writes what is invisible.
pub fn copied_plainly(document: impl Document + 'static) -> String {
    let parts = Parts::new(Box::new(document), &split_at_stops);
    let translations: Vec<Part> =
        parts.texts().iter().map(|text| word_by_word(&plain(text), &str::to_string)).collect();
    parts.render_text(&translations, 0).unwrap()
}

/// The document after a model that writes every word in capitals.
pub fn shouted(document: impl Document + 'static) -> String {
    String::from_utf8(said(Box::new(document), &str::to_uppercase)).unwrap()
}

/// What random markup has in every language.
const TEXTS: [&str; 9] = ["word", "two words", " ", "\n  ", "Open. Close it.", "{name}", "&amp;", "1 > 0", ", "];

/// Random markup: [`TEXTS`] and `more`, and elements around up to eight times as much, or without a name just that
/// much.
pub fn markup(
    more: &'static [&'static str],
    name: impl Strategy<Value = Option<&'static str>> + Clone + 'static,
) -> impl Strategy<Value = String> {
    let leaf = prop::sample::select([&TEXTS[..], more].concat()).prop_map(str::to_string);
    leaf.prop_recursive(4, 40, 8, move |inner| {
        (prop::collection::vec(inner, 0..8), name.clone()).prop_map(|(inner, name)| match name {
            Some(name) => format!("<{name} class=\"c\">{}</{name}>", inner.concat()),
            None => inner.concat(),
        })
    })
}
