//! A translated segment as units (words, punctuation, space) with the places in the source that they come from.

use std::ops::Range;

use strata_translate::invisible::{is_blank, is_invisible, plain};
use strata_translate::{Part, Target, Trace};
use unicode_segmentation::UnicodeSegmentation;

use crate::translation::{FULL_STOPS, chosen};

/// Least attention for a word of the translation to be the same word of the source.
const LEAST_SAME: f32 = 0.1;
/// Attention that being next to the word before is worth, where a word occurs more than once.
const NEXT: f32 = 0.3;

/// A word, a punctuation mark, a space of the translation, or a piece of a word.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// What it says.
    pub text: String,
    /// The piece of the segment's text that it comes from; none for space that is between other words now.
    pub place: Option<Range<usize>>,
    /// Whether it says the same as the source there.
    pub same: bool,
    /// All places that it attends to, in bytes of the segment's text, each with its attention.
    links: Vec<(Range<usize>, f32)>,
}

impl Unit {
    /// A unit that is copied.
    fn copied(text: &str, range: Range<usize>) -> Self {
        let links = vec![(range.clone(), 1.0)];
        Self { text: text[range.clone()].to_string(), place: Some(range), same: true, links }
    }

    /// Where it comes from begins.
    pub fn source(&self) -> Option<usize> {
        self.place.as_ref().map(|place| place.start)
    }

    /// Its attention to a range of the source, from 0 to 1.
    pub fn attention_to(&self, range: &Range<usize>) -> f32 {
        self.links.iter().filter(|(at, _)| range.contains(&at.start)).map(|(_, weight)| weight).sum()
    }

