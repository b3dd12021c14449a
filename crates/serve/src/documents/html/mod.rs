//! HTML, a page or a piece of one: what stands between block elements is running text, with the inline markup inside of
//! it.
//!
//! Every tag, comment and attribute of the input is copied byte for byte and occurs exactly once; translated text is
//! escaped. So nothing that a browser would run can come in by a translation.

mod events;
mod inline;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::documents::document::{Document, Segment};
use crate::documents::markup::{Piece, escape};
use crate::error::Answer;
use events::{Event, closing, events, is_block};
use inline::Mark;

/// Events in one piece of running text; a piece with more is kept as it is.
const MOST_EVENTS: usize = 400;

/// A page that was read.
pub struct HtmlDocument {
    html: String,
    chunks: Vec<Chunk>,
    segments: Vec<Segment>,
    marks: Vec<Mark>,
}

enum Chunk {
    /// Bytes of the page that stay.
    Keep(Range<usize>),
    /// Running text, which is the next segment, and its bytes of the page.
    Running(Range<usize>),
}

impl HtmlDocument {
    /// Splits a page into running text and the rest.
    pub fn read(html: String) -> Self {
        let events = events(&html);
        let mut document = Self { html, chunks: Vec::new(), segments: Vec::new(), marks: Vec::new() };
        let mut start = 0;
        let mut i = 0;
        while i < events.len() {
            let event = &events[i];
            let (ends, opaque) = match event {
                Event::Open(_, name, _, opaque) => (is_block(name), is_block(name) && *opaque),
                Event::Close(_, name) => (is_block(name), false),
                Event::Text(..) | Event::Other(_) => (false, false),
            };
            if !ends {
                i += 1;
                continue;
            }
            document.run(&events[start..i]);
            let last = if opaque { closing(&events, i) } else { i };
            document.chunks.push(Chunk::Keep(event.range().start..events[last].range().end));
            i = last + 1;
            start = i;
        }
        document.run(&events[start..]);
        document
    }

    /// Adds running text.
    fn run(&mut self, events: &[Event]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let range = first.range().start..last.range().end;
        if events.len() > MOST_EVENTS {
            self.chunks.push(Chunk::Keep(range));
            return;
        }
        self.segments.push(inline::segment(&self.html, events, &mut self.marks));
        self.chunks.push(Chunk::Running(range));
    }

    /// Writes a translated segment.
    fn pieces(&self, pieces: &[Piece], html: &mut String) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => html.push_str(&escape(text)),
                Piece::Open(mark) => html.push_str(&self.html[self.marks[*mark].open.clone()]),
                Piece::Close(mark) => html.push_str(&self.html[self.marks[*mark].close.clone()]),
                Piece::Point(mark) => html.push_str(&self.html[self.marks[*mark].whole()]),
            }
        }
    }
}

impl Document for HtmlDocument {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Answer<Vec<u8>> {
        let mut html = String::with_capacity(self.html.len());
        let mut translated = translated.iter();
        for chunk in &self.chunks {
            match chunk {
                Chunk::Keep(range) => html.push_str(&self.html[range.clone()]),
                Chunk::Running(range) => match translated.next() {
                    Some(Some(pieces)) => self.pieces(pieces, &mut html),
                    _ => html.push_str(&self.html[range.clone()]),
                },
            }
        }
        Ok(html.into_bytes())
    }
}
