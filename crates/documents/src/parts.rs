//! A document split into the parts that a model translates, and put together from their translations.

use std::ops::Range;

use strata_translate::{Part, Translator, code, layout};

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::markup::{Piece, push_text};
use crate::placement::Tree;
use crate::translation::chosen;

/// Splits a text into the ranges of bytes to translate.
pub type Split<'a> = &'a dyn Fn(&str) -> Vec<Range<usize>>;

/// The sentences of a text that say something: what has no letters says the same in every language.
pub fn worded(translator: &Translator, text: &str) -> Vec<Range<usize>> {
    let says = |part: &Range<usize>| text[part.clone()].chars().any(char::is_alphabetic);
    translator.parts(text).into_iter().filter(says).collect()
}

/// A document in parts.
pub struct Parts {
    document: Box<dyn Document>,
    /// Of each of its segments.
    segments: Vec<Ranges>,
    texts: Vec<String>,
}

/// The parts of a segment.
struct Ranges {
    /// In bytes of its text.
    ranges: Vec<Range<usize>>,
    /// The place of the first among the document's parts.
    first: usize,
}

impl Parts {
    /// Splits every segment of a document.
    pub fn new(document: Box<dyn Document>, split: Split<'_>) -> Self {
        let mut texts = Vec::new();
        let add = |segment: &Segment| {
            let (ranges, first) = (ranges(segment, split), texts.len());
            texts.extend(ranges.iter().map(|range| segment.text[range.clone()].to_string()));
            Ranges { ranges, first }
        };
        let segments = document.segments().iter().map(add).collect();
        Self { document, segments, texts }
    }

    /// What is to be translated, in order.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Whether the translations' alignments are needed: there is markup to place.
    pub fn aligned(&self) -> bool {
        let is_placed = |segment: &Segment| {
            let elements = segment.elements.as_ref();
            elements.is_some_and(|e| !e.is_empty() || !segment.spellings.is_empty() || !code(&segment.text).is_empty())
        };
        self.document.segments().iter().any(is_placed)
    }

    /// The document with the translations of its parts: of each the `choice`-th, or the last if there are fewer.
    ///
    /// # Errors
    /// As [`Document::write`].
    pub fn render(&self, translations: &[Part], choice: usize) -> Result<Vec<u8>> {
        let segments = self.document.segments().iter().zip(&self.segments);
        let translated = segments.map(|(segment, Ranges { ranges, first })| {
            let last = translations.len();
            let translations = &translations[(*first).min(last)..(first + ranges.len()).min(last)];
            // What its translation says in the same words stays as it is written.
            let says_same =
                |(range, part): (&Range<usize>, &Part)| segment.text[range.clone()] == *chosen(part, choice);
            let is_same = translations.len() == ranges.len() && ranges.iter().zip(translations).all(says_same);
            (!is_same).then(|| match &segment.elements {
                None => plain(&segment.text, ranges, translations, choice),
                Some(elements) => Tree::new(&segment.text, elements).place(ranges, translations, choice),
            })
        });
        self.document.write(&translated.collect::<Vec<_>>())
    }

    /// As [`Parts::render`], of a format that is text.
    ///
    /// # Errors
    /// As [`Parts::render`].
    pub fn render_text(&self, translations: &[Part], choice: usize) -> Result<String> {
        let bytes = self.render(translations, choice)?;
        String::from_utf8(bytes).map_err(|_| Error::invalid("the translation is no text"))
    }
}

/// The parts of a segment.
fn ranges(segment: &Segment, split: Split<'_>) -> Vec<Range<usize>> {
    if segment.elements.is_some() {
        return split(&segment.text);
    }
    // In plain text tabs stand between things that do not belong together.
    let mut start = 0;
    let field = |field: &str| {
        let at = start;
        start += field.len() + 1;
        split(field).into_iter().map(|range| at + range.start..at + range.end).collect::<Vec<_>>()
    };
    segment.text.split('\t').flat_map(field).collect()
}

/// Plain text with its parts replaced: the space around them stays.
fn plain(text: &str, ranges: &[Range<usize>], translations: &[Part], choice: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let said = |i: usize| translations.get(i).map_or("", |part| chosen(part, choice));
    push_text(&mut pieces, &layout::replaced(text, ranges, said));
    pieces
}
