//! Translations of the pieces of a text put together: candidates, tokens, alignments, attention.

use std::ops::Range;

use crate::candidate::Candidate;
use crate::layout::laid_out;
use crate::parts::Part;
use crate::shortfall::Shortfall;
use crate::trace::{Target, Trace, TracedToken};

/// The translation of `text`, of which the pieces at these ranges are translated and all else is copied. Its i-th
/// candidate has the i-th of each piece, or the last of those that have fewer. `around` tokens stand in front of a
/// source's text and behind it.
pub(crate) fn joined(text: &str, pieces: &[(Range<usize>, Part)], around: [usize; 2]) -> Part {
    if let [(range, part)] = pieces
        && *range == (0..text.len())
    {
        return part.clone();
    }
    let ranges: Vec<Range<usize>> = pieces.iter().map(|(range, _)| range.clone()).collect();
    let count = pieces.iter().map(|(_, part)| part.candidates.len()).max().unwrap_or(1);
    let (candidates, places): (_, Vec<_>) = (0..count).map(|choice| candidate(text, &ranges, pieces, choice)).unzip();
    let traced = pieces.iter().any(|(_, part)| !part.targets.is_empty());
    let mut joined = Part { candidates, ..Part::default() };
    let shortfalls = || pieces.iter().filter_map(|(_, part)| part.shortfall);
    joined.shortfall = shortfalls().find(|short| *short == Shortfall::NotFinite).or_else(|| shortfalls().next());
    if traced {
        joined.source = source(text, pieces, around);
        let written = |choice: usize| joined.candidates[choice].text.as_str();
        let shape = [around[0], around[1], joined.source.tokens.len()];
        let target = |choice: usize| target([text, written(choice)], pieces, choice, &places[choice], shape);
        joined.targets = (0..count).map(target).collect();
    }
    joined
}

fn chosen(part: &Part, choice: usize) -> Option<&Candidate> {
    part.candidates.get(choice).or(part.candidates.last())
}

/// A candidate, and where the translation of each piece is in it.
fn candidate(
    text: &str,
    ranges: &[Range<usize>],
    pieces: &[(Range<usize>, Part)],
    choice: usize,
) -> (Candidate, Vec<Range<usize>>) {
    let said = |i: usize| chosen(&pieces[i].1, choice).map_or("", |candidate| candidate.text.as_str());
    let (written, places) = laid_out(text, ranges, said);
    let words = |text: &str| text.split_whitespace().count() as u32;
    let (mut subwords, mut sum, mut tokens, mut alignment) = (0, 0.0, Vec::new(), Vec::new());
    for ((range, part), place) in pieces.iter().zip(&places) {
        let Some(candidate) = chosen(part, choice) else { continue };
        subwords += candidate.subwords;
        sum += candidate.score * candidate.subwords as f32;
        tokens.extend(candidate.tokens.iter().cloned());
        let (before, written_before) = (words(&text[..range.start]), words(&written[..place.start]));
        // A piece may begin inside of a word: `(` and what is in it are one.
        let inside = |text: &str, at: usize| {
            let touches = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
            u32::from(touches(text[..at].chars().next_back()) && touches(text[at..].chars().next()))
        };
        let (source, target) = (before - inside(text, range.start), written_before - inside(&written, place.start));
        alignment.extend(candidate.alignment.iter().map(|(s, t)| (source + s, target + t)));
    }
    (Candidate { text: written, score: sum / subwords.max(1) as f32, subwords, tokens, alignment }, places)
}

/// The tokens of all pieces: tags and end marks once, and what is copied between the pieces as a token each.
fn source(text: &str, pieces: &[(Range<usize>, Part)], [front, behind]: [usize; 2]) -> Trace {
    let mut tokens: Vec<TracedToken> = Vec::new();
    let mut at = 0;
    let mut end: Vec<TracedToken> = Vec::new();
    let mut is_first = true;
    for (range, part) in pieces {
        let own = part.source.tokens.as_slice();
        if own.is_empty() || own.len() < front + behind {
            continue;
        }
        let (tags, own) = own.split_at(front);
        let (inner, last) = own.split_at(own.len() - behind);
        if std::mem::take(&mut is_first) {
            tokens.extend(tags.iter().map(|tag| TracedToken { range: 0..0, ..tag.clone() }));
        }
        tokens.extend(kept(text, at..range.start));
        tokens.extend(inner.iter().map(|token| shifted(token, range.start)));
        end = last.iter().map(|mark| TracedToken { range: text.len()..text.len(), ..mark.clone() }).collect();
        at = range.end;
    }
    tokens.extend(kept(text, at..text.len()));
    tokens.extend(end);
    contiguous(text, tokens.get_mut(front..).unwrap_or_default());
    Trace { text: text.to_string(), tokens }
}

