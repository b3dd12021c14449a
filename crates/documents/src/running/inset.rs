//! Notes, frames and pictures in the middle of running text: each is a mark in its sentence, and what it holds is read
//! as blocks of its own.

use std::ops::Range;

use crate::error::Result;
use crate::events::{Event, Kind};
use crate::running::{Chunk, Reader};

/// Insets inside of each other; deeper ones are blocks.
const DEPTH: usize = 16;

/// A note or a frame that was read, or bytes that are written anew.
pub struct Inset {
    /// Its bytes of the source, tags included.
    pub range: Range<usize>,
    /// What it is made of.
    pub chunks: Vec<Chunk>,
}

/// A note or a frame that is being read, with what is around it.
pub struct Open<'a> {
    start: usize,
    name: String,
    /// How many of its name are open.
    depth: usize,
    /// The running text around it, so far.
    events: Vec<Event<'a>>,
    /// What is before that.
    chunks: Vec<Chunk>,
}

/// The first of the outermost insets in a range; they are sorted by their starts.
pub fn first(insets: &[Inset], range: Range<usize>) -> Option<&Inset> {
    let at = insets.partition_point(|inset| inset.range.start < range.start);
    insets.get(at).filter(|inset| inset.range.end <= range.end)
}

impl<'a> Reader<'a> {
    /// Takes a tag of a note or a frame. One that no running text stands before is a block: it parts nothing.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn inset(&mut self, event: Event<'a>) -> Result<()> {
        let says = |event: &Event| event.kind == Kind::Text && !self.source[event.range.clone()].trim().is_empty();
        let in_text = self.events.iter().any(says);
        match &event.kind {
            Kind::Empty(_) if in_text => return self.running(event),
            Kind::Open(name) if in_text && self.open.len() < DEPTH => {
                let (events, chunks) = (std::mem::take(&mut self.events), std::mem::take(&mut self.chunks));
                let (start, name) = (event.range.start, name.to_string());
                self.open.push(Open { start, name, depth: 1, events, chunks });
            }
            Kind::Open(name) => {
                if let Some(open) = self.open.last_mut().filter(|open| open.name == **name) {
                    open.depth += 1;
                }
            }
            Kind::Close(name) => {
                if let Some(open) = self.open.last_mut().filter(|open| open.name == **name) {
                    open.depth -= 1;
                    if open.depth == 0 {
                        return self.close(event);
                    }
                }
            }
            _ => {}
        }
        self.flush()?;
        self.keep(event.range);
        Ok(())
    }

    /// Ends the innermost inset, which goes into the running text around it as a mark.
    fn close(&mut self, event: Event<'a>) -> Result<()> {
        self.flush()?;
        self.keep(event.range.clone());
        let Some(Open { start, events, chunks, .. }) = self.open.pop() else { return Ok(()) };
        let range = start..event.range.end;
        let inner = std::mem::replace(&mut self.chunks, chunks);
        // What has nothing to translate is bytes.
        if inner.iter().any(|chunk| matches!(chunk, Chunk::Segment(..))) {
            self.insets.push(Inset { range: range.clone(), chunks: inner });
        }
        self.events = events;
        let Kind::Close(name) = event.kind else { return Ok(()) };
        self.running(Event { range, kind: Kind::Empty(name) })
    }

    /// Takes the insets that were not closed as blocks.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn end_insets(&mut self) -> Result<()> {
        while let Some(Open { events, chunks, .. }) = self.open.pop() {
            let inner = std::mem::replace(&mut self.chunks, chunks);
            self.events = events;
            self.flush()?;
            self.chunks.extend(inner);
        }
        Ok(())
    }
}
