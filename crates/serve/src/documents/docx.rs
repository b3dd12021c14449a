//! Word documents: a zip archive whose text is in `word/document.xml`, headers, footers and notes. Everything else of
//! the archive is copied as it is compressed.
//!
//! Paragraphs are translated one by one (`wordml`).

use std::ops::Range;

use crate::documents::archive::Archive;
use crate::documents::document::{Document, Segment};
use crate::documents::markup::Piece;
use crate::documents::wordml::Story;
use crate::error::{Answer, ApiError};

/// Bytes of all the text's members together, unpacked.
const MOST_XML: usize = 8 << 20;

/// A Word document that was unpacked.
pub struct DocxDocument {
    archive: Archive,
    stories: Vec<Member>,
    /// The paragraphs of all stories.
    paragraphs: Vec<Segment>,
}

/// A member of the archive with text.
struct Member {
    /// Its number in the archive.
    number: usize,
    story: Story,
    /// Its paragraphs among the document's.
    paragraphs: Range<usize>,
}

impl DocxDocument {
    /// Unpacks a document's text.
    ///
    /// # Errors
    /// 400 for a file that is not a Word document, 413 for one with too much in it.
    pub fn read(bytes: Vec<u8>) -> Answer<Self> {
        let damaged = || ApiError::invalid("the file is no Word document (.docx), or it is damaged or encrypted");
        let archive = Archive::read(bytes).ok_or_else(damaged)?;
        let mut left = MOST_XML;
        let mut document = Self { archive, stories: Vec::new(), paragraphs: Vec::new() };
        let names = document.archive.names().filter(|(_, name)| has_text(name));
        let texts: Vec<(usize, String)> = names.map(|(number, name)| (number, name.to_string())).collect();
        for (number, name) in texts {
            let content = document.archive.content(number, left).ok_or_else(damaged)?;
            left = left.checked_sub(content.len()).ok_or_else(too_large)?;
            let xml = String::from_utf8(content).map_err(|_| ApiError::invalid(format!("{name} is not UTF-8")))?;
            let start = document.paragraphs.len();
            let story = Story::read(xml, &mut document.paragraphs);
            let story = story.map_err(|why| ApiError::invalid(format!("{name}: {why}")))?;
            document.stories.push(Member { number, story, paragraphs: start..document.paragraphs.len() });
        }
        if document.stories.is_empty() {
            return Err(ApiError::invalid("the file is no Word document: it has no word/document.xml"));
        }
        Ok(document)
    }
}

fn too_large() -> ApiError {
    ApiError::too_large(format!("the document's text is larger than {MOST_XML} bytes with its markup"))
}

/// Whether a member is one of those with running text.
fn has_text(name: &str) -> bool {
    let Some(name) = name.strip_prefix("word/").and_then(|name| name.strip_suffix(".xml")) else { return false };
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    ["document", "header", "footer", "footnotes", "endnotes"].contains(&kind)
}

impl Document for DocxDocument {
    fn segments(&self) -> &[Segment] {
        &self.paragraphs
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Answer<Vec<u8>> {
        let write = |Member { number, story, paragraphs }: &Member| {
            let translated = translated.get(paragraphs.clone()).unwrap_or(&[]);
            (*number, story.write(translated).into_bytes())
        };
        let changed: Vec<(usize, Vec<u8>)> = self.stories.iter().map(write).collect();
        self.archive.with(&changed).ok_or_else(|| ApiError::too_large("the translated document is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::format::DOCX;
    use crate::documents::parts::Parts;
    use crate::documents::testing::{part, split_at_stops};

    fn document(text: &str) -> String {
        format!("<w:document xmlns:w=\"x\"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>")
    }

    #[test]
    fn text_is_changed_and_the_rest_is_not() {
        let header = document("Head.").replace("w:document", "w:hdr");
        let members = [
            ("[Content_Types].xml", "<Types/>"),
            ("word/document.xml", &document("One. Two.")),
            ("word/styles.xml", &document("no text")),
            ("word/header2.xml", &header),
        ];
        let file = DOCX.open(Archive::of(&members)).unwrap();
        assert_eq!(file.text(), "One. Two.\nHead.\n");
        let parts = Parts::new(file.read().unwrap(), &split_at_stops);
        assert_eq!(parts.texts(), ["One.", "Two.", "Head."]);
        assert!(parts.aligned());
        let bytes = parts.render(&[part("Eins."), part("Zwei."), part("Kopf.")], 0).unwrap();
        let found = Archive::read(bytes).unwrap();
        let content = |i: usize| String::from_utf8(found.content(i, 1000).unwrap()).unwrap();
        assert_eq!((content(0), content(2)), ("<Types/>".to_string(), document("no text")));
        assert!(content(1).contains("Eins. Zwei.") && content(3).contains("Kopf."), "{} {}", content(1), content(3));
    }

    #[test]
    fn what_is_no_document_is_refused_and_a_bomb_does_not_go_off() {
        let error = |bytes: Vec<u8>| DocxDocument::read(bytes).err().unwrap();
        assert_eq!(error(b"nonsense".to_vec()).status, 400);
        assert!(error(Archive::of(&[("a", "b")])).message.contains("word/document.xml"));
        assert!(error(Archive::of(&[("word/document.xml", "<a><b></a>")])).message.contains("word/document.xml: "));
        let doctype = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
        assert_eq!(error(Archive::of(&[("word/document.xml", doctype)])).status, 400);
        let bomb = document(&" ".repeat(MOST_XML));
        let bomb = Archive::of(&[("word/document.xml", &bomb)]);
        assert!(bomb.len() < 20_000);
        assert_eq!(error(bomb).status, 413);
        let half = document(&" ".repeat(MOST_XML * 2 / 3));
        let two = Archive::of(&[("word/document.xml", &half), ("word/header1.xml", &half)]);
        assert_eq!(error(two).status, 413);
    }
}
