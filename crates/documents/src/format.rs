//! The formats of files, by the extensions of their names. A new format is one more line in [`ALL`].

use crate::archive::most_unpacked;
use crate::cues::CueDocument;
use crate::document::Document;
use crate::encoding::{Encoded, decode};
use crate::error::{Error, Result};
use crate::json::JsonDocument;
use crate::limits::Limits;
use crate::options::Options;
use crate::packed;
use crate::po::PoDocument;
use crate::text::TextDocument;
use crate::xliff::XliffDocument;
use crate::{html, markdown, xml};

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

type ReadText = fn(&str, &Options) -> Result<Box<dyn Document>>;
type ReadBytes = fn(Vec<u8>, &Options) -> Result<Box<dyn Document>>;

/// How a document is read.
#[derive(Debug)]
enum Reader {
    /// Text.
    Text(ReadText),
    /// Text in which references stand for characters.
    Markup(ReadText),
    /// An archive.
    Packed(ReadBytes),
}

const PLAIN: &str = "text/plain; charset=utf-8";

macro_rules! text {
    ($kind:ident, $extensions:expr, |$text:ident, $options:pat_param| $read:expr) => {
        Format {
            extensions: &$extensions,
            media_type: PLAIN,
            reader: Reader::$kind(|$text, $options| Ok(Box::new($read))),
        }
    };
}

macro_rules! packed {
    ($extensions:expr, $media_type:expr, $kind:expr) => {
        Format {
            extensions: &$extensions,
            media_type: $media_type,
            reader: Reader::Packed(|bytes, options| Ok(Box::new(packed::read(bytes, $kind, options)?))),
        }
    };
}

/// Plain text.
pub static TEXT: Format = text!(Text, [".txt"], |text, o| TextDocument::read(text, &o.limits)?);
/// Plain text whose lines are no sentences: line ends are space.
pub static FLOWING: Format = text!(Text, [], |text, o| crate::text::flowing(text, &o.limits)?);
/// HTML, a page or a piece of one.
pub static HTML: Format = text!(Markup, [".html", ".htm", ".xhtml"], |text, o| html::read(text, o)?);
/// XML, a document or a piece of one.
pub static XML: Format = text!(Markup, [".xml"], |text, o| xml::read(text, o)?);
static SRT: Format = text!(Text, [".srt"], |text, o| CueDocument::srt(text, &o.limits)?);
static VTT: Format = text!(Text, [".vtt"], |text, o| CueDocument::vtt(text, &o.limits)?);
static PO: Format = text!(Text, [".po", ".pot"], |text, o| PoDocument::read(text, o)?);
static JSON: Format = text!(Text, [".json"], |text, o| JsonDocument::read(text, &o.limits)?);
static MARKDOWN: Format = text!(Text, [".md", ".markdown"], |text, o| markdown::read(text, &o.limits)?);
static XLIFF: Format = text!(Markup, [".xliff", ".xlf"], |text, o| XliffDocument::read(text, o)?);
static DOCX: Format =
    packed!([".docx"], "application/vnd.openxmlformats-officedocument.wordprocessingml.document", packed::Kind::Word);
static PPTX: Format = packed!(
    [".pptx"],
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    packed::Kind::Slides
);
static ODT: Format = packed!([".odt"], "application/vnd.oasis.opendocument.text", packed::Kind::OpenDocument);
static ODP: Format = packed!([".odp"], "application/vnd.oasis.opendocument.presentation", packed::Kind::OpenDocument);
static EPUB: Format = packed!([".epub"], "application/epub+zip", packed::Kind::Book);

/// All of them, in the order in which clients are told of them.
static ALL: [&Format; 14] =
    [&TEXT, &HTML, &SRT, &PO, &DOCX, &PPTX, &ODT, &ODP, &EPUB, &XML, &XLIFF, &VTT, &MARKDOWN, &JSON];

/// The extensions of files that can be translated.
pub fn extensions() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|format| format.extensions).copied()
}

/// The media type to send a translated file with.
pub fn download_type(name: &str) -> &'static str {
    Format::of_file(name).map_or(PLAIN, |format| format.media_type)
}

/// Bytes of memory that a file may take at most while it is translated, whatever is in it.
pub fn memory(name: &str, content: &[u8], limits: &Limits) -> usize {
    match Format::of_file(name) {
        Some(Format { reader: Reader::Packed(_), .. }) => {
            // Twice as it is packed, and its markup before and after; its text is counted by itself.
            2 * content.len() + 4 * most_unpacked(content.len()).min(limits.unpacked)
        }
        // Text with its segments and their translations.
        _ => content.len().saturating_mul(8),
    }
}

/// Reads a file, whose name says its format.
///
/// # Errors
/// [`Error::Invalid`] for another format, or a file that does not follow its own; [`Error::TooLarge`] for more than the
/// limits allow.
pub fn open(name: &str, content: Vec<u8>, options: &Options) -> Result<Box<dyn Document>> {
    let format = Format::of_file(name).ok_or_else(|| {
        if name.to_ascii_lowercase().ends_with(".pdf") {
            let text = "PDF files are not taken, because they hold the shapes of letters and not text; \
                        send the document that it was made from, such as .docx or .html";
            return Error::invalid(format!("Invalid request: file format not supported; {text}"));
        }
        let known: Vec<&str> = extensions().collect();
        Error::invalid(format!("Invalid request: file format not supported; there are {}", known.join(", ")))
    })?;
    format.read(content, options)
}

impl Format {
    /// The format of a file's name.
    pub fn of_file(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        ALL.into_iter().find(|format| format.extensions.iter().any(|extension| name.ends_with(extension)))
    }

    /// Reads a text of this format, whatever encoding it says it is in.
    ///
    /// # Errors
    /// As [`open`].
    pub fn read_text(&self, text: &str, options: &Options) -> Result<Box<dyn Document>> {
        match self.reader {
            Reader::Text(read) | Reader::Markup(read) => read(text, options),
            Reader::Packed(_) => Err(Error::invalid("this format is no text")),
        }
    }

    /// Reads the content of a file of this format.
    ///
    /// # Errors
    /// As [`open`].
    pub fn read(&self, content: Vec<u8>, options: &Options) -> Result<Box<dyn Document>> {
        let (read, references) = match self.reader {
            Reader::Text(read) => (read, false),
            Reader::Markup(read) => (read, true),
            Reader::Packed(read) => return read(content, options),
        };
        if content.len() > options.limits.unpacked {
            let most = options.limits.unpacked;
            return Err(Error::too_large(format!("a file of {} bytes; at most {most} are taken", content.len())));
        }
        let (text, written) = decode(&content, options.encoding)?;
        drop(content);
        Ok(Box::new(Encoded { document: read(&text, options)?, written, references }))
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
        assert!(extensions().take(5).eq([".txt", ".html", ".htm", ".xhtml", ".srt"]));
        assert!(download_type("a.docx").contains("wordprocessingml"));
        assert_eq!((download_type("a.html"), download_type("a")), (PLAIN, PLAIN));
        let fault =
            |name: &str, content: &[u8]| open(name, content.to_vec(), &Options::default()).err().unwrap().to_string();
        assert!(fault("a.exe", b"").contains(".txt, .html"));
        assert!(fault("a.pdf", b"").contains("PDF"));
        assert!(fault("a.DOCX", b"").contains("archive"));
        assert!(fault("a.txt", b"a\nb\xff").contains("line 2"));
    }
}
