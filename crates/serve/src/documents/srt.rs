//! SubRip subtitles: numbers and times stay; the lines of a subtitle are translated as one text.

use crate::documents::document::{Document, Segment};
use crate::documents::markup::Piece;
use crate::error::{Answer, ApiError};

/// Subtitles that were read.
#[derive(Debug)]
pub struct SrtDocument {
    /// For each subtitle what stands in front of its text, and how many lines the text had.
    subtitles: Vec<(String, usize)>,
    /// The text of each, as one line.
    spoken: Vec<Segment>,
    /// What is behind the last one.
    rest: String,
}

impl SrtDocument {
    /// Reads subtitles.
    ///
    /// # Errors
    /// 400 for text without a single line of times.
    pub fn read(text: &str) -> Answer<Self> {
        let mut document = Self { subtitles: Vec::new(), spoken: Vec::new(), rest: String::new() };
        let mut lines = text.split_inclusive('\n').peekable();
        let mut before = String::new();
        while let Some(line) = lines.next() {
            before.push_str(line);
            if !is_times(line) {
                continue;
            }
            let mut spoken: Vec<&str> = Vec::new();
            let mut end = "";
            while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
                let bare = line.trim_end_matches(['\r', '\n']);
                spoken.push(bare.trim());
                end = &line[bare.len()..];
            }
            document.spoken.push(Segment::plain(spoken.join(" ")));
            document.subtitles.push((std::mem::take(&mut before), spoken.len()));
            before.push_str(end);
        }
        document.rest = before;
        if document.subtitles.is_empty() && !text.trim().is_empty() {
            return Err(ApiError::invalid("the file has no line of times such as `00:00:01,000 --> 00:00:02,500`"));
        }
        Ok(document)
    }
}

/// `00:00:01,000 --> 00:00:02,500`, perhaps followed by coordinates.
fn is_times(line: &str) -> bool {
    let time = |text: &str| {
        let text = text.split_whitespace().next().unwrap_or("");
        text.matches(':').count() == 2 && text.chars().all(|c| c.is_ascii_digit() || ":,.".contains(c))
    };
    line.split_once("-->").is_some_and(|(from, to)| time(from) && time(to))
}

/// Breaks text between words into at most `lines` lines of similar length.
fn broken(text: &str, lines: usize) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let aim = text.chars().count().div_ceil(lines.max(1));
    let (mut broken, mut length, mut left) = (String::new(), 0, lines);
    for word in words {
        let next = word.chars().count();
        if length > 0 && left > 1 && length + next / 2 >= aim {
            broken.push('\n');
            (length, left) = (0, left - 1);
        } else if length > 0 {
            broken.push(' ');
        }
        broken.push_str(word);
        length += next + 1;
    }
    broken
}

impl Document for SrtDocument {
    fn segments(&self) -> &[Segment] {
        &self.spoken
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Answer<Vec<u8>> {
        let mut text = String::new();
        for ((before, lines), (spoken, translated)) in self.subtitles.iter().zip(self.spoken.iter().zip(translated)) {
            text.push_str(before);
            text.push_str(&broken(&spoken.text_of(translated.as_deref()), *lines));
        }
        Ok((text + &self.rest).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::testing::translated;

    #[test]
    fn times_stay_and_lines_are_joined_and_broken_again() {
        let text = "1\n00:00:01,000 --> 00:00:02,500\nThe old dog\nsees a cat. Yes.\n\n\
                    2\n00:00:03,000 --> 00:00:04,000 X1:1\nNo.\n";
        let document = SrtDocument::read(text).unwrap();
        let (parts, found) = translated(document, &["Der alte Hund sieht eine Katze.", "Ja.", "Nein."]);
        assert_eq!(parts, ["The old dog sees a cat.", "Yes.", "No."]);
        let wanted = "1\n00:00:01,000 --> 00:00:02,500\nDer alte Hund sieht\neine Katze. Ja.\n\n\
                      2\n00:00:03,000 --> 00:00:04,000 X1:1\nNein.\n";
        assert_eq!(found, wanted);
    }

    #[test]
    fn other_files_are_refused_and_odd_ones_kept() {
        assert!(SrtDocument::read("just text\n").unwrap_err().message.contains("-->"));
        for text in ["", "1\n00:00:01,000 --> 00:00:02,500\n\n2\n00:00:01,000 --> 00:00:02,500", "\n\n"] {
            assert_eq!(translated(SrtDocument::read(text).unwrap(), &[]).1, text);
        }
    }
}
