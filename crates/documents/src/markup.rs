//! Inline markup, whatever the format: what a segment holds besides text, and what a format gets back to write.

use std::ops::Range;

/// Inline markup of a segment: a tag with its partner, a single tag, code.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// The document's own number for it, which comes back in [`Piece`]s.
    pub mark: usize,
    /// How it goes into a translation.
    pub kind: Kind,
    /// What it holds, in bytes of the segment's text.
    pub range: Range<usize>,
    /// The place of the element around it among the segment's elements.
    pub parent: Option<usize>,
    /// Whether what is written for it ends in a letter or a digit, as an unclosed comment may: a placeholder behind it
    /// needs a space. Only points and opaque elements do.
    pub ends_in_word: bool,
    /// The mark of what must stand in front of it: the start of a range whose end this is (`pairs`).
    pub behind: Option<usize>,
}

/// How an element goes into a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Stands between words: an image, a comment, a tag without its partner.
    Point,
    /// Goes around the translation of the words that it held.
    Span,
    /// Is copied with its content, in place of the translation of that content: code.
    Opaque {
        /// Whether there is no content.
        empty: bool,
    },
    /// A piece of the text that is copied: `{name}`, `%s`. Documents need not look for them: `placement` does.
    Placeholder,
}

impl Element {
    /// A point at `at` in the text.
    pub fn point(mark: usize, at: usize, parent: Option<usize>) -> Self {
        Self { mark, kind: Kind::Point, range: at..at, parent, ends_in_word: false, behind: None }
    }

    /// Whether it holds a piece of the text.
    pub fn is_whole(&self) -> bool {
        self.kind != Kind::Point
    }
}

/// A piece of a translated segment. Numbers are [`Element::mark`]s; each mark occurs exactly once, properly nested.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text, not escaped. Never empty, and never next to another text.
    Text(String),
    /// A range of the segment's text, to be written as it was. Never empty, and never next to the range before it.
    Same(Range<usize>),
    /// A span begins.
    Open(usize),
    /// A span ends.
    Close(usize),
    /// A point, or an opaque element with its content.
    Point(usize),
}

/// Adds text to the last piece, or as a new one.
pub fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_string())),
    }
}

/// Adds a range of the segment's text.
pub fn push_same(pieces: &mut Vec<Piece>, range: Range<usize>) {
    match pieces.last_mut() {
        _ if range.is_empty() => {}
        Some(Piece::Same(last)) if last.end == range.start => last.end = range.end,
        _ => pieces.push(Piece::Same(range)),
    }
}

/// Text with the characters that XML and HTML reserve written as entities.
pub fn escape(text: &str, _begins: bool) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
