//! A piece of running text with its inline markup.

use std::ops::Range;

use crate::document::Segment;
use crate::events::{Event, Kind, is_kept};
use crate::markup::{Element, Kind as ElementKind};
use crate::pairs;
use crate::running::MOST_EVENTS;
use crate::running::rules::{Inline, Role, Rules, role_of};
use crate::running::text::Read;

/// Elements inside of each other whose places are looked for in running text; deeper ones stand where they stood.
const DEPTH: usize = 40;
/// Events in what may be a note's sign.
const NOTE: usize = 8;

/// Where an element stands in the source.
pub struct Mark {
    /// Its start tag.
    pub open: Range<usize>,
    /// Its end tag; empty, at the end of what belongs to it, where it has none.
    pub close: Range<usize>,
    /// Whether what is between them is the name of what it refers to ([`Inline::Named`]).
    pub named: bool,
}

impl Mark {
    /// All of it, with its content.
    pub fn whole(&self) -> Range<usize> {
        self.open.start..self.close.end
    }

    /// Adds what follows its last tag so far; says whether it does.
    fn extend(&mut self, added: &Range<usize>) -> bool {
        if !self.close.is_empty() {
            let follows = self.close.end == added.start;
            self.close.end = if follows { added.end } else { self.close.end };
            return follows;
        }
        let follows = self.open.end == added.start;
        if follows {
            (self.open.end, self.close) = (added.end, added.end..added.end);
        }
        follows
    }
}

/// A segment from events that follow each other; its elements' marks are added to the document's.
pub fn read(source: &str, rules: &dyn Rules, events: &[Event], marks: &mut Vec<Mark>) -> Segment {
    let mut reading =
        Reading { source, rules, marks, read: Read::default(), elements: Vec::new(), open: Vec::new(), opaque: None };
    let mut i = 0;
    while i < events.len() {
        i = match reading.note(&events[i..]) {
            Some(length) => i + length,
            None => {
                reading.event(&events[i]);
                i + 1
            }
        };
    }
    if let (Some(element), Some(last)) = (reading.opaque, events.last()) {
        // It was not closed, so it goes as far as the text.
        reading.close_opaque(element, last.range.end..last.range.end);
    }
    let Reading { read, mut elements, marks, .. } = reading;
    pairs::find(&mut elements, |mark| Some(&source[marks[mark].open.clone()]));
    Segment::marked(read.text, elements, read.spellings)
}

/// Running text that is being read.
struct Reading<'a> {
    source: &'a str,
    rules: &'a dyn Rules,
    /// All marks of the document so far.
    marks: &'a mut Vec<Mark>,
    read: Read,
    elements: Vec<Element>,
    /// Tags that are open: the name, and the place among the elements; none inside of what is copied.
    open: Vec<(String, Option<usize>)>,
    /// The outermost element whose content is copied, while it is open.
    opaque: Option<usize>,
}

impl Reading<'_> {
    fn event(&mut self, event: &Event) {
        let range = &event.range;
        let tag = &self.source[range.clone()];
        let role = role_of(self.rules, self.source, event);
        match &event.kind {
            Kind::Text => self.text(range),
            Kind::Open(_) | Kind::Empty(_) if self.opaque.is_none() && role == Some(Role::Space) => {
                self.read.spell(" ", range.clone(), self.source);
            }
            Kind::Open(name) if self.opaque.is_none() => {
                let element = self.point(range);
                if self.open.len() < DEPTH {
                    self.open.push((name.to_string(), Some(element)));
                    self.opaque = (role == Some(Role::Kept) || is_kept(tag)).then_some(element);
                }
            }
            // Inside of what is copied tags are content; but its own end must be found.
            Kind::Open(name) if self.open.len() < 2 * DEPTH => self.open.push((name.to_string(), None)),
            Kind::Close(name) => self.close(range, name),
            Kind::Empty(_) | Kind::Other if self.opaque.is_none() => {
                self.point(range);
            }
            Kind::Open(_) | Kind::Empty(_) | Kind::Other => {}
        }
    }

    fn text(&mut self, range: &Range<usize>) {
        let rules = self.rules;
        let dropped = self.read.add(self.source, range, &|reference| rules.resolve(reference));
        // Space that follows a tag, where there is space in front of it already, belongs to the tag.
        if !dropped.is_empty() && self.opaque.is_none() {
            let _ = self.marks.iter_mut().rev().take(MOST_EVENTS).any(|mark| mark.extend(&dropped));
        }
    }

    /// Takes a raised sign without letters behind a word, such as a note's number, as a point: it says nothing in the
    /// sentence. Gives its events.
    fn note(&mut self, events: &[Event]) -> Option<usize> {
        let Kind::Open(name) = &events.first()?.kind else { return None };
        let is_raised = role_of(self.rules, self.source, &events[0]) == Some(Role::Inline(Inline::Raised));
        if !is_raised || self.opaque.is_some() || self.read.text.is_empty() || self.read.text.ends_with(' ') {
            return None;
        }
        let last =
            events.iter().take(NOTE).position(|event| matches!(&event.kind, Kind::Close(other) if other == name))?;
        let text = |event: &Event| if event.kind == Kind::Text { &self.source[event.range.clone()] } else { "" };
        let said: String = events[..last].iter().map(text).collect();
        let next = events.get(last + 1).map_or("", text);
        if said.chars().any(char::is_alphabetic) || next.starts_with(char::is_alphanumeric) {
            return None;
        }
        self.point(&(events[0].range.start..events[last].range.end));
        Some(last + 1)
    }

    /// Adds a tag or a comment, which may turn out to be the start of a span; gives its place among the elements.
    fn point(&mut self, range: &Range<usize>) -> usize {
        let parent = self.open.last().and_then(|(_, element)| *element);
        let element = Element::point(self.marks.len(), self.read.text.len(), parent);
        let ends_in_word = self.source[range.clone()].ends_with(char::is_alphanumeric);
        self.elements.push(Element { ends_in_word, ..element });
        self.marks.push(Mark { open: range.clone(), close: range.end..range.end, named: false });
        self.elements.len() - 1
    }

    fn close(&mut self, range: &Range<usize>, name: &str) {
        let Some(place) = self.open.iter().rposition(|(other, _)| other == name) else {
            if self.opaque.is_none() {
                self.point(range);
            }
            return;
        };
        let Some(element) = self.open[place].1 else {
            self.open.truncate(place);
            return;
        };
        if self.opaque.is_some_and(|outer| element != outer) {
            // The end of an element around: what is copied was not closed, so it goes as far as the text.
            return;
        }
        // Elements that were not closed before stay points.
        self.open.truncate(place);
        if self.opaque.take().is_some() {
            self.close_opaque(element, range.clone());
        } else {
            let span = &mut self.elements[element];
            (span.kind, span.range.end) = (ElementKind::Span, self.read.text.len());
            let mark = &mut self.marks[span.mark];
            mark.close = range.clone();
            mark.named = self.rules.role(name, &self.source[range.clone()]) == Role::Inline(Inline::Named);
        }
    }

    /// Ends what is copied at its end tag, or behind the text where it has none.
    fn close_opaque(&mut self, element: usize, close: Range<usize>) {
        let opaque = &mut self.elements[element];
        let mark = &mut self.marks[opaque.mark];
        opaque.kind = ElementKind::Opaque { empty: mark.open.end == close.start };
        opaque.range.end = self.read.text.len();
        mark.close = close;
        opaque.ends_in_word = self.source[mark.whole()].ends_with(char::is_alphanumeric);
    }
}
