//! What every format gives: segments to translate, and a skeleton to write their translations into.

use std::ops::Range;

use crate::error::Result;
use crate::markup::{Element, Piece};

/// A text or a file that was read.
pub trait Document: Send + Sync {
    /// What is to be translated, in order.
    fn segments(&self) -> &[Segment];

    /// The whole with its translated segments, of which there are as many as [`Document::segments`]. A segment without
    /// a translation has none: it stays byte for byte as it was read.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`] for a result that is too large for the format.
    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>>;
}

/// Text that belongs together: a line, a subtitle, a paragraph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    /// The text without markup.
    pub text: String,
    /// Its markup; `None` for plain text, whose white space stays as it is.
    pub elements: Option<Vec<Element>>,
    /// Where it is written in another way than text usually is in its document, in order.
    pub spellings: Vec<Spelling>,
}

/// How a format writes text: with what it reserves escaped, and `true` where a line begins.
pub type Escape = fn(&str, bool) -> String;

/// How a piece of a segment's text is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// In bytes of the text.
    pub range: Range<usize>,
    /// In bytes of the document.
    pub raw: Range<usize>,
}

impl Segment {
    /// A line of plain text, whose sentences keep the space between them.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Running text with its markup.
    pub fn marked(text: String, elements: Vec<Element>, spellings: Vec<Spelling>) -> Self {
        Self { text, elements: Some(elements), spellings }
    }

    /// What to write for it in a format without markup.
    pub fn text_of(&self, translated: Option<&[Piece]>) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Same(range) => self.text[range.clone()].to_string(),
            Piece::Open(_) | Piece::Close(_) | Piece::Point(_) => String::new(),
        };
        translated.map_or_else(|| self.text.clone(), |pieces| pieces.iter().map(text).collect())
    }

    /// A piece of its text as it is written in `source`, its document, which writes other text by `escape`; `begins` if
    /// it comes to stand where a line begins.
    pub fn written(&self, source: &str, range: &Range<usize>, escape: Escape, begins: bool) -> String {
        // What begins a line stays as it is there.
        let begins = begins && !self.begins_line(source, range.start);
        let mut written = String::new();
        let mut at = range.start;
        let first = self.spellings.partition_point(|spelling| spelling.range.start < range.start);
        for Spelling { range: of, raw } in &self.spellings[first..] {
            let raw = &source[raw.clone()];
            if of.end > range.end {
                break;
            }
            // What follows decides whether these are text; it may be something else now.
            if (raw == "<" || raw == "&") && of.end == range.end {
                continue;
            }
            written.push_str(&escape(&self.text[at..of.start], begins && written.is_empty()));
            written.push_str(raw);
            at = of.end;
        }
        let begins = begins && written.is_empty();
        written + &escape(&self.text[at..range.end], begins)
    }

    /// Whether a line of `source`, its document, begins at a byte of its text, or the text does.
    fn begins_line(&self, source: &str, at: usize) -> bool {
        let ended = self.spellings.partition_point(|spelling| spelling.range.end < at);
        let before = self.spellings[ended..].iter().take_while(|spelling| spelling.range.end == at);
        at == 0 || before.into_iter().any(|spelling| source[spelling.raw.clone()].contains('\n'))
    }
}