    fn is_space(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// The units of a segment whose parts are at `ranges` of its text, each part with its `choice`-th translation. Words
/// are cut at `bounds`, bytes of the text where markup begins or ends, in order.
pub fn units(text: &str, bounds: &[usize], ranges: &[Range<usize>], translations: &[Part], choice: usize) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut at = 0;
    for (i, range) in ranges.iter().enumerate() {
        kept(text, at..range.start, i > 0, &mut units);
        at = range.end;
        let Some(part) = translations.get(i) else { continue };
        let words = Words::new(text, range);
        let mut new = match part.targets.get(choice.min(part.targets.len().saturating_sub(1))) {
            Some(target) if !target.attention.is_empty() => aligned(text, &part.source, target, range),
            _ => proportional(chosen(part, choice), range),
        };
        words.find(&mut new);
        units.extend(spaced(text, new));
    }
    kept(text, at..text.len(), false, &mut units);
    cut(text, bounds, units)
}

/// Units of text that is not translated. `between` two sentences it may be white space, which scripts without spaces
/// drop.
fn kept(text: &str, range: Range<usize>, between: bool, units: &mut Vec<Unit>) {
    let kept = &text[range.clone()];
    let dropped = between && kept.trim().is_empty() && !text[..range.start].ends_with(FULL_STOPS);
    if dropped && units.last().is_some_and(|unit: &Unit| unit.text.ends_with(FULL_STOPS)) {
        return;
    }
    if between && kept.is_empty() && text[..range.start].ends_with(FULL_STOPS) {
        // There was no space between the sentences, but this script has one.
        if !units.last().is_some_and(|unit: &Unit| unit.text.ends_with(FULL_STOPS)) {
            units.push(Unit { text: " ".into(), place: None, same: false, links: Vec::new() });
        }
        return;
    }
    units.extend(kept.split_word_bound_indices().map(|(i, word)| {
        let start = range.start + i;
        Unit::copied(text, start..start + word.len())
    }));
}

/// Units of a translation, placed by its attention to the source, which is `range` of the segment's text.
fn aligned(text: &str, source: &Trace, target: &Target, range: &Range<usize>) -> Vec<Unit> {
    let seen = places(&text[range.clone()], &source.text);
    let place = |i: usize| {
        let token = &source.tokens[i].range;
        let text = source.text.get(token.clone()).unwrap_or("");
        let bytes = seen.get(token.start + text.len() - text.trim_start().len()..token.end).unwrap_or_default();
        let start = range.start + bytes.first().map_or(range.len(), |place| place.start);
        let start = start.min(range.end.saturating_sub(1));
        start..bytes.last().map_or(start, |place| range.start + place.end).max(start + 1)
    };
    // Tags and marks around a sentence, of which each model has its own, say nothing in the text.
    let says = |i: &usize| !source.tokens[*i].range.is_empty();
    let places: Vec<(usize, Range<usize>)> = (0..source.tokens.len()).filter(says).map(|i| (i, place(i))).collect();
    let unit = |(start, word): (usize, &str)| {
        let end = start + word.len();
        // A row of attention for each token but the tag.
        let tokens = target.trace.tokens.iter().skip(1).zip(&target.attention);
        let rows: Vec<&Vec<f32>> =
            tokens.filter(|(t, _)| t.range.start < end && start < t.range.end).map(|(_, row)| row).collect();
        let weight = |i: usize| rows.iter().filter_map(|row| row.get(i)).sum::<f32>() / rows.len().max(1) as f32;
        linked(word, places.iter().map(|(i, place)| (place.clone(), weight(*i))).collect())
    };
    target.trace.text.split_word_bound_indices().map(unit).collect()
}

/// Where each byte of a text, as the model sees it, is in the text: character by character, or in proportion where it
/// has another number of them (normalized).
fn places(text: &str, seen: &str) -> Vec<Range<usize>> {
    let clusters = text.grapheme_indices(true).flat_map(|(at, cluster)| {
        let place = at..at + cluster.len();
        let count = plain(cluster).chars().filter(|c| !c.is_whitespace()).count();
        std::iter::repeat_n(place, count)
    });
    let clusters: Vec<Range<usize>> = clusters.collect();
    if clusters.len() != seen.chars().filter(|c| !c.is_whitespace()).count() {
        let scale = |at: usize| (at * text.len() / seen.len().max(1)).min(text.len());
        return (0..seen.len()).map(|at| scale(at)..scale(at + 1)).collect();
    }
    let mut clusters = clusters.into_iter();
    let mut end = 0;
    let mut found = Vec::with_capacity(seen.len());
    for c in seen.chars() {
        let place = if c.is_whitespace() { end..end } else { clusters.next().unwrap_or(end..end) };
        end = place.end;
        found.extend(std::iter::repeat_n(place, c.len_utf8()));
    }
    found
}

/// Units of a translation without attention: as far along as in the source.
fn proportional(text: &str, range: &Range<usize>) -> Vec<Unit> {
    let place = |at: usize| range.start + (at * range.len() / text.len().max(1)).min(range.len().saturating_sub(1));
    let unit = |(i, word): (usize, &str)| linked(word, vec![(place(i)..place(i) + 1, 1.0)]);
    text.split_word_bound_indices().map(unit).collect()
}

/// A unit that comes from what it attends to most, of equals the first.
fn linked(text: &str, links: Vec<(Range<usize>, f32)>) -> Unit {
    let best = links.iter().fold(None, |best: Option<&(Range<usize>, f32)>, link| match best {
        Some(best) if best.1 >= link.1 => Some(best),
        _ => Some(link),
    });
    let place = best.filter(|_| !text.trim().is_empty()).map(|(place, _)| place.clone());
    Unit { text: text.to_string(), place, same: false, links }
}

/// The words and marks of a part of the source.
struct Words {
    /// Each, in order, with what is invisible in it, and behind it up to the next word; beside white space it belongs
    /// to that.
    ranges: Vec<Range<usize>>,
    /// What each says, as a model writes it.
    texts: Vec<String>,
}

impl Words {
    fn new(text: &str, part: &Range<usize>) -> Self {
        let (seen, places) = visible(&text[part.clone()]);
        let mut words = Self { ranges: Vec::new(), texts: Vec::new() };
        for (i, word) in seen.split_word_bound_indices().filter(|(_, word)| !word.trim().is_empty()) {
            let behind = i + word.len();
            let end = match places.get(behind) {
                None => part.len(),
                Some(_) if seen[behind..].starts_with(char::is_whitespace) => places[behind - 1].end,
                Some(next) => next.start,
            };
            words.texts.push(plain(word).into_owned());
            words.ranges.push(part.start + places[i].start..part.start + end);
        }
        words
    }

    /// Adds the attention to each word to `attention`; gives the words that get some, with repetitions.
    fn attend(&self, links: &[(Range<usize>, f32)], attention: &mut [f32]) -> Vec<usize> {
        let mut attended = Vec::new();
        for (of, weight) in links {
            let first = self.ranges.partition_point(|range| range.end <= of.start);
            let touched = self.ranges[first..].iter().take_while(|range| range.start < of.end).count();
            attention[first..first + touched].iter_mut().for_each(|sum| *sum += weight);
            attended.extend(first..first + touched);
        }
        attended
    }

