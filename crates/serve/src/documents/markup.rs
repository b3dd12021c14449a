//! Where markup goes in a translation: around the words that attend to the words that it marked.
//!
//! A translation is cut into units (words, punctuation, space), each with the place in the source that it attends to most. An
//! element takes the longest run of units that come from inside of it; children are placed inside of their parents, so that
//! the nesting stays. An element that no unit comes from takes the unit that attends to it most, or stands empty at its place.

use std::ops::Range;

use strata_translate::{Part, Target, Trace};
use unicode_segmentation::UnicodeSegmentation;

use crate::document::{Cut, chosen};
use crate::placeholders::placeholders;

/// An element in running text; one without an end tag is a point.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its start tag as it was written; empty for placeholders.
    pub open: String,
    /// Its end tag; empty for points.
    pub close: String,
    /// What it holds, in bytes of the text.
    pub range: Range<usize>,
    /// What stands inside whatever the translation is, as HTML.
    pub verbatim: Option<String>,
    /// The element around it.
    pub parent: Option<usize>,
}

impl Element {
    /// A tag by itself at a place of the text.
    pub fn point(open: &str, at: usize, parent: Option<usize>) -> Self {
        Self { open: open.to_string(), close: String::new(), range: at..at, verbatim: None, parent }
    }

    /// Whether it has a start and an end.
    fn is_whole(&self) -> bool {
        !self.close.is_empty() || self.verbatim.is_some()
    }
}

/// Running text with its markup.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// The text without markup; every run of white space is one space.
    pub text: String,
    /// The parts to translate, in bytes of the text.
    pub parts: Vec<Range<usize>>,
    elements: Vec<Element>,
    /// The elements inside of each, and last those inside of none, in order.
    children: Vec<Vec<usize>>,
}

/// A word, a punctuation mark or a space of the translation.
#[derive(Clone, Debug, PartialEq)]
struct Unit {
    text: String,
    /// Where the source places are that it attends to, in bytes of the text, and how much.
    links: Vec<(usize, f32)>,
    /// The one that it attends to most; none for space.
    source: Option<usize>,
}

impl Unit {
    fn new(text: &str, links: Vec<(usize, f32)>) -> Self {
        let best = links.iter().fold(None, |best: Option<(usize, f32)>, link| match best {
            Some(best) if best.1 >= link.1 => Some(best),
            _ => Some(*link),
        });
        let source = if text.trim().is_empty() { None } else { best.map(|(at, _)| at) };
        Self { text: text.to_string(), links, source }
    }

    /// How much it attends to a piece of the source.
    fn mass(&self, range: &Range<usize>) -> f32 {
        self.links.iter().filter(|(at, _)| range.contains(at)).map(|(_, weight)| weight).sum()
    }
}

/// Least attention for a unit to stand for an element that nothing else comes from.
const LEAST_MASS: f32 = 0.15;

impl Segment {
    /// Cuts running text into parts. Placeholders in it become elements.
    pub fn new(text: String, mut elements: Vec<Element>, cut: Cut<'_>) -> Self {
        // The parent of an element is the next one around it that has an end.
        for i in 0..elements.len() {
            while let Some(parent) = elements[i].parent.filter(|parent| !elements[*parent].is_whole()) {
                elements[i].parent = elements[parent].parent;
            }
        }
        let marked = elements.len();
        for range in placeholders(&text) {
            let touches = |e: &Element| e.range.start < range.end && range.start < e.range.end;
            let inside = |e: &Element| e.range.start <= range.start && range.end <= e.range.end && e.verbatim.is_none();
            let stands_in = |e: &Element| range.start < e.range.start && e.range.end < range.end;
            let around = elements[..marked].iter().enumerate().filter(|(_, e)| e.is_whole() && touches(e));
            if around.clone().any(|(_, e)| !inside(e)) || elements[..marked].iter().any(stands_in) {
                continue;
            }
            // Of those that hold the same, the one inside comes last.
            let parent = around.min_by_key(|(i, e)| (e.range.len(), std::cmp::Reverse(*i))).map(|(i, _)| i);
            let verbatim = Some(escape(&text[range.clone()]));
            elements.push(Element { open: String::new(), close: String::new(), range, verbatim, parent });
        }
        let mut children = vec![Vec::new(); elements.len() + 1];
        for (i, element) in elements.iter().enumerate() {
            children[element.parent.unwrap_or(elements.len())].push(i);
        }
        Self { parts: cut(&text), text, elements, children }
    }

    /// The translation as HTML, of each part the `choice`-th.
    pub fn render(&self, translations: &[Part], choice: usize) -> String {
        let units = self.units(translations, choice);
        let mut html = String::new();
        self.place(self.elements.len(), 0..self.text.len(), &units, 0..units.len(), &mut html);
        html
    }

