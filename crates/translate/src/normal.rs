//! A text as terms are looked for in it, with the way back to the text as it is written.

use std::borrow::Cow;
use std::iter::once;
use std::ops::Range;

use unicode_normalization::char::{canonical_combining_class, decompose_canonical};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::invisible::is_invisible;

/// A text with composed letters, single plain spaces and nothing invisible, none of them at its ends.
#[derive(Debug)]
pub(crate) struct Normal<'a> {
    /// What it says.
    pub text: Cow<'a, str>,
    /// Where each piece begins in `text`, and where all of it is in the text as it is written. Nothing if both are one.
    pieces: Vec<(usize, Range<usize>)>,
}

impl<'a> Normal<'a> {
    /// The normal form of a text.
    pub fn new(text: &'a str) -> Self {
        if is_normal(text) {
            return Self { text: Cow::Borrowed(text), pieces: Vec::new() };
        }
        let mut made = Made::default();
        let mut run: Vec<(usize, char)> = Vec::new();
        let mut space: Option<Range<usize>> = None;
        for (at, c) in text.char_indices().filter(|(_, c)| !is_invisible(*c)) {
            let end = at + c.len_utf8();
            if c.is_whitespace() {
                made.take(&mut run);
                space = Some(space.map_or(at, |space| space.start)..end);
                continue;
            }
            if starts_anew(c) {
                made.take(&mut run);
            }
            if let Some(space) = space.take().filter(|_| !made.text.is_empty()) {
                made.push(' ', space);
            }
            run.push((at, c));
        }
        made.take(&mut run);
        Self { text: Cow::Owned(made.text), pieces: made.pieces }
    }

    /// Where a range of the normal text, which is not empty, is in the text as it is written.
    pub fn written(&self, range: &Range<usize>) -> Range<usize> {
        if self.pieces.is_empty() {
            return range.clone();
        }
        let piece = |at: usize| &self.pieces[self.pieces.partition_point(|(start, _)| *start <= at) - 1].1;
        piece(range.start).start..piece(range.end - 1).end
    }
}

/// A normal text while it is made.
#[derive(Default)]
struct Made {
    text: String,
    pieces: Vec<(usize, Range<usize>)>,
}

impl Made {
    fn push(&mut self, c: char, written: Range<usize>) {
        self.pieces.push((self.text.len(), written));
        self.text.push(c);
    }

    /// Takes characters that may become others together. Those that do are one piece.
    fn take(&mut self, run: &mut Vec<(usize, char)>) {
        let changed = !run.iter().map(|(_, c)| *c).nfc().eq(run.iter().map(|(_, c)| *c));
        if let Some(((first, _), (last, c))) = run.first().zip(run.last()).filter(|_| changed) {
            self.pieces.push((self.text.len(), *first..last + c.len_utf8()));
            self.text.extend(run.iter().map(|(_, c)| *c).nfc());
            run.clear();
        }
        run.drain(..).for_each(|(at, c)| self.push(c, at..at + c.len_utf8()));
    }
}

/// Whether a text is seen to be normal at once.
fn is_normal(text: &str) -> bool {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    plain && text.trim_ascii().len() == text.len() && !text.contains("  ")
}

/// Whether a character never becomes another together with those in front of it.
fn starts_anew(c: char) -> bool {
    let mut first = None;
    decompose_canonical(c, |part| {
        first.get_or_insert(part);
    });
    let first = first.unwrap_or(c);
    canonical_combining_class(first) == 0 && is_nfc_quick(once(first)) == IsNormalized::Yes
}

#[cfg(test)]
pub(crate) mod tests {
    use strata_simd::random::SplitMix64;

    use super::*;
    use crate::invisible::plain;

    /// The same without places.
    fn expected(text: &str) -> String {
        let spaced: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        plain(&spaced).split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Characters that are written in several ways, that nobody sees, and that become others together: marks on both
    /// sides of a letter, syllables of Hangul, marks that come apart, ideographs with another's code.
    const ODD: &str = "aeqeE. \u{a0}\u{3000}\n\u{ad}\u{200b}\u{301}\u{323}\u{307}é\u{1ee5}가\u{1100}\u{1161}\u{11a8}新\u{f900}\u{f73}\u{f71}\u{344}한Å\u{212b}";

    /// A text of up to `most` characters of `letters`.
    pub fn random_text(numbers: &mut SplitMix64, letters: &str, most: u64) -> String {
        let letters: Vec<char> = letters.chars().collect();
        (0..numbers.below(most + 1)).map(|_| letters[numbers.below(letters.len() as u64) as usize]).collect()
    }

    #[test]
    fn random_texts_become_what_they_become_without_places() {
        let mut numbers = SplitMix64::new(3);
        for _ in 0..20_000 {
            let text = random_text(&mut numbers, ODD, 12);
            let normal = Normal::new(&text);
            assert_eq!(normal.text, expected(&text), "{text:?}");
            // Every character is where the text says the same, and places keep their order.
            let mut end = 0;
            for (at, c) in normal.text.char_indices() {
                let written = normal.written(&(at..at + c.len_utf8()));
                assert!(expected(&text[written.clone()]).contains(c) || c == ' ', "{text:?}: {c:?} at {written:?}");
                assert!(end <= written.end && written.start < written.end, "{text:?}: {c:?} at {written:?}");
                end = written.end;
            }
        }
    }

    #[test]
    fn places_are_those_of_the_text_as_it_is_written() {
        for (text, part, written) in [
            ("Open the new\u{a0} file.", "new file", "new\u{a0} file"),
            (" a fi\u{ad}le\u{200b} ", "file", "fi\u{ad}le"),
            ("a cafe\u{301}!", "café", "cafe\u{301}"),
            ("q\u{307} and a  b", "q", "q"),
            ("新\u{f900}  开", "\u{8c48}", "\u{f900}"),
            ("plain text", "text", "text"),
        ] {
            let normal = Normal::new(text);
            let at = normal.text.find(part).unwrap();
            assert_eq!(&text[normal.written(&(at..at + part.len()))], written);
        }
    }
}
