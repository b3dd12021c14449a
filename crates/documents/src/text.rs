//! Plain text: every line is translated by itself; line ends and the space around sentences stay.

use crate::document::{Document, Escape, Segment};
use crate::error::Result;
use crate::events::{Event, Kind};
use crate::limits::{Count, Limits};
use crate::markup::Piece;
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Reader, Running};

/// Plain text that was read.
pub struct TextDocument {
    lines: Vec<Segment>,
}

impl TextDocument {
    /// Takes a text line by line.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn read(text: &str, limits: &Limits) -> Result<Self> {
        let mut count = Count::new(limits);
        let mut counted = Vec::new();
        for line in lines(text) {
            count.add(&line.text)?;
            counted.push(line);
        }
        Ok(Self { lines: counted })
    }
}

/// The lines of a text, each with its line end.
pub fn lines(text: &str) -> impl Iterator<Item = Segment> {
    text.split_inclusive('\n').map(Segment::plain)
}

/// Text has no tags.
struct FlowingRules;

impl Rules for FlowingRules {
    fn role(&self, _name: &str, _tag: &str) -> Role {
        Role::Inline(Inline::Form)
    }

    fn resolve(&self, _reference: &str) -> Option<String> {
        None
    }

    fn escape(&self) -> Escape {
        |text, _| text.to_string()
    }
}

/// Takes a text as one piece of running text, whose line ends are space.
///
/// # Errors
/// [`crate::Error::TooLarge`].
pub fn flowing(text: &str, limits: &Limits) -> Result<Running> {
    let mut reader = Reader::new(text, &FlowingRules, limits);
    if !text.is_empty() {
        reader.take(Event { range: 0..text.len(), kind: Kind::Text })?;
    }
    reader.end()
}

impl Document for TextDocument {
    fn segments(&self) -> &[Segment] {
        &self.lines
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let lines = self.lines.iter().zip(translated);
        Ok(lines.map(|(line, translated)| line.text_of(translated.as_deref())).collect::<String>().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use strata_translate::Part;

    use super::*;
    use crate::Parts;
    use crate::testing::{copied, part, shouted, split_at_stops};

    fn parts(text: &str) -> Parts {
        Parts::new(Box::new(TextDocument::read(text, &Limits::default()).unwrap()), &split_at_stops)
    }

    #[test]
    fn lines_and_space_stay() {
        let text = "  One. Two.\n\n\tThree\r\n";
        let read = parts(text);
        assert_eq!(read.texts(), ["One.", "Two.", "Three"]);
        assert!(!read.aligned());
        let same: Vec<Part> = read.texts().iter().map(|text| part(text)).collect();
        let render = |parts: &Parts, translations: &[Part], choice| parts.render_text(translations, choice).unwrap();
        assert_eq!(render(&read, &same, 0), text);
        assert_eq!(render(&read, &same, 3), text, "without a fourth candidate the last one stands");
        let wide = [part("一。"), part("二。"), part("三")];
        assert_eq!(render(&read, &wide, 0), "  一。二。\n\n\t三\r\n");
        assert_eq!(render(&parts("一。二。"), &[part("One."), part("Two.")], 0), "One. Two.");
        assert_eq!(parts("Name:\tOpen the file.\t2").texts(), ["Name:", "Open the file.", "2"], "tabs part");
    }

    #[test]
    fn flowing_text_is_one_piece_and_keeps_its_lines() {
        let text = "One two\n  three. Four & <five>\r\n\nsix";
        let document = || flowing(text, &Limits::default()).unwrap();
        assert_eq!(Parts::new(Box::new(document()), &split_at_stops).texts(), ["One two three.", "Four & <five> six"]);
        let loud = text.to_uppercase().replace("<FIVE>", "<five>");
        assert_eq!((copied(document()), shouted(document())), (text.to_string(), loud), "a placeholder stays");
    }

    #[test]
    fn too_much_is_refused() {
        let limits = Limits { characters: 5, segments: 2, ..Limits::default() };
        assert!(TextDocument::read("abc\nd", &limits).is_ok());
        assert!(TextDocument::read("abc\nde", &limits).is_err() && TextDocument::read("a\nb\nc", &limits).is_err());
    }
}
