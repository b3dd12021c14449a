//! Paragraphs of runs, each run with its own formatting: Word's documents (WordprocessingML) and the text of slides
//! (DrawingML).
//!
//! A paragraph's running text is translated as one; line breaks and tabs cut it. The formatting of most of it is that
//! of the translation; runs with another, and what holds runs (links, insertions), are its inline markup. Everything
//! else (pictures, notes, fields, bookmarks) is copied byte for byte, once, at its place.

mod paragraph;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::document::Segment;
use crate::error::{Error, Result};
use crate::events::{Event, Kind};
use crate::limits::Count;
use crate::markup::{Piece, escape};
use crate::placement::Tree;
use crate::xml::Events;
use paragraph::{Mark, Paragraph};

/// Events of a paragraph; one with more is kept as it is.
const MOST_EVENTS: usize = 50_000;

/// The prefix of a member's elements: `w:`.
pub fn root_prefix(xml: &str) -> String {
    let root = Events::new(xml).map_while(std::result::Result::ok).find_map(|event| match event.kind {
        Kind::Open(name) | Kind::Empty(name) => Some(name),
        Kind::Close(_) | Kind::Text | Kind::Other => None,
    });
    root.and_then(|name| name.rsplit_once(':').map(|(prefix, _)| format!("{prefix}:"))).unwrap_or_default()
}

/// A member of the archive with paragraphs.
pub struct Story {
    xml: String,
    /// What is in front of the names of a paragraph's elements: `w:`.
    prefix: String,
    chunks: Vec<Chunk>,
}

enum Chunk {
    /// Bytes that stay.
    Keep(Range<usize>),
    /// As many segments as it has sections.
    Paragraph(Paragraph),
}

impl Story {
    /// Finds the paragraphs of a member whose elements have this prefix, and adds their text to `segments`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is wrong with its XML, and at which byte; [`Error::TooLarge`].
    pub fn read(xml: String, prefix: &str, count: &mut Count, segments: &mut Vec<Segment>) -> Result<Self> {
        let name = format!("{prefix}p");
        let mut chunks = Vec::new();
        let mut kept = 0;
        // The paragraph that is being read, and how many are open inside of each other.
        let (mut events, mut depth): (Vec<Event>, usize) = (Vec::new(), 0);
        let mut any = false;
        for event in Events::new(&xml) {
            let event = event.map_err(Error::Invalid)?;
            match &event.kind {
                Kind::Open(open) if *open == name => depth += 1,
                Kind::Close(close) if *close == name => depth = depth.saturating_sub(1),
                // Custom entities are used for attacks (entity expansion); no office program writes them.
                Kind::Other if xml[event.range.clone()].starts_with("<!DOCTYPE") => {
                    return Err(Error::invalid("a document type, which is not taken"));
                }
                Kind::Other if xml[event.range.clone()].starts_with('&') => {
                    return Err(Error::invalid(format!("an entity that is not known at byte {}", event.range.start)));
                }
                _ if depth == 0 => {
                    any |= !matches!(event.kind, Kind::Text | Kind::Other);
                    continue;
                }
                _ => {}
            }
            any = true;
            if events.len() <= MOST_EVENTS {
                events.push(event);
            }
            if depth > 0 {
                continue;
            }
            let read = if events.len() > MOST_EVENTS { None } else { paragraph::read(&xml, prefix, &events) };
            events.clear();
            let Some((paragraph, sections)) = read else { continue };
            sections.iter().try_for_each(|segment| count.add(&segment.text))?;
            if paragraph.range.start > kept {
                chunks.push(Chunk::Keep(kept..paragraph.range.start));
            }
            kept = paragraph.range.end;
            chunks.push(Chunk::Paragraph(paragraph));
            segments.extend(sections);
        }
        if !any {
            return Err(Error::invalid("there is no element"));
        }
        chunks.push(Chunk::Keep(kept..xml.len()));
        Ok(Self { prefix: prefix.to_string(), chunks, xml })
    }

