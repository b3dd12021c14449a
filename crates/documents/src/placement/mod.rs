//! Where markup goes in a translation: around the words that attend to the words that it marked.
//!
//! The translation is cut into units (`units`). A span takes the longest run of units that come from inside of it;
//! children are placed inside of their parents, so that the nesting stays. A span that no unit comes from takes the
//! unit that attends to it most, or stands empty at its place.

#[cfg(test)]
mod tests;
mod units;

use std::cmp::Reverse;
use std::ops::Range;

use strata_translate::{Part, code};

use crate::markup::{Element, Kind, Piece, push_same, push_text};
use crate::pairs;
use units::{Unit, units};

/// Least attention for a unit to stand for an element that no unit comes from.
const LEAST_ATTENTION: f32 = 0.15;

/// A segment's elements, nested, with its placeholders: what is written for machines ([`code`]).
pub struct Tree<'a> {
    text: &'a str,
    elements: Vec<Element>,
    /// The elements inside of each, in order; last those inside of none.
    children: Vec<Vec<usize>>,
}

impl<'a> Tree<'a> {
    /// Nests the elements of a text, and finds its placeholders.
    pub fn new(text: &'a str, elements: &[Element]) -> Self {
        let mut elements = elements.to_vec();
        // The parent of an element is the next one around it that has an end.
        for i in 0..elements.len() {
            while let Some(parent) = elements[i].parent.filter(|parent| !elements[*parent].is_whole()) {
                elements[i].parent = elements[parent].parent;
            }
        }
        let found: Vec<Element> = code(text).into_iter().filter_map(|range| placeholder(range, &elements)).collect();
        elements.extend(found);
        let mut children = vec![Vec::new(); elements.len() + 1];
        for (i, element) in elements.iter().enumerate() {
            children[element.parent.unwrap_or(elements.len())].push(i);
        }
        Self { text, elements, children }
    }

    /// The translation of the text, whose parts are at `ranges` of it: of each part the `choice`-th.
    pub fn place(&self, ranges: &[Range<usize>], translations: &[Part], choice: usize) -> Vec<Piece> {
        let mut bounds: Vec<usize> = self.elements.iter().flat_map(|e| [e.range.start, e.range.end]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let units = units(self.text, &bounds, ranges, translations, choice);
        let mut writing = Writing { tree: self, units: &units, pieces: Vec::new() };
        writing.write(self.elements.len(), 0..self.text.len(), 0..units.len());
        pairs::put_in_order(&mut writing.pieces, &self.elements);
        writing.pieces
    }
}

/// The element of a placeholder; none where markup begins or ends in it, or where it is copied anyway.
fn placeholder(range: Range<usize>, elements: &[Element]) -> Option<Element> {
    let touches = |e: &Element| e.range.start < range.end && range.start < e.range.end;
    let is_opaque = |e: &Element| matches!(e.kind, Kind::Opaque { .. });
    let inside = |e: &Element| e.range.start <= range.start && range.end <= e.range.end && !is_opaque(e);
    let stands_in = |e: &Element| range.start < e.range.start && e.range.end < range.end;
    let around = elements.iter().enumerate().filter(|(_, e)| e.is_whole() && touches(e));
    if around.clone().any(|(_, e)| !inside(e)) || elements.iter().any(stands_in) {
        return None;
    }
    // Of those that hold the same, the one inside comes last.
    let parent = around.min_by_key(|(i, e)| (e.range.len(), Reverse(*i))).map(|(i, _)| i);
    Some(Element { kind: Kind::Placeholder, range, ..Element::point(0, 0, parent) })
}

/// A translation that is being written.
struct Writing<'a> {
    tree: &'a Tree<'a>,
    units: &'a [Unit],
    pieces: Vec<Piece>,
}

