//! WordprocessingML, the XML of Word's text: paragraphs of runs, each with its own formatting.
//!
//! A paragraph's running text is translated as one. The formatting of most of it is that of the translation; runs with
//! another, and what holds runs (links, insertions), are its inline markup. Everything else (pictures, tabs, notes,
//! fields, bookmarks) is copied byte for byte, once, at its place.

mod paragraph;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::documents::document::Segment;
use crate::documents::markup::{Piece, escape};
use crate::documents::xml_events::{Kind, closing, events};
use paragraph::{Mark, Paragraph};

/// A member of the archive with text.
pub struct Story {
    xml: String,
    /// What is in front of the names of its elements: `w:`.
    prefix: String,
    chunks: Vec<Chunk>,
}

enum Chunk {
    /// Bytes that stay.
    Keep(Range<usize>),
    /// The next segment.
    Paragraph(Paragraph),
}

impl Story {
    /// Finds the paragraphs of a member, and adds their text to `segments`.
    ///
    /// # Errors
    /// What is wrong with its XML, and at which byte.
    pub fn read(xml: String, segments: &mut Vec<Segment>) -> Result<Self, String> {
        let events = events(&xml)?;
        let root = events.iter().find_map(|event| match &event.kind {
            Kind::Open(name) | Kind::Empty(name) => Some(name),
            Kind::Close | Kind::Text(_) | Kind::Other => None,
        });
        let root = root.ok_or("there is no element")?;
        let prefix = root.rsplit_once(':').map_or(String::new(), |(prefix, _)| format!("{prefix}:"));
        let name = format!("{prefix}p");
        let mut chunks = Vec::new();
        let mut kept = 0;
        let mut i = 0;
        while i < events.len() {
            if !matches!(&events[i].kind, Kind::Open(open) if *open == name) {
                i += 1;
                continue;
            }
            let last = closing(&events, i);
            if let Some((paragraph, segment)) = paragraph::read(&xml, &prefix, &events[i..=last]) {
                chunks.push(Chunk::Keep(kept..paragraph.range.start));
                kept = paragraph.range.end;
                chunks.push(Chunk::Paragraph(paragraph));
                segments.push(segment);
            }
            i = last + 1;
        }
        chunks.push(Chunk::Keep(kept..xml.len()));
        Ok(Self { xml, prefix, chunks })
    }

    /// The XML with its translated paragraphs.
    pub fn write(&self, translated: &[Option<Vec<Piece>>]) -> String {
        let mut xml = String::with_capacity(self.xml.len());
        let mut translated = translated.iter();
        for chunk in &self.chunks {
            match chunk {
                Chunk::Keep(range) => xml.push_str(&self.xml[range.clone()]),
                Chunk::Paragraph(paragraph) => match translated.next() {
                    Some(Some(pieces)) => self.paragraph(paragraph, pieces, &mut xml),
                    _ => xml.push_str(&self.xml[paragraph.range.clone()]),
                },
            }
        }
        xml
    }

    /// Writes a translated paragraph, its text as runs.
    fn paragraph(&self, paragraph: &Paragraph, pieces: &[Piece], xml: &mut String) {
        let raw = |range: &Range<usize>| &self.xml[range.clone()];
        xml.push_str(raw(&paragraph.head));
        // The properties of the text, the innermost last.
        let mut properties = vec![&paragraph.base];
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    let text: String = escape(text).chars().filter(|c| !c.is_control()).collect();
                    let prefix = &self.prefix;
                    let text = format!("<{prefix}t xml:space=\"preserve\">{text}</{prefix}t>");
                    self.run(properties.last().map_or("", |range| raw(range)), &text, xml);
                }
                Piece::Open(mark) => match &paragraph.marks[*mark] {
                    Mark::Run(inner) => properties.push(inner),
                    Mark::Around(open, _) => xml.push_str(raw(open)),
                    Mark::Between(_) | Mark::InRun(..) => {}
                },
                Piece::Close(mark) => match &paragraph.marks[*mark] {
                    Mark::Run(_) => {
                        properties.pop();
                    }
                    Mark::Around(_, close) => xml.push_str(raw(close)),
                    Mark::Between(_) | Mark::InRun(..) => {}
                },
                Piece::Point(mark) => match &paragraph.marks[*mark] {
                    Mark::Between(range) => xml.push_str(raw(range)),
                    Mark::InRun(properties, range) => self.run(raw(properties), raw(range), xml),
                    Mark::Run(_) | Mark::Around(..) => {}
                },
            }
        }
        xml.push_str(&format!("</{}p>", self.prefix));
    }

    /// Writes a run.
    fn run(&self, properties: &str, content: &str, xml: &mut String) {
        let prefix = &self.prefix;
        xml.push_str(&format!("<{prefix}r>{properties}{content}</{prefix}r>"));
    }
}