    /// Widens each unit's place to the word that it comes from: the same word where the unit attends to it.
    fn find(&self, units: &mut [Unit]) {
        // The word that follows the one before.
        let mut next = 0;
        // Of few words for each unit: a segment may have very many of either.
        let mut attention = vec![0.0; self.ranges.len()];
        for unit in units.iter_mut().filter(|unit| !unit.is_space()) {
            let Some(place) = unit.place.clone() else { continue };
            let mut attended = self.attend(&unit.links, &mut attention);
            if let Some(sum) = attention.get_mut(next) {
                *sum += NEXT;
                attended.push(next);
            }
            let said = plain(&unit.text);
            let found = attended
                .iter()
                .copied()
                .filter(|word| attention[*word] >= LEAST_SAME && self.texts[*word] == *said)
                .max_by(|a, b| attention[*a].total_cmp(&attention[*b]).then(b.cmp(a)));
            attended.iter().for_each(|word| attention[*word] = 0.0);
            unit.same = found.is_some();
            let word = found.or_else(|| {
                let at = self.ranges.partition_point(|range| range.end <= place.start);
                self.ranges.get(at).filter(|range| range.start <= place.start).map(|_| at)
            });
            if let Some(word) = word {
                unit.place = Some(self.ranges[word].clone());
                next = word + 1;
            }
        }
    }
}

/// A text without what is invisible in it, and for each of its bytes where its character is in the text. What is
/// invisible at the start belongs to the first character.
fn visible(text: &str) -> (String, Vec<Range<usize>>) {
    let (mut seen, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    for (at, c) in text.char_indices().filter(|(_, c)| !is_invisible(*c)) {
        let start = if seen.is_empty() { 0 } else { at };
        seen.push(c);
        places.extend(std::iter::repeat_n(start..at + c.len_utf8(), c.len_utf8()));
    }
    (seen, places)
}

/// Gives space the form that it has in the source, where the words on its sides are neighbors there too.
fn spaced(text: &str, units: Vec<Unit>) -> Vec<Unit> {
    let mut spaced: Vec<Unit> = Vec::with_capacity(units.len());
    let mut rest = units.into_iter().peekable();
    while let Some(unit) = rest.next() {
        if !unit.is_space() {
            spaced.push(unit);
            continue;
        }
        let mut space = vec![unit];
        while let Some(more) = rest.next_if(Unit::is_space) {
            space.push(more);
        }
        let before = spaced.last().and_then(|unit| unit.place.as_ref()).map(|place| place.end);
        let behind = rest.peek().and_then(|unit| unit.place.as_ref()).map(|place| place.start);
        let range = before.zip(behind).map(|(before, behind)| before..behind);
        match range.filter(|range| text.get(range.clone()).is_some_and(|s| !s.is_empty() && s.chars().all(is_blank))) {
            Some(range) => spaced.push(Unit::copied(text, range)),
            None => spaced.append(&mut space),
        }
    }
    spaced
}

/// Cuts words where markup begins or ends inside of them: as the source is cut, where they say the same, else in
/// proportion.
fn cut(text: &str, bounds: &[usize], units: Vec<Unit>) -> Vec<Unit> {
    let mut cut = Vec::with_capacity(units.len());
    let mut i = 0;
    while i < units.len() {
        let Some(place) = units[i].place.clone() else {
            cut.push(units[i].clone());
            i += 1;
            continue;
        };
        // Several words may come from one.
        let comes_too = |unit: &Unit| unit.is_space() || unit.place.as_ref() == Some(&place);
        let more = units[i..].iter().take_while(|unit| !units[i].same && comes_too(unit)).count().max(1);
        let group = &units[i..i + more];
        let group = &group[..group.iter().rposition(|unit| !unit.is_space()).unwrap_or(0) + 1];
        i += group.len();
        let first = bounds.partition_point(|bound| *bound <= place.start);
        let inside = bounds[first..].iter().take_while(|bound| **bound < place.end);
        let inside: Vec<usize> = inside.copied().filter(|bound| text.is_char_boundary(*bound)).collect();
        if inside.is_empty() {
            cut.extend_from_slice(group);
        } else if group[0].same {
            let ends = inside.iter().copied().chain([place.end]);
            let starts = [place.start].into_iter().chain(inside.iter().copied());
            cut.extend(starts.zip(ends).map(|(start, end)| Unit::copied(text, start..end)));
        } else {
            cut.extend(in_proportion(text, group, &place, &inside));
        }
    }
    cut
}

/// Cuts units that all come from `place` at the shares of their text that `bounds` are of it.
fn in_proportion(text: &str, group: &[Unit], place: &Range<usize>, bounds: &[usize]) -> Vec<Unit> {
    let letters = |text: &str| text.graphemes(true).count();
    let total: usize = group.iter().map(|unit| letters(&unit.text)).sum();
    let of = letters(&text[place.clone()]).max(1);
    // Of each bound, the letters in front of it: one at least, and not all.
    let share = |bound: &usize| {
        let in_front = letters(&text[place.start..*bound]);
        ((2 * in_front * total + of) / (2 * of)).clamp(1, total.max(2) - 1)
    };
    let cuts: Vec<usize> = bounds.iter().map(share).collect();
    let edges: Vec<usize> = [place.start].into_iter().chain(bounds.iter().copied()).chain([place.end]).collect();
    let mut units = Vec::new();
    let mut letter = 0;
    for unit in group {
        let mut now: Option<usize> = None;
        for grapheme in unit.text.graphemes(true) {
            let piece = cuts.iter().filter(|cut| **cut <= letter).count();
            if now != Some(piece) {
                let place = unit.place.as_ref().map(|_| edges[piece]..edges[piece + 1]);
                units.push(Unit { text: String::new(), place, same: false, links: unit.links.clone() });
                now = Some(piece);
            }
            if let Some(last) = units.last_mut() {
                last.text.push_str(grapheme);
            }
            letter += 1;
        }
    }
    units
}
