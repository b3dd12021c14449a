//! Text with its lay-out: what is translated, and what stays around it.

use strata_translate::{Part, Translator};

use crate::docx::Package;
use crate::error::{Answer, ApiError};
use crate::html::HtmlDocument;
use crate::po::PoDocument;
use crate::srt::SrtDocument;

/// Something to translate, cut into parts.
pub trait Document: Send + Sync {
    /// The parts to translate, in order.
    fn parts(&self) -> &[String];

    /// Whether the translations' alignments are needed.
    fn aligned(&self) -> bool {
        false
    }

    /// Puts it together from the translations of its parts: of each the `choice`-th, or the last if there are fewer.
    fn render(&self, translations: &[Part], choice: usize) -> String;

    /// The same as a file, with the best of each.
    ///
    /// # Errors
    /// 413 for one that is too large for its format.
    fn render_file(&self, translations: &[Part]) -> Answer<Vec<u8>> {
        Ok(self.render(translations, 0).into_bytes())
    }
}

/// A file that was opened, but not cut.
pub enum File {
    /// Text of any format.
    Text(String, Format),
    /// A Word document.
    Docx(Box<Package>),
}

impl File {
    /// Opens a file by its name.
    ///
    /// # Errors
    /// 400 for one of another format, or with text that is not UTF-8, with the line; 413 for one with too much in it.
    pub fn open(name: &str, content: Vec<u8>) -> Answer<Self> {
        if name.to_ascii_lowercase().ends_with(".docx") {
            return Package::read(content).map(|package| Self::Docx(Box::new(package)));
        }
        let format = Format::of_file(name).ok_or_else(|| {
            let known = Self::EXTENSIONS.join(", ");
            ApiError::invalid(format!("Invalid request: file format not supported; there are {known}"))
        })?;
        let text = String::from_utf8(content).map_err(|e| {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            ApiError::invalid(format!("line {line} of the file is not UTF-8"))
        })?;
        Ok(Self::Text(text, format))
    }

    /// The extensions of files that can be translated.
    pub const EXTENSIONS: [&str; 6] = [".txt", ".html", ".htm", ".srt", ".po", ".docx"];

    /// What it says, with whatever markup its format has; a Word document's is without.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text, _) => text.clone(),
            Self::Docx(package) => package.text(),
        }
    }

    /// Cuts it into parts for a model.
    ///
    /// # Errors
    /// As [`Format::read`].
    pub fn cut(self, translator: &Translator) -> Answer<Box<dyn Document>> {
        match self {
            Self::Text(text, format) => format.read(&text, translator),
            Self::Docx(package) => Ok(Box::new(package.cut(&|line| worded(translator, line)))),
        }
    }
}

/// The parts of a line that say something: what has no letters says the same in every language.
fn worded(translator: &Translator, line: &str) -> Vec<std::ops::Range<usize>> {
    let says = |part: &std::ops::Range<usize>| line[part.clone()].chars().any(char::is_alphabetic);
    translator.parts(line).into_iter().filter(says).collect()
}

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// HTML, a page or a piece of one.
    Html,
    /// SubRip subtitles.
    Srt,
    /// A GNU gettext catalogue.
    Po,
}

impl Format {
    /// The format of a file's name.
    pub fn of_file(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "html" | "htm" => Some(Self::Html),
            "srt" => Some(Self::Srt),
            "po" => Some(Self::Po),
            _ => None,
        }
    }

    /// Cuts text of this format into parts for a model.
    ///
    /// # Errors
    /// 400 for text that is not of this format, with the line.
    pub fn read(self, text: &str, translator: &Translator) -> Answer<Box<dyn Document>> {
        let cut = |line: &str| worded(translator, line);
        Ok(match self {
            Self::Text => Box::new(TextDocument::new(text, &cut)),
            Self::Html => Box::new(HtmlDocument::new(text, &cut)),
            Self::Srt => Box::new(SrtDocument::new(text, &cut)?),
            Self::Po => Box::new(PoDocument::new(text, &cut)?),
        })
    }
}

/// Gives the parts of a line as ranges of bytes.
pub type Cut<'a> = &'a dyn Fn(&str) -> Vec<std::ops::Range<usize>>;

