//! Plain text: every line is translated by itself; line ends and the space around sentences stay.

use crate::documents::document::{Document, Segment};
use crate::documents::markup::Piece;
use crate::error::Answer;

/// Plain text that was read.
pub struct TextDocument {
    lines: Vec<Segment>,
}

impl TextDocument {
    /// Takes a text line by line.
    pub fn read(text: &str) -> Self {
        Self { lines: lines(text).collect() }
    }
}

/// The lines of a text, each with its line end.
pub fn lines(text: &str) -> impl Iterator<Item = Segment> {
    text.split_inclusive('\n').map(Segment::plain)
}

impl Document for TextDocument {
    fn segments(&self) -> &[Segment] {
        &self.lines
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Answer<Vec<u8>> {
        let lines = self.lines.iter().zip(translated);
        Ok(lines.map(|(line, translated)| line.text_of(translated.as_deref())).collect::<String>().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use strata_translate::Part;

    use super::*;
    use crate::documents::Parts;
    use crate::documents::testing::{part, split_at_stops};

    #[test]
    fn lines_and_space_stay() {
        let text = "  One. Two.\n\n\tThree\r\n";
        let parts = Parts::new(Box::new(TextDocument::read(text)), &split_at_stops);
        assert_eq!(parts.texts(), ["One.", "Two.", "Three"]);
        assert!(!parts.aligned());
        let same: Vec<Part> = parts.texts().iter().map(|text| part(text)).collect();
        let render = |parts: &Parts, translations: &[Part], choice| parts.render_text(translations, choice).unwrap();
        assert_eq!(render(&parts, &same, 0), text);
        assert_eq!(render(&parts, &same, 3), text, "without a fourth candidate the last one stands");
        let wide = [part("一。"), part("二。"), part("三")];
        assert_eq!(render(&parts, &wide, 0), "  一。二。\n\n\t三\r\n");
        let spaced = Parts::new(Box::new(TextDocument::read("一。二。")), &split_at_stops);
        assert_eq!(render(&spaced, &[part("One."), part("Two.")], 0), "One. Two.");
    }
}
