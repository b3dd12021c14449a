//! SubRip subtitles: numbers and times stay, the lines of a subtitle are translated as one text.

use strata_translate::Part;

use crate::document::{Cut, Document, TextDocument, chosen};
use crate::error::{Answer, ApiError};

/// Subtitles.
#[derive(Debug)]
pub struct SrtDocument {
    /// For each subtitle what stands in front of its text, the text, and how many lines it had.
    subtitles: Vec<(String, TextDocument, usize)>,
    /// What is behind the last one.
    rest: String,
    parts: Vec<String>,
}

impl SrtDocument {
    /// Reads subtitles.
    ///
    /// # Errors
    /// 400 for text without a single line of times.
    pub fn new(text: &str, cut: Cut<'_>) -> Answer<Self> {
        let mut document = Self { subtitles: Vec::new(), rest: String::new(), parts: Vec::new() };
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
            let inner = TextDocument::new(&spoken.join(" "), cut);
            document.parts.extend_from_slice(inner.parts());
            document.subtitles.push((std::mem::take(&mut before), inner, spoken.len()));
            before.push_str(end);
        }
        document.rest = before;
        if document.subtitles.is_empty() && !text.trim().is_empty() {
            return Err(ApiError::invalid("the file has no line of times such as `00:00:01,000 --> 00:00:02,500`"));
        }
        Ok(document)
    }
}

/// `00:00:01,000 --> 00:00:02,500`, perhaps with a place behind it.
fn is_times(line: &str) -> bool {
    let time = |text: &str| {
        let text = text.split_whitespace().next().unwrap_or("");
        text.matches(':').count() == 2 && text.chars().all(|c| c.is_ascii_digit() || ":,.".contains(c))
    };
    line.split_once("-->").is_some_and(|(from, to)| time(from) && time(to))
}

/// Breaks text into at most `lines` lines of like length, between words.
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
    fn parts(&self) -> &[String] {
        &self.parts
    }

    fn render(&self, translations: &[Part], choice: usize) -> String {
        let mut text = String::new();
        let mut first = 0;
        for (before, inner, lines) in &self.subtitles {
            text.push_str(before);
            let spoken = inner.put_together(|i| translations.get(first + i).map_or("", |part| chosen(part, choice)));
            text.push_str(&broken(&spoken, *lines));
            first += inner.parts().len();
        }
        text + &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{cut_at_stops, part};

    #[test]
    fn times_stay_and_lines_are_joined_and_broken_again() {
        let text = "1\n00:00:01,000 --> 00:00:02,500\nThe old dog\nsees a cat. Yes.\n\n2\n00:00:03,000 --> 00:00:04,000 X1:1\nNo.\n";
        let document = SrtDocument::new(text, &cut_at_stops).unwrap();
        assert_eq!(document.parts(), ["The old dog sees a cat.", "Yes.", "No."]);
        let found = document.render(&[part("Der alte Hund sieht eine Katze."), part("Ja."), part("Nein.")], 0);
        let wanted = "1\n00:00:01,000 --> 00:00:02,500\nDer alte Hund sieht\neine Katze. Ja.\n\n2\n00:00:03,000 --> 00:00:04,000 X1:1\nNein.\n";
        assert_eq!(found, wanted);
    }

    #[test]
    fn other_files_are_refused_and_odd_ones_kept() {
        assert!(SrtDocument::new("just text\n", &cut_at_stops).unwrap_err().message.contains("-->"));
        for text in ["", "1\n00:00:01,000 --> 00:00:02,500\n\n2\n00:00:01,000 --> 00:00:02,500", "\n\n"] {
            let document = SrtDocument::new(text, &cut_at_stops).unwrap();
            assert_eq!(document.render(&[], 0), text);
        }
    }
}
