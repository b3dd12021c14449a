//! Text as it is written against text as it reads: entities and white space.

use std::ops::Range;

use crate::document::Spelling;

/// What the formats' escapes write in another way, so that text that is copied keeps its own.
const SIGNS: &str = "<>&*_`[]\\|~";

/// Text that is being read, with the places where it is written in another way than [`crate::markup::escape`] writes
/// it.
#[derive(Debug, Default)]
pub struct Read {
    /// As it reads; every run of white space is one space.
    pub text: String,
    /// How pieces of it are written.
    pub spellings: Vec<Spelling>,
    /// Whether space beside space is said again.
    pub keeps_space: bool,
}

impl Read {
    /// Adds text that is written at `range` of the source. Gives the white space at its start that is not said again,
    /// because there is some already.
    pub fn add(
        &mut self,
        source: &str,
        range: &Range<usize>,
        resolve: &dyn Fn(&str) -> Option<String>,
    ) -> Range<usize> {
        let mut dropped = range.start..range.start;
        let mut at = range.start;
        while at < range.end {
            let rest = &source[at..range.end];
            let white = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
            if white > 0 {
                let end = self.text.len();
                if self.keeps_space || !self.text.ends_with(' ') {
                    self.spell(" ", at..at + white, source);
                } else if let Some(last) = self.spellings.last_mut().filter(|s| s.range.end == end && s.raw.end == at) {
                    last.raw.end += white;
                } else {
                    dropped = at..at + white;
                }
                at += white;
                continue;
            }
            let Some(c) = rest.chars().next() else { break };
            let length = match c {
                '&' => reference(rest),
                '\\' => rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end),
                _ => c.len_utf8(),
            };
            match if "&\\".contains(c) { resolve(&rest[..length]) } else { None } {
                Some(text) => {
                    // White space written as a reference is said as it is: `&#10;`.
                    self.spell(&text, at..at + length, source);
                    at += length;
                }
                None => {
                    self.spell(&rest[..c.len_utf8()], at..at + c.len_utf8(), source);
                    at += c.len_utf8();
                }
            }
        }
        dropped
    }

    /// Adds `text`, which is written as `raw` of the source.
    pub fn spell(&mut self, text: &str, raw: Range<usize>, source: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        if source[raw.clone()] != *text || text.len() == 1 && SIGNS.contains(text) {
            self.spellings.push(Spelling { range: start..self.text.len(), raw });
        }
    }
}

/// Bytes of the reference at the start of a text that begins with `&`; 1 where there is none.
fn reference(text: &str) -> usize {
    let inner = &text[1..];
    let name = inner.len() - inner.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '#').len();
    match name {
        0 => 1,
        _ if name > 40 => 1,
        _ => 1 + name + usize::from(inner[name..].starts_with(';')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::resolve;

    #[test]
    fn text_reads_as_one_line_and_remembers_how_it_was_written() {
        let source = " a\n\t b&amp;c &#65;&no; x<y  ";
        let mut read = Read::default();
        let dropped = read.add(source, &(0..source.len()), &resolve);
        assert_eq!((read.text.as_str(), dropped.len()), (" a b&c A&no; x<y ", 0));
        let spelled: Vec<(&str, &str)> =
            read.spellings.iter().map(|s| (&read.text[s.range.clone()], &source[s.raw.clone()])).collect();
        assert_eq!(spelled, [(" ", "\n\t "), ("&", "&amp;"), ("A", "&#65;"), ("&", "&"), ("<", "<"), (" ", "  ")]);
        assert_eq!(read.add("  b", &(0..3), &resolve), 0..2);
    }
}
