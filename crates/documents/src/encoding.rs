//! Text in its encoding: UTF-8, what a byte order mark says, or what the text declares of itself.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use strata_corpus::text::unmarked;

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::events::attribute;
use crate::markup::Piece;

/// Bytes in which an encoding is declared: HTML's own rule.
const DECLARED_IN: usize = 1024;

/// How a text is written in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written {
    encoding: &'static Encoding,
    mark: bool,
    /// What it must do without, as the declared encoding does not have it.
    less: Option<Less>,
}

/// What a declared encoding lacks of the one that browsers read it as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Less {
    /// US-ASCII: all but ASCII.
    NotAscii,
    /// ISO 8859: what Windows has in place of control characters.
    Controls,
}

impl Less {
    /// What the encoding of a label lacks. Browsers read `iso-8859-1` and `us-ascii` as windows-1252, and HTML says so;
    /// other programs do not.
    fn of_label(label: &str, content: &[u8]) -> Option<Self> {
        let label = label.to_ascii_lowercase();
        if label.contains("ascii") || label.starts_with("ansi_x3.4") {
            return content.is_ascii().then_some(Self::NotAscii);
        }
        let names = ["iso8859", "iso_8859", "iso-8859", "latin", "l1", "l5", "tis-620"];
        // A text that has such bytes is in the encoding of Windows, whatever it says.
        let keeps = !content.iter().any(|byte| Self::Controls.lacks(*byte));
        (names.iter().any(|name| label.starts_with(name)) && keeps).then_some(Self::Controls)
    }

    fn lacks(self, byte: u8) -> bool {
        match self {
            Self::NotAscii => byte >= 0x80,
            Self::Controls => (0x80..0xa0).contains(&byte),
        }
    }
}

/// Decodes a text. A byte order mark says its encoding, else `said`, else the text itself, which may also be UTF-16
/// without a mark.
///
/// # Errors
/// [`Error::Invalid`] for text that is not in its encoding, with the line where it should be UTF-8.
pub fn decode(content: &[u8], said: Option<&'static Encoding>) -> Result<(String, Written)> {
    let ((encoding, less), mark) = match Encoding::for_bom(content) {
        Some((encoding, length)) => ((encoding, None), length),
        None => {
            let said = said.map(|encoding| (encoding, None)).or_else(|| declared(content));
            (said.unwrap_or_else(|| (unmarked(content).unwrap_or(UTF_8), None)), 0)
        }
    };
    let written = Written { encoding, mark: mark > 0, less };
    let content = &content[mark..];
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(content) {
        return Ok((text.into_owned(), written));
    }
    if encoding != UTF_8 {
        return Err(Error::invalid(format!(
            "the file is not in the encoding that it says it is in, {}",
            encoding.name()
        )));
    }
    let valid = std::str::from_utf8(content).map_or_else(|e| e.valid_up_to(), str::len);
    let line = content[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
    Err(Error::invalid(format!("line {line} of the file is not UTF-8; save it as UTF-8")))
}

/// What a text says of itself: `<?xml encoding="...">`, `<meta charset=...>`, `"Content-Type: ...; charset=..."`.
fn declared(content: &[u8]) -> Option<(&'static Encoding, Option<Less>)> {
    let start = &content[..content.len().min(DECLARED_IN)];
    let start: String = start.iter().map(|byte| char::from(*byte)).collect();
    let xml = start.starts_with("<?xml").then(|| start.find("?>")).flatten();
    let label = match xml {
        Some(end) => attribute(&start[..end], "encoding")?.to_string(),
        None if start.contains("msgid") || start.to_ascii_lowercase().contains("<meta") => {
            let lower = start.to_ascii_lowercase();
            let at = lower.find("charset=")? + "charset=".len();
            let rest = lower[at..].trim_start_matches(['"', '\'']);
            rest[..rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).unwrap_or(rest.len())]
                .to_string()
        }
        None => return None,
    };
    // What can be read as ASCII so far is not UTF-16, whatever it says.
    let encoding = Encoding::for_label(label.as_bytes()).filter(|encoding| ![UTF_16LE, UTF_16BE].contains(encoding))?;
    let is_html = xml.is_none() && !start.contains("msgid");
    let less = Less::of_label(&label, content).filter(|_| encoding.is_single_byte() && !is_html);
    Some((encoding, less))
}

impl Written {
    /// Text in this encoding.
    ///
    /// # Errors
    /// [`Error::Invalid`] for characters that it does not have, unless `references` can stand for them (`&#8364;`).
    fn encode(self, text: &str, references: bool) -> Result<Vec<u8>> {
        let Self { encoding, mark, less } = self;
        let mark: &[u8] = match () {
            () if !mark => &[],
            () if encoding == UTF_16LE => &[0xff, 0xfe],
            () if encoding == UTF_16BE => &[0xfe, 0xff],
            () => &[0xef, 0xbb, 0xbf],
        };
        let mut bytes = mark.to_vec();
        if encoding == UTF_16LE {
            bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        } else if encoding == UTF_16BE {
            bytes.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
        } else {
            let has = |c: char| less.is_none_or(|less| byte_of(encoding, c).is_none_or(|byte| !less.lacks(byte)));
            let reduced: Cow<str> = if text.chars().all(has) {
                text.into()
            } else {
                let reference = |c: char| if has(c) { c.to_string() } else { format!("&#{};", u32::from(c)) };
                text.chars().map(reference).collect::<String>().into()
            };
            let (encoded, _, replaced) = encoding.encode(&reduced);
            if (replaced || matches!(reduced, Cow::Owned(_))) && !references {
                return Err(Error::invalid(
                    "the translation has characters that the file's encoding lacks; save the file as UTF-8, and let it say so",
                ));
            }
            bytes.extend_from_slice(&encoded);
        }
        Ok(bytes)
    }
}

