//! What every format gives: segments to translate, and a skeleton to write their translations into.

use crate::documents::markup::{Element, Piece};
use crate::error::Answer;

/// A text or a file that was read.
pub trait Document: Send + Sync {
    /// What is to be translated, in order.
    fn segments(&self) -> &[Segment];

    /// The whole with its translated segments, of which there are as many as [`Document::segments`]. A segment without
    /// words has none: it stays byte for byte as it was read.
    ///
    /// # Errors
    /// 413 for a result that is too large for the format.
    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Answer<Vec<u8>>;
}

/// Text that belongs together: a line, a subtitle, a paragraph.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The text without markup.
    pub text: String,
    /// Its markup; `None` for plain text, whose white space stays as it is.
    pub elements: Option<Vec<Element>>,
}

impl Segment {
    /// A line of plain text, whose sentences keep the space between them.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), elements: None }
    }

    /// Running text with its markup. Every run of white space in `text` must be one space.
    pub fn marked(text: String, elements: Vec<Element>) -> Self {
        Self { text, elements: Some(elements) }
    }

    /// What to write for it in a format without markup.
    pub fn text_of(&self, translated: Option<&[Piece]>) -> String {
        let text = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { String::new() };
        translated.map_or_else(|| self.text.clone(), |pieces| pieces.iter().map(text).collect())
    }
}

/// Adds text with every run of ASCII white space as one space, as running text has it.
pub fn push_collapsed(text: &mut String, added: &str) {
    for c in added.chars() {
        let space = c.is_ascii_whitespace();
        if !space {
            text.push(c);
        } else if !text.ends_with(' ') {
            text.push(' ');
        }
    }
}
