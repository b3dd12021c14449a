//! A piece of running text with its inline markup.

use std::ops::Range;

use crate::documents::document::{Segment, push_collapsed};
use crate::documents::html::events::Event;
use crate::documents::markup::{Element, Kind};

/// Elements inside of each other whose places are looked for in running text; deeper ones stand where they stood.
const DEPTH: usize = 40;

/// Where an element stands in the page.
pub struct Mark {
    /// Its start tag.
    pub open: Range<usize>,
    /// Its end tag; empty, at the end of what belongs to it, where it has none.
    pub close: Range<usize>,
}

impl Mark {
    /// All of it, with its content.
    pub fn whole(&self) -> Range<usize> {
        self.open.start..self.close.end
    }
}

/// A segment from events that follow each other; its elements' marks are added to the page's.
pub fn segment(html: &str, events: &[Event], marks: &mut Vec<Mark>) -> Segment {
    let mut reading =
        Reading { html, marks, text: String::new(), elements: Vec::new(), open: Vec::new(), opaque: None };
    for event in events {
        reading.event(event);
    }
    if let (Some(element), Some(last)) = (reading.opaque, events.last()) {
        // It was not closed, so it goes as far as the text.
        reading.close_opaque(element, last.range().end..last.range().end);
    }
    Segment::marked(reading.text, reading.elements)
}

/// Running text that is being read.
struct Reading<'a> {
    html: &'a str,
    /// All marks of the page so far.
    marks: &'a mut Vec<Mark>,
    text: String,
    elements: Vec<Element>,
    /// Tags that are open: the name, and the place among the elements; none inside of what is copied.
    open: Vec<(&'a str, Option<usize>)>,
    /// The outermost element whose content is copied, while it is open.
    opaque: Option<usize>,
}

impl<'a> Reading<'a> {
    fn event(&mut self, event: &'a Event) {
        match event {
            Event::Text(_, text) => push_collapsed(&mut self.text, text),
            Event::Open(range, name, void, opaque) if self.opaque.is_none() => {
                let element = self.point(range);
                if !void && self.open.len() < DEPTH {
                    self.open.push((name, Some(element)));
                    self.opaque = opaque.then_some(element);
                }
            }
            // Inside of what is copied tags are content; but its own end must be found.
            Event::Open(_, name, false, _) if self.open.len() < 2 * DEPTH => self.open.push((name, None)),
            Event::Close(range, name) => self.close(range, name),
            Event::Other(range) if self.opaque.is_none() => {
                self.point(range);
            }
            Event::Open(..) | Event::Other(_) => {}
        }
    }

    /// Adds a tag or a comment, which may turn out to be the start of a span; gives its place among the elements.
    fn point(&mut self, range: &Range<usize>) -> usize {
        let parent = self.open.last().and_then(|(_, element)| *element);
        let element = Element::point(self.marks.len(), self.text.len(), parent);
        let ends_in_word = self.html[range.clone()].ends_with(char::is_alphanumeric);
        self.elements.push(Element { ends_in_word, ..element });
        self.marks.push(Mark { open: range.clone(), close: range.end..range.end });
        self.elements.len() - 1
    }

    fn close(&mut self, range: &Range<usize>, name: &str) {
        let Some(place) = self.open.iter().rposition(|(other, _)| *other == name) else {
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
            (span.kind, span.range.end) = (Kind::Span, self.text.len());
            self.marks[span.mark].close = range.clone();
        }
    }

    /// Ends what is copied at its end tag, or behind the text where it has none.
    fn close_opaque(&mut self, element: usize, close: Range<usize>) {
        let opaque = &mut self.elements[element];
        let mark = &mut self.marks[opaque.mark];
        opaque.kind = Kind::Opaque { empty: mark.open.end == close.start };
        opaque.range.end = self.text.len();
        mark.close = close;
        opaque.ends_in_word = self.html[mark.whole()].ends_with(char::is_alphanumeric);
    }
}