    fn units(&self, translations: &[Part], choice: usize) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut at = 0;
        for (i, range) in self.parts.iter().enumerate() {
            self.kept(at..range.start, i > 0, &mut units);
            at = range.end;
            let Some(part) = translations.get(i) else { continue };
            match part.targets.get(choice.min(part.targets.len().saturating_sub(1))) {
                Some(target) if !target.attention.is_empty() => aligned(&part.source, target, range, &mut units),
                _ => proportional(chosen(part, choice), range, &mut units),
            }
        }
        self.kept(at..self.text.len(), false, &mut units);
        units
    }

    /// Text that is not translated; `between` two sentences there is space, but in scripts without.
    fn kept(&self, range: Range<usize>, between: bool, units: &mut Vec<Unit>) {
        let text = &self.text[range.clone()];
        if between && text.trim().is_empty() {
            let closed = units.last().is_some_and(|unit: &Unit| unit.text.ends_with(['。', '！', '？']));
            if !closed {
                units.push(Unit::new(" ", Vec::new()));
            }
            return;
        }
        units.extend(text.split_word_bound_indices().map(|(i, word)| Unit::new(word, vec![(range.start + i, 1.0)])));
    }

    /// Writes the units of `span` with the elements inside of element `around`, which holds `inside` of the text.
    fn place(&self, around: usize, inside: Range<usize>, units: &[Unit], span: Range<usize>, html: &mut String) {
        let children = &self.children[around];
        let mut runs: Vec<Option<Range<usize>>> =
            children.iter().map(|child| self.run(&self.elements[*child], &inside, units, &span)).collect();
        for i in 0..children.len() {
            let element = &self.elements[children[i]];
            if runs[i].is_none() && element.is_whole() && !element.range.is_empty() {
                let free = span.clone().filter(|unit| {
                    units[*unit].source.is_some() && !runs.iter().flatten().any(|run| run.contains(unit))
                });
                let best = free.map(|unit| (unit, units[unit].mass(&element.range))).max_by(|a, b| a.1.total_cmp(&b.1));
                runs[i] = best.filter(|(_, mass)| *mass >= LEAST_MASS).map(|(unit, _)| unit..unit + 1);
            }
        }
        let taken: Vec<Range<usize>> = runs.iter().flatten().cloned().collect();
        let mut placed: Vec<(Range<usize>, usize)> = Vec::with_capacity(children.len());
        for (child, run) in children.iter().zip(runs) {
            let at_its_place = || {
                let start = self.elements[*child].range.start;
                let at = span
                    .clone()
                    .find(|unit| units[*unit].source.is_some_and(|source| source >= start))
                    .unwrap_or(span.end);
                let at = taken.iter().find(|run| run.start < at && at < run.end).map_or(at, |run| run.end);
                at..at
            };
            placed.push((run.unwrap_or_else(at_its_place), *child));
        }
        placed.sort_by_key(|(run, child)| (run.start, run.end, *child));
        let mut at = span.start;
        for (run, child) in placed {
            // Of siblings that lay claim to the same words the first has them.
            let run = run.start.max(at)..run.end.max(at);
            write(&units[at..run.start], html);
            at = run.end;
            let element = &self.elements[child];
            html.push_str(&element.open);
            match &element.verbatim {
                Some(verbatim) => {
                    let added = run.is_empty() && !verbatim.is_empty();
                    let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                    if added && element.open.is_empty() && touches(html.chars().next_back()) {
                        html.push(' ');
                    }
                    html.push_str(verbatim);
                    html.push_str(&element.close);
                    if added && at < span.end && touches(units[at].text.chars().next()) {
                        html.push(' ');
                    }
                }
                None => {
                    self.place(child, element.range.clone(), units, run, html);
                    html.push_str(&element.close);
                }
            }
        }
        write(&units[at..span.end], html);
    }

    /// The units that come from an element; none for points and where there are none.
    fn run(
        &self,
        element: &Element,
        inside: &Range<usize>,
        units: &[Unit],
        span: &Range<usize>,
    ) -> Option<Range<usize>> {
        if !element.is_whole() {
            return None;
        }
        let around = [&self.text[inside.start..element.range.start], &self.text[element.range.end..inside.end]];
        if !element.range.is_empty() && around.iter().all(|text| text.trim().is_empty()) {
            // All of the text around: all of its translation.
            let first = span.clone().find(|unit| units[*unit].source.is_some())?;
            let last = span.clone().rfind(|unit| units[*unit].source.is_some())?;
            return Some(first..last + 1);
        }
        let mut best: Option<Range<usize>> = None;
        let mut run: Option<Range<usize>> = None;
        for unit in span.clone() {
            match units[unit].source {
                Some(source) if element.range.contains(&source) => {
                    let start = run.as_ref().map_or(unit, |run| run.start);
                    run = Some(start..unit + 1);
                    if best.as_ref().is_none_or(|best| best.len() < unit + 1 - start) {
                        best.clone_from(&run);
                    }
                }
                Some(_) => run = None,
                None => {} // space belongs to what is around it
            }
        }
        best
    }
}

