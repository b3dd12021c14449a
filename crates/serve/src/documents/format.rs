//! The formats of files, by the extensions of their names. A new format is one more line in [`ALL`].

use crate::documents::document::{Document, Segment};
use crate::documents::docx::DocxDocument;
use crate::documents::html::HtmlDocument;
use crate::documents::po::PoDocument;
use crate::documents::srt::SrtDocument;
use crate::documents::text::TextDocument;
use crate::error::{Answer, ApiError};

/// A format.
#[derive(Debug)]
pub struct Format {
    /// Lower case, with the dot; the first is the usual one.
    extensions: &'static [&'static str],
    /// The media type that a translated file is sent with. Text is plain text whatever it says, so that no browser runs
    /// it.
    media_type: &'static str,
    reader: Reader,
}

/// How a document is read.
#[derive(Debug)]
enum Reader {
    /// Text in UTF-8.
    Text(fn(String) -> Answer<Box<dyn Document>>),
    /// An archive.
    Packed(fn(Vec<u8>) -> Answer<Box<dyn Document>>),
}

const PLAIN: &str = "text/plain; charset=utf-8";
const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// Plain text.
pub static TEXT: Format = Format {
    extensions: &[".txt"],
    media_type: PLAIN,
    reader: Reader::Text(|text| Ok(Box::new(TextDocument::read(&text)))),
};
/// HTML, a page or a piece of one.
pub static HTML: Format = Format {
    extensions: &[".html", ".htm"],
    media_type: PLAIN,
    reader: Reader::Text(|text| Ok(Box::new(HtmlDocument::read(text)))),
};
/// SubRip subtitles.
pub static SRT: Format = Format {
    extensions: &[".srt"],
    media_type: PLAIN,
    reader: Reader::Text(|text| Ok(Box::new(SrtDocument::read(&text)?))),
};
/// A GNU gettext catalog.
pub static PO: Format = Format {
    extensions: &[".po"],
    media_type: PLAIN,
    reader: Reader::Text(|text| Ok(Box::new(PoDocument::read(&text)?))),
};
/// A Word document.
pub static DOCX: Format = Format {
    extensions: &[".docx"],
    media_type: WORD,
    reader: Reader::Packed(|bytes| Ok(Box::new(DocxDocument::read(bytes)?))),
};

/// All of them, in the order in which clients are told of them.
static ALL: [&Format; 5] = [&TEXT, &HTML, &SRT, &PO, &DOCX];

/// The extensions of files that can be translated.
pub fn extensions() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|format| format.extensions).copied()
}

/// The media type to send a translated file with.
pub fn download_type(name: &str) -> &'static str {
    Format::of_file(name).map_or(PLAIN, |format| format.media_type)
}

impl Format {
    /// The format of a file's name.
    pub fn of_file(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        ALL.into_iter().find(|format| format.extensions.iter().any(|extension| name.ends_with(extension)))
    }

    /// Opens the content of a file of this format.
    ///
    /// # Errors
    /// 400 for text that is not UTF-8, with the line, or for an archive that cannot be read; 413 for an archive with
    /// too much in it.
    pub fn open(&'static self, content: Vec<u8>) -> Answer<File> {
        let read = match self.reader {
            Reader::Text(read) => read,
            Reader::Packed(read) => return read(content).map(File::Packed),
        };
        let text = String::from_utf8(content).map_err(|e| {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            ApiError::invalid(format!("line {line} of the file is not UTF-8"))
        })?;
        Ok(File::Text(text, read))
    }
}

/// A file that was opened. Text is not parsed before it is known to be short enough.
pub enum File {
    /// Text, and what parses it.
    Text(String, fn(String) -> Answer<Box<dyn Document>>),
    /// What was in an archive.
    Packed(Box<dyn Document>),
}

impl File {
    /// Opens a file by its name.
    ///
    /// # Errors
    /// 400 for one of another format; as [`Format::open`].
    pub fn open(name: &str, content: Vec<u8>) -> Answer<Self> {
        let format = Format::of_file(name).ok_or_else(|| {
            let known: Vec<&str> = extensions().collect();
            ApiError::invalid(format!("Invalid request: file format not supported; there are {}", known.join(", ")))
        })?;
        format.open(content)
    }

    /// What it says: text with its markup, archives without, a segment a line.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text, _) => text.clone(),
            Self::Packed(document) => {
                document.segments().iter().flat_map(|Segment { text, .. }| [text.as_str(), "\n"]).collect()
            }
        }
    }

    /// Parses it.
    ///
    /// # Errors
    /// 400 for text that does not follow its format, with the line.
    pub fn read(self) -> Answer<Box<dyn Document>> {
        match self {
            Self::Text(text, read) => read(text),
            Self::Packed(document) => Ok(document),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_extension() {
        let of = |name: &str| Format::of_file(name).map(|format| format.extensions[0]);
        assert_eq!((of("a/b.SRT"), of("b.docx"), of("b.htm")), (Some(".srt"), Some(".docx"), Some(".html")));
        assert_eq!((of("po"), of("a.exe"), of("")), (None, None, None));
        assert_eq!(extensions().collect::<Vec<_>>(), [".txt", ".html", ".htm", ".srt", ".po", ".docx"]);
        assert_eq!((download_type("a.docx"), download_type("a.html"), download_type("a")), (WORD, PLAIN, PLAIN));
        assert!(File::open("a.exe", vec![]).is_err() && File::open("a.DOCX", vec![]).is_err());
        let error = File::open("a.txt", b"a\nb\xff".to_vec()).err().unwrap();
        assert!(error.message.contains("line 2"), "{}", error.message);
    }
}
