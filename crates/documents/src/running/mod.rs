//! Markup with running text in it, whatever the format: HTML, XML, OpenDocument.
//!
//! Blocks end running text ([`rules`]). What is between two of them is cut where elements stand side by side that have
//! nothing to do with each other (`groups`): each is a segment of its own, and the tags around it stay where they are.
//! What is left is running text with inline markup (`segment`), which is placed in the translation.
//!
//! Every tag, comment and attribute of the input is copied byte for byte and occurs exactly once; translated text is
//! escaped. So nothing that a browser would run can come in by a translation.

mod groups;
pub mod rules;
mod segment;
pub mod text;

use std::ops::Range;

use crate::document::{Document, Segment};
use crate::error::Result;
use crate::events::{Event, Kind, is_kept};
use crate::limits::{Count, Limits};
use crate::markup::Piece;
use rules::{Role, Rules, role_of};
pub use segment::{Mark, read as read_segment};

/// Events of running text that are looked at together; more are cut.
const MOST_EVENTS: usize = 1000;

/// A document of markup and running text.
pub struct Running {
    /// All but its segments.
    pub skeleton: Skeleton,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// A document without its segments.
pub struct Skeleton {
    source: String,
    chunks: Vec<Chunk>,
    marks: Vec<Mark>,
    escape: fn(&str) -> String,
}

enum Chunk {
    /// Bytes of the source that stay.
    Keep(Range<usize>),
    /// Running text, which is the next segment, and its bytes of the source.
    Segment(Range<usize>),
}

impl Skeleton {
    /// The document with its translated segments.
    pub fn write(&self, segments: &[Segment], translated: &[Option<Vec<Piece>>]) -> String {
        let mut out = String::with_capacity(self.source.len());
        let mut segments = segments.iter().zip(translated);
        for chunk in &self.chunks {
            match chunk {
                Chunk::Keep(range) => out.push_str(&self.source[range.clone()]),
                Chunk::Segment(range) => match segments.next() {
                    Some((segment, Some(pieces))) => self.pieces(segment, pieces, &mut out),
                    _ => out.push_str(&self.source[range.clone()]),
                },
            }
        }
        out
    }

    /// A document of nothing but pieces, which its caller writes.
    pub fn of_pieces(source: &str, marks: Vec<Mark>) -> Self {
        Self { source: source.to_string(), chunks: Vec::new(), marks, escape: crate::markup::escape }
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a translated segment.
    pub fn pieces(&self, segment: &Segment, pieces: &[Piece], out: &mut String) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(&(self.escape)(text)),
                Piece::Same(range) => out.push_str(&segment.written(&self.source, range, self.escape)),
                Piece::Open(mark) => out.push_str(&self.source[self.marks[*mark].open.clone()]),
                Piece::Close(mark) => out.push_str(&self.source[self.marks[*mark].close.clone()]),
                Piece::Point(mark) => out.push_str(&self.source[self.marks[*mark].whole()]),
            }
        }
    }
}

impl Document for Running {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        Ok(self.skeleton.write(&self.segments, translated).into_bytes())
    }
}

/// Reads markup event by event.
pub struct Reader<'a> {
    source: &'a str,
    rules: &'a dyn Rules,
    /// Running text that has not ended.
    events: Vec<Event<'a>>,
    /// A block whose content is copied: its start, its name, and how many of its name are open.
    kept: Option<(usize, String, usize)>,
    chunks: Vec<Chunk>,
    segments: Vec<Segment>,
    marks: Vec<Mark>,
    count: Count<'a>,
}

impl<'a> Reader<'a> {
    /// Reads `source` by the rules of its format.
    pub fn new(source: &'a str, rules: &'a dyn Rules, limits: &'a Limits) -> Self {
        let (events, chunks, segments, marks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { source, rules, events, kept: None, chunks, segments, marks, count: Count::new(limits) }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn take(&mut self, event: Event<'a>) -> Result<()> {
        if let Some((start, name, depth)) = &mut self.kept {
            match &event.kind {
                Kind::Open(other) if other == name => *depth += 1,
                Kind::Close(other) if other == name => *depth -= 1,
                _ => {}
            }
            if *depth == 0 {
                let range = *start..event.range.end;
                self.kept = None;
                self.keep(range);
            }
            return Ok(());
        }
        match role_of(self.rules, self.source, &event) {
            Some(role @ (Role::Block | Role::KeptBlock)) => {
                self.flush()?;
                let kept = role == Role::KeptBlock || is_kept(&self.source[event.range.clone()]);
                match event.kind {
                    Kind::Open(name) if kept => self.kept = Some((event.range.start, name.into_owned(), 1)),
                    _ => self.keep(event.range),
                }
                Ok(())
            }
            _ => {
                self.events.push(event);
                if self.events.len() > MOST_EVENTS { self.flush() } else { Ok(()) }
            }
        }
    }

    /// The segments so far.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn end(mut self) -> Result<Running> {
        self.flush()?;
        if let Some((start, ..)) = self.kept {
            self.keep(start..self.source.len());
        }
        let Self { source, rules, chunks, segments, marks, .. } = self;
        let skeleton = Skeleton { source: source.to_string(), chunks, marks, escape: rules.escape() };
        Ok(Running { skeleton, segments })
    }

    /// Keeps bytes that follow what was taken.
    pub fn keep(&mut self, range: Range<usize>) {
        match self.chunks.last_mut() {
            Some(Chunk::Keep(last)) if last.end == range.start => last.end = range.end,
            _ => self.chunks.push(Chunk::Keep(range)),
        }
    }

    /// Ends the running text that was taken.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn flush(&mut self) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let end = last.range.end;
        let mut at = first.range.start;
        let nodes = groups::Nodes::new(self.source, self.rules, &events);
        for group in nodes.groups() {
            let range = events[group.start].range.start..events[group.end - 1].range.end;
            if range.start > at {
                self.keep(at..range.start);
            }
            at = range.end;
            let segment = segment::read(self.source, self.rules, &events[group.clone()], &mut self.marks);
            self.count.add(&segment.text)?;
            self.count.marks(self.marks.len())?;
            self.chunks.push(Chunk::Segment(range));
            self.segments.push(segment);
        }
        if end > at {
            self.keep(at..end);
        }
        Ok(())
    }
}