impl Writing<'_> {
    /// Writes the units of `span` with the elements inside of element `around`, which holds `inside` of the text.
    fn write(&mut self, around: usize, inside: Range<usize>, span: Range<usize>) {
        let mut at = span.start;
        for (run, child) in self.runs(around, &inside, &span) {
            // Of siblings that lay claim to the same words the first has them.
            let run = run.start.max(at)..run.end.max(at);
            self.text(at..run.start);
            at = run.end;
            let element = &self.tree.elements[child];
            match element.kind {
                Kind::Point => self.point(element),
                Kind::Span => {
                    self.pieces.push(Piece::Open(element.mark));
                    self.write(child, element.range.clone(), run);
                    self.pieces.push(Piece::Close(element.mark));
                }
                Kind::Opaque { .. } | Kind::Placeholder => self.copy(element, run, span.end),
            }
        }
        self.text(at..span.end);
    }

    /// Where the elements inside of `around` go: the units of each, in order.
    fn runs(&self, around: usize, inside: &Range<usize>, span: &Range<usize>) -> Vec<(Range<usize>, usize)> {
        let children = &self.tree.children[around];
        let elements = || children.iter().map(|child| &self.tree.elements[*child]);
        let mut runs: Vec<Option<Range<usize>>> = elements().map(|element| self.run(element, inside, span)).collect();
        for (i, element) in elements().enumerate() {
            let says = !self.tree.text[element.range.clone()].trim().is_empty();
            if runs[i].is_none() && element.is_whole() && says {
                runs[i] = self.nearest(element, span, &runs);
            }
        }
        let taken: Vec<Range<usize>> = runs.iter().flatten().cloned().collect();
        let mut placed: Vec<(Range<usize>, usize)> = children
            .iter()
            .zip(runs)
            .map(|(child, run)| {
                let empty = || self.place_of(self.tree.elements[*child].range.start, span, &taken);
                (run.unwrap_or_else(empty), *child)
            })
            .collect();
        placed.sort_by_key(|(run, child)| (run.start, run.end, *child));
        placed
    }

    /// The longest run of units that come from an element; none for points and where there are none.
    fn run(&self, element: &Element, inside: &Range<usize>, span: &Range<usize>) -> Option<Range<usize>> {
        if !element.is_whole() {
            return None;
        }
        let (text, source) = (self.tree.text, |unit: usize| self.units[unit].source());
        let around = [&text[inside.start..element.range.start], &text[element.range.end..inside.end]];
        if !element.range.is_empty() && around.iter().all(|text| text.trim().is_empty()) {
            // All of the text around: all of its translation, without the space around it.
            let is_out =
                |unit: &usize| source(*unit).is_none_or(|at| at < element.range.start || element.range.end <= at);
            let words =
                |unit: &usize| source(*unit).is_some() && !(is_out(unit) && self.units[*unit].text.trim().is_empty());
            let first = span.clone().find(words)?;
            let last = span.clone().rfind(words)?;
            return Some(first..last + 1);
        }
        let mut best: Option<Range<usize>> = None;
        let mut run: Option<Range<usize>> = None;
        for unit in span.clone() {
            match source(unit) {
                Some(source) if element.range.contains(&source) => {
                    let start = run.as_ref().map_or(unit, |run| run.start);
                    run = Some(start..unit + 1);
                    if best.as_ref().is_none_or(|best| best.len() < unit + 1 - start) {
                        best.clone_from(&run);
                    }
                }
                // Marks between two words of the element are in it, wherever they come from.
                Some(_) if !self.units[unit].text.contains(char::is_alphanumeric) => {}
                Some(_) => run = None,
                None => {} // space belongs to what is around it
            }
        }
        best
    }

    /// The unit outside of all `runs` that attends to an element most, if it does so enough.
    fn nearest(&self, element: &Element, span: &Range<usize>, runs: &[Option<Range<usize>>]) -> Option<Range<usize>> {
        let is_free = |unit: &usize| !runs.iter().flatten().any(|run| run.contains(unit));
        let free = span.clone().filter(|unit| self.units[*unit].place.is_some() && is_free(unit));
        let attention = free.map(|unit| (unit, self.units[unit].attention_to(&element.range)));
        let best = attention.max_by(|a, b| a.1.total_cmp(&b.1));
        best.filter(|(_, attention)| *attention >= LEAST_ATTENTION).map(|(unit, _)| unit..unit + 1)
    }

    /// The empty place of what stands at `start` of the text, outside of all runs: behind the word that it follows
    /// without space, else in front of the word that follows it, or of what comes from behind that.
    fn place_of(&self, start: usize, span: &Range<usize>, taken: &[Range<usize>]) -> Range<usize> {
        let place = |unit: &usize| self.units[*unit].place.clone();
        let (before, behind) = self.tree.text.split_at(start);
        let follows = before.chars().next_back().is_some_and(|c| !c.is_whitespace())
            && !behind.starts_with(char::is_alphanumeric);
        let ends_there = |unit: &usize| place(unit).is_some_and(|place| place.start < start && start <= place.end);
        let begins_there = |unit: &usize| place(unit).is_some_and(|place| place.start <= start && start < place.end);
        let comes_behind = |unit: &usize| place(unit).is_some_and(|place| place.start >= start);
        let word = if follows { span.clone().rfind(ends_there).map(|unit| unit + 1) } else { None };
        let at = word
            .or_else(|| span.clone().find(begins_there))
            .or_else(|| span.clone().find(comes_behind))
            .unwrap_or(span.end);
        let at = taken.iter().find(|run| run.start < at && at < run.end).map_or(at, |run| run.end);
        at..at
    }

    fn text(&mut self, span: Range<usize>) {
        for unit in &self.units[span] {
            match &unit.place {
                Some(place) if unit.same => push_same(&mut self.pieces, place.clone()),
                _ => push_text(&mut self.pieces, &unit.text),
            }
        }
    }

    fn point(&mut self, element: &Element) {
        self.pieces.push(Piece::Point(element.mark));
    }

    /// Writes what is copied, in place of the units of `run`. Where it has none, space keeps it from the words beside
    /// it.
    fn copy(&mut self, element: &Element, run: Range<usize>, end: usize) {
        let added = run.is_empty() && element.kind != Kind::Opaque { empty: true };
        if element.kind == Kind::Placeholder {
            if added && self.ends_in_word() {
                push_text(&mut self.pieces, " ");
            }
            push_same(&mut self.pieces, element.range.clone());
        } else {
            self.point(element);
        }
        if added && run.end < end && self.units[run.end].text.starts_with(char::is_alphanumeric) {
            push_text(&mut self.pieces, " ");
        }
    }

    /// Whether what was written last is a letter or a digit.
    fn ends_in_word(&self) -> bool {
        match self.pieces.last() {
            Some(Piece::Text(text)) => text.ends_with(char::is_alphanumeric),
            Some(Piece::Same(range)) => self.tree.text[range.clone()].ends_with(char::is_alphanumeric),
            Some(Piece::Point(mark)) => self.tree.elements.iter().any(|e| e.mark == *mark && e.ends_in_word),
            Some(Piece::Open(_) | Piece::Close(_)) | None => false,
        }
    }
}