fn write(units: &[Unit], html: &mut String) {
    units.iter().for_each(|unit| html.push_str(&escape(&unit.text)));
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Units of a translation by its attention to the source, which is `range` of the text.
fn aligned(source: &Trace, target: &Target, range: &Range<usize>, units: &mut Vec<Unit>) {
    // The model may see the text in another form: then places are scaled.
    let scale = |at: usize| at * range.len() / source.text.len().max(1);
    let place = |i: usize| {
        let token = &source.tokens[i].range;
        let text = source.text.get(token.clone()).unwrap_or("");
        range.start + scale(token.start + text.len() - text.trim_start().len()).min(range.len().saturating_sub(1))
    };
    // Without the tag and the end mark.
    let places: Vec<(usize, usize)> = (1..source.tokens.len().saturating_sub(1)).map(|i| (i, place(i))).collect();
    for (start, word) in target.trace.text.split_word_bound_indices() {
        let end = start + word.len();
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

#[cfg(test)]
mod tests {
    use strata_translate::{Candidate, TracedToken};

    use super::*;

    /// A part whose target words attend to the given source words.
    fn translated(source: &str, target: &str, links: &[usize]) -> Part {
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

    fn whole(open: &str, close: &str, range: Range<usize>, parent: Option<usize>) -> Element {
        Element { close: close.to_string(), range, ..Element::point(open, 0, parent) }
    }

    fn one_part(text: &str) -> Vec<Range<usize>> {
        std::iter::once(0..text.len()).collect()
    }

    #[test]
    fn markup_follows_the_words_where_they_go() {
        let text = "I have seen the red house";
        let elements = vec![
            whole("<a href=x>", "</a>", 12..25, None), // the red house
            whole("<b>", "</b>", 16..19, Some(0)),     // red
            whole("<i>", "</i>", 7..11, None),         // seen
        ];
        let segment = Segment::new(text.into(), elements, &one_part);
        let part = translated(text, "Ich habe das rote Haus gesehen", &[0, 1, 3, 4, 5, 2]);
        assert_eq!(segment.render(&[part], 0), "Ich habe <a href=x>das <b>rote</b> Haus</a> <i>gesehen</i>");
    }

    #[test]
    fn an_element_in_two_places_takes_the_longer_run_and_one_nowhere_stands_empty() {
        let text = "old dogs the bark";
        let elements = vec![
            whole("<b>", "</b>", 0..8, None),
            whole("<i>", "</i>", 9..12, None),
            Element::point("<img>", 12, None),
        ];
        let segment = Segment::new(text.into(), elements, &one_part);
        let part = translated(text, "alte bellen alte Hunde", &[0, 3, 0, 1]);
        let html = segment.render(&[part], 0);
        assert!(html.contains("<b>alte Hunde</b>") && html.contains("<i></i>") && html.contains("<img>"), "{html}");
        assert!(html.find("<img>") < html.find("bellen"), "{html}");
    }

    #[test]
    fn placeholders_stay_whatever_the_model_makes_of_them() {
        let text = "Open {file_name} in %s now";
        let segment = Segment::new(text.into(), Vec::new(), &one_part);
        let part = translated(text, "Jetzt das {Datei} öffnen", &[4, 0, 1, 0]);
        let html = segment.render(&[part], 0);
        assert!(html.contains("das {file_name} öffnen") && html.matches("%s").count() == 1, "{html}");
    }

    #[test]
    fn a_placeholder_is_in_the_innermost_of_elements_that_hold_the_same() {
        let text = "{name} is here";
        let elements = vec![whole("<a>", "</a>", 0..6, None), whole("<b>", "</b>", 0..6, Some(0))];
        let segment = Segment::new(text.into(), elements, &one_part);
        let html = segment.render(&[translated(text, "Hier ist {Name}", &[2, 1, 0])], 0);
        assert_eq!(html, "Hier ist <a><b>{name}</b></a>");
    }

    #[test]
    fn what_is_around_all_of_the_text_is_around_all_of_the_translation() {
        let text = "Save as";
        let segment = Segment::new(text.into(), vec![whole("<b>", "</b>", 0..7, None)], &one_part);
        let part = translated(text, "Speichern unter neuem Namen", &[0, 1, 9, 9]);
        assert_eq!(segment.render(&[part], 0), "<b>Speichern unter neuem Namen</b>");
    }
}