    /// The XML with its translated paragraphs.
    pub fn write(&self, segments: &[Segment], translated: &[Option<Vec<Piece>>]) -> String {
        let mut xml = String::with_capacity(self.xml.len());
        let mut at = 0;
        for chunk in &self.chunks {
            match chunk {
                Chunk::Keep(range) => xml.push_str(&self.xml[range.clone()]),
                Chunk::Paragraph(paragraph) => {
                    let sections = at..at + paragraph.sections.len();
                    at = sections.end;
                    let translated = translated.get(sections.clone()).unwrap_or(&[]);
                    match segments.get(sections) {
                        Some(segments) if translated.iter().any(Option::is_some) => {
                            self.paragraph(paragraph, segments, translated, &mut xml);
                        }
                        _ => xml.push_str(&self.xml[paragraph.range.clone()]),
                    }
                }
            }
        }
        xml
    }

    /// Writes a translated paragraph, its text as runs.
    fn paragraph(
        &self,
        paragraph: &Paragraph,
        segments: &[Segment],
        translated: &[Option<Vec<Piece>>],
        xml: &mut String,
    ) {
        xml.push_str(&self.xml[paragraph.head.clone()]);
        for ((section, segment), translated) in paragraph.sections.iter().zip(segments).zip(translated) {
            // A section that stays is written as the others are.
            let same = || Tree::new(&segment.text, segment.elements.as_deref().unwrap_or(&[])).place(&[], &[], 0);
            let pieces = translated.clone().unwrap_or_else(same);
            self.pieces(&section.base, &section.marks, segment, &pieces, xml);
            if let Some(end) = &section.end {
                self.point(end, xml);
            }
        }
        xml.push_str(&self.xml[paragraph.tail.clone()]);
    }

    fn pieces(&self, base: &Range<usize>, marks: &[Mark], segment: &Segment, pieces: &[Piece], xml: &mut String) {
        let raw = |range: &Range<usize>| &self.xml[range.clone()];
        // The properties of the text, the innermost last.
        let mut properties = vec![base];
        // Text that has not been written: the pieces between two tags are one run.
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(said) => text.extend(escape(said, false).chars().filter(|c| !c.is_control())),
                Piece::Same(range) => text.push_str(&segment.written(&self.xml, range, escape, false)),
                Piece::Open(_) | Piece::Close(_) | Piece::Point(_) => {
                    self.text(raw(properties.last().unwrap_or(&base)), &mut text, xml);
                }
            }
            match piece {
                Piece::Open(mark) => match &marks[*mark] {
                    Mark::Run(inner) => properties.push(inner),
                    Mark::Around(open, _) => xml.push_str(raw(open)),
                    Mark::Between(_) | Mark::InRun(..) => {}
                },
                Piece::Close(mark) => match &marks[*mark] {
                    Mark::Run(_) => {
                        properties.pop();
                    }
                    Mark::Around(_, close) => xml.push_str(raw(close)),
                    Mark::Between(_) | Mark::InRun(..) => {}
                },
                Piece::Point(mark) => self.point(&marks[*mark], xml),
                Piece::Text(_) | Piece::Same(_) => {}
            }
        }
        self.text(raw(properties.last().unwrap_or(&base)), &mut text, xml);
    }

    /// Writes what stands by itself.
    fn point(&self, mark: &Mark, xml: &mut String) {
        match mark {
            Mark::Between(range) => xml.push_str(&self.xml[range.clone()]),
            Mark::InRun(properties, range) => {
                self.run(&self.xml[properties.clone()], &self.xml[range.clone()], xml);
            }
            Mark::Run(_) | Mark::Around(..) => {}
        }
    }

    /// Writes text as a run, and empties it.
    fn text(&self, properties: &str, text: &mut String, xml: &mut String) {
        if text.is_empty() {
            return;
        }
        let prefix = &self.prefix;
        // DrawingML keeps all space as it is.
        let space = if prefix == "a:" { "" } else { " xml:space=\"preserve\"" };
        self.run(properties, &format!("<{prefix}t{space}>{text}</{prefix}t>"), xml);
        text.clear();
    }

    /// Writes a run.
    fn run(&self, properties: &str, content: &str, xml: &mut String) {
        let prefix = &self.prefix;
        xml.push_str(&format!("<{prefix}r>{properties}{content}</{prefix}r>"));
    }
}