/// Gives the space between two tokens to the second one, as subword models do, and the space at the end to the last.
fn contiguous(text: &str, tokens: &mut [TracedToken]) {
    let mut end = 0;
    for token in tokens.iter_mut() {
        if end < token.range.start && text[end..token.range.start].trim().is_empty() {
            token.range.start = end;
        }
        end = end.max(token.range.end);
    }
    if let Some(last) = tokens.iter_mut().rev().find(|token| token.range.start < text.len()) {
        last.range.end = text.len().max(last.range.end);
    }
}

fn shifted(token: &TracedToken, by: usize) -> TracedToken {
    TracedToken { range: token.range.start + by..token.range.end + by, ..token.clone() }
}

/// The token of text that is copied; none for white space.
fn kept(text: &str, range: Range<usize>) -> Option<TracedToken> {
    let inner = text.get(range.clone())?.trim();
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    let token =
        TracedToken { piece: inner.to_string(), range: start..start + inner.len(), score: None, routing: Vec::new() };
    (!inner.is_empty()).then_some(token)
}

/// The tokens of the translation, in which each piece is at one of `places`, with their attention to the `width` tokens
/// of [`source`], in the same order.
fn target(
    [text, written]: [&str; 2],
    pieces: &[(Range<usize>, Part)],
    choice: usize,
    places: &[Range<usize>],
    [front, behind, width]: [usize; 3],
) -> Target {
    let mut tokens: Vec<TracedToken> = Vec::new();
    let mut attention: Vec<Vec<f32>> = Vec::new();
    let (mut at, mut written_at, mut column) = (0, 0, front);
    let copy = |from: Range<usize>,
                to: Range<usize>,
                column: &mut usize,
                tokens: &mut Vec<TracedToken>,
                rows: &mut Vec<Vec<f32>>| {
        if kept(text, from).is_none() {
            return;
        }
        if let Some(token) = kept(written, to) {
            tokens.push(token);
            rows.push((0..width).map(|i| if i == *column { 1.0 } else { 0.0 }).collect());
        }
        *column += 1;
    };
    for ((range, part), place) in pieces.iter().zip(places) {
        let Some(target) = part.targets.get(choice).or(part.targets.last()) else { continue };
        if tokens.is_empty() {
            tokens.extend(target.trace.tokens.first().map(|tag| TracedToken { range: 0..0, ..tag.clone() }));
        }
        copy(at..range.start, written_at..place.start, &mut column, &mut tokens, &mut attention);
        let inner = part.source.tokens.len().saturating_sub(front + behind);
        for (i, token) in target.trace.tokens.iter().enumerate().skip(1) {
            tokens.push(shifted(token, place.start));
            let mut row = vec![0.0; width];
            if let Some(found) = target.attention.get(i - 1) {
                for (to, from) in row[column..].iter_mut().zip(found.iter().skip(front).take(inner)) {
                    *to = *from;
                }
                attention.push(row);
            }
        }
        column += inner;
        (at, written_at) = (range.end, place.end);
    }
    copy(at..text.len(), written_at..written.len(), &mut column, &mut tokens, &mut attention);
    if pieces.iter().flat_map(|(_, part)| &part.targets).all(|target| target.attention.is_empty()) {
        attention.clear(); // only routing was asked for
    }
    contiguous(written, tokens.get_mut(1..).unwrap_or_default()); // behind the tag
    Target { trace: Trace { text: written.to_string(), tokens }, attention }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translation_is_not_taken_for_copied_text_that_reads_the_same() {
        let text = "Open /x/BLUE.py blue";
        let token =
            |piece: &str, end| TracedToken { piece: piece.into(), range: 0..end, score: None, routing: Vec::new() };
        let traced = |text: &str, tokens| Trace { text: text.into(), tokens };
        let part = |source: &str, said: &str| Part {
            candidates: vec![Candidate { text: said.into(), alignment: vec![(0, 0)], ..Candidate::default() }],
            source: traced(source, vec![token(source, source.len())]),
            targets: vec![Target {
                trace: traced(said, vec![token("tag", 0), token(said, said.len())]),
                attention: vec![vec![1.0]],
            }],
            ..Part::default()
        };
        let pieces = [(0..4, part("Open", "Ouvre")), (16..20, part("blue", "BLUE"))];
        let joined = joined(text, &pieces, [0, 0]);
        let best = &joined.candidates[0];
        assert_eq!((best.text.as_str(), &best.alignment), ("Ouvre /x/BLUE.py BLUE", &vec![(0, 0), (2, 2)]));
        let Target { trace, attention } = &joined.targets[0];
        let words: Vec<&str> = trace.tokens.iter().map(|token| &trace.text[token.range.clone()]).collect();
        assert_eq!(words, ["", "Ouvre", " /x/BLUE.py", " BLUE"]);
        assert_eq!(
            attention.iter().map(|row| row.iter().position(|p| *p == 1.0)).collect::<Vec<_>>(),
            [0, 1, 2].map(Some)
        );
    }
}