/// A character's byte in an encoding of single bytes.
fn byte_of(encoding: &'static Encoding, c: char) -> Option<u8> {
    let mut buffer = [0; 4];
    let (bytes, _, replaced) = encoding.encode(c.encode_utf8(&mut buffer));
    bytes.first().copied().filter(|_| !replaced)
}

/// A document of text in its encoding.
pub struct Encoded {
    /// The text.
    pub document: Box<dyn Document>,
    /// How it is written.
    pub written: Written,
    /// Whether references can stand for characters.
    pub references: bool,
}

impl Document for Encoded {
    fn segments(&self) -> &[Segment] {
        self.document.segments()
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let bytes = self.document.write(translated)?;
        if self.written == (Written { encoding: UTF_8, mark: false, less: None }) {
            return Ok(bytes);
        }
        let text = String::from_utf8(bytes).map_err(|_| Error::invalid("the translation is no text"))?;
        self.written.encode(&text, self.references)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_in_its_own_encoding() {
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain("für €".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>f\xfcr</a>".to_vec();
        let po = b"msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=ISO-8859-15\\n\"\n# f\xfcr\n".to_vec();
        let unmarked: Vec<u8> = "für Sie und mich".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in
            [utf16, unmarked, latin, po, b"\xef\xbb\xbfa".to_vec(), b"<meta charset='windows-1252'>\x80".to_vec()]
        {
            let (text, written) = decode(&content, None).unwrap();
            assert!(text.contains("für") || text.contains('€') || text == "a", "{text}");
            assert_eq!(written.encode(&text, false).unwrap(), content);
        }
        let (_, written) = decode(b"<meta charset='latin1'>", None).unwrap();
        assert!(written.encode("ж", false).is_err());
        assert_eq!(written.encode("ж", true).unwrap(), b"&#1078;");
        assert!(decode(b"a\nb\xff", None).unwrap_err().to_string().contains("line 2"));
        assert!(decode(b"\xff\xfea", None).is_err());
    }

    #[test]
    fn nothing_is_written_that_the_declared_encoding_lacks() {
        let xml = |label: &str| format!("<?xml version=\"1.0\" encoding=\"{label}\"?><a/>");
        let po = |label: &str| format!("msgid \"\"\nmsgstr \"Content-Type: text/plain; charset={label}\\n\"\n");
        let html = |label: &str| format!("<meta charset={label}>");
        let write = |content: String, text: &str, references| {
            decode(content.as_bytes(), None).unwrap().1.encode(text, references).map_err(|error| error.to_string())
        };
        assert_eq!(write(xml("US-ASCII"), "grün", true).unwrap(), b"gr&#252;n");
        assert_eq!(write(xml("ISO-8859-1"), "cœur grün", true).unwrap(), b"c&#339;ur gr\xfcn");
        assert_eq!(write(xml("windows-1252"), "cœur", true).unwrap(), b"c\x9cur");
        assert!(write(po("ASCII"), "grün", false).unwrap_err().contains("UTF-8"));
        assert!(write(po("ISO-8859-1"), "“", false).unwrap_err().contains("UTF-8"));
        assert_eq!(write(po("ISO-8859-1"), "grün", false).unwrap(), b"gr\xfcn");
        assert_eq!(write(html("ISO-8859-1"), "“", true).unwrap(), b"\x93");
        let written = decode(b"<?xml version=\"1.0\" encoding=\"latin1\"?>\x93a\x94", None).unwrap().1;
        assert_eq!(written.encode("“", true).unwrap(), b"\x93");
    }

    #[test]
    fn what_is_said_goes_before_what_is_declared_and_behind_a_mark() {
        let text = |content: &[u8], said| decode(content, Some(said)).unwrap().0;
        assert_eq!(text(b"f\xfcr \x80", encoding_rs::WINDOWS_1252), "für €");
        assert_eq!(text(b"<meta charset='utf-8'>\xe6", encoding_rs::KOI8_R), "<meta charset='utf-8'>Ф");
        assert_eq!(text("\u{feff}für".as_bytes(), encoding_rs::KOI8_R), "für");
        let content = b"a\0\n\0";
        let (text, written) = decode(content, Some(UTF_16LE)).unwrap();
        assert_eq!((text.as_str(), written.encode(&text, false).unwrap()), ("a\n", content.to_vec()));
    }
}