/// The text of a translation.
pub fn chosen(part: &Part, choice: usize) -> &str {
    let last = part.candidates.len().saturating_sub(1);
    part.candidates.get(choice.min(last)).map_or("", |candidate| &candidate.text)
}

/// Plain text: lines and the space around sentences stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextDocument {
    pieces: Vec<Piece>,
    parts: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// Stays as it is: line ends, and space at the ends of lines.
    Keep(String),
    /// What is between two sentences of a line.
    Gap(String),
    /// The part of this number.
    Part(usize),
}

impl TextDocument {
    /// Cuts text into parts.
    pub fn new(text: &str, cut: Cut<'_>) -> Self {
        let mut document = Self::default();
        for line in text.split_inclusive('\n') {
            let mut at = 0;
            for range in cut(line) {
                let before = line[at..range.start].to_string();
                document.pieces.push(if at == 0 { Piece::Keep(before) } else { Piece::Gap(before) });
                document.pieces.push(Piece::Part(document.parts.len()));
                document.parts.push(line[range.clone()].to_string());
                at = range.end;
            }
            document.pieces.push(Piece::Keep(line[at..].to_string()));
        }
        document
    }

    /// As [`Document::render`], from the texts of the translations.
    pub fn put_together<'a>(&self, translation: impl Fn(usize) -> &'a str) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Keep(kept) => text.push_str(kept),
                Piece::Part(number) => text.push_str(translation(*number)),
                // Scripts without spaces have none between sentences, whatever the source's has.
                Piece::Gap(_) if text.ends_with(['。', '！', '？']) => {}
                Piece::Gap(gap) if gap.is_empty() => text.push(' '),
                Piece::Gap(gap) => text.push_str(gap),
            }
        }
        text
    }
}

impl Document for TextDocument {
    fn parts(&self) -> &[String] {
        &self.parts
    }

    fn render(&self, translations: &[Part], choice: usize) -> String {
        self.put_together(|number| translations.get(number).map_or("", |part| chosen(part, choice)))
    }
}

/// Cuts lines at full stops; for tests, which have no model.
#[cfg(test)]
pub fn cut_at_stops(line: &str) -> Vec<std::ops::Range<usize>> {
    let mut at = 0;
    let mut ranges = Vec::new();
    for unit in line.split_inclusive(['.', '。']) {
        let start = at + unit.len() - unit.trim_start().len();
        let end = at + unit.trim_end().len();
        if start < end {
            ranges.push(start..end);
        }
        at += unit.len();
    }
    ranges
}

/// A translation with one candidate; for tests.
#[cfg(test)]
pub fn part(text: &str) -> Part {
    let candidate = strata_translate::Candidate { text: text.to_string(), ..Default::default() };
    Part { candidates: vec![candidate], ..Part::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_space_stay() {
        let text = "  One. Two.\n\n\tThree\r\n";
        let document = TextDocument::new(text, &cut_at_stops);
        assert_eq!(document.parts(), ["One.", "Two.", "Three"]);
        let same: Vec<Part> = document.parts().iter().map(|text| part(text)).collect();
        assert_eq!(document.render(&same, 0), text);
        assert_eq!(document.render(&same, 3), text, "without a fourth candidate the last one stands");
        let wide = [part("一。"), part("二。"), part("三")];
        assert_eq!(document.render(&wide, 0), "  一。二。\n\n\t三\r\n");
        let spaced = TextDocument::new("一。二。", &cut_at_stops);
        assert_eq!(spaced.render(&[part("One."), part("Two.")], 0), "One. Two.");
    }

    #[test]
    fn files_are_known_by_their_extension() {
        assert_eq!(Format::of_file("a/b.SRT"), Some(Format::Srt));
        assert_eq!((Format::of_file("b.docx"), Format::of_file("po")), (None, None));
        let known = File::EXTENSIONS.iter().filter(|extension| Format::of_file(&format!("a{extension}")).is_some());
        assert_eq!(known.count(), File::EXTENSIONS.len() - 1);
        assert!(File::open("a.exe", vec![]).is_err() && File::open("a.DOCX", vec![]).is_err());
        let error = File::open("a.txt", b"a\nb\xff".to_vec()).err().unwrap();
        assert!(error.message.contains("line 2"), "{}", error.message);
    }
}
