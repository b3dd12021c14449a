//! Word documents: a zip archive whose text is in `word/document.xml`, headers, footers and notes. Everything else of the archive
//! is copied as it is compressed.
//!
//! Paragraphs are translated one by one (`crate::wordml`).

use strata_translate::Part;

use crate::archive::Archive;
use crate::document::{Cut, Document};
use crate::error::{Answer, ApiError};
use crate::wordml::Story;

/// Bytes of all the text's members together, unpacked.
const MOST_XML: usize = 8 << 20;

/// A document that was unpacked.
pub struct Package {
    archive: Archive,
    /// The members with text, by their numbers.
    stories: Vec<(usize, Story)>,
}

impl Package {
    /// Unpacks a document's text.
    ///
    /// # Errors
    /// 400 for what is no Word document, 413 for one with too much in it.
    pub fn read(bytes: Vec<u8>) -> Answer<Self> {
        let damaged = || ApiError::invalid("the file is no Word document (.docx), or it is damaged or encrypted");
        let archive = Archive::read(bytes).ok_or_else(damaged)?;
        let mut left = MOST_XML;
        let mut stories = Vec::new();
        let texts: Vec<(usize, String)> =
            archive.names().filter(|(_, name)| has_text(name)).map(|(i, name)| (i, name.to_string())).collect();
        for (number, name) in texts {
            let content = archive.content(number, left).ok_or_else(damaged)?;
            left = left.checked_sub(content.len()).ok_or_else(too_large)?;
            let xml = String::from_utf8(content).map_err(|_| ApiError::invalid(format!("{name} is not UTF-8")))?;
            let story = Story::read(xml).map_err(|why| ApiError::invalid(format!("{name}: {why}")))?;
            stories.push((number, story));
        }
        if stories.is_empty() {
            return Err(ApiError::invalid("the file is no Word document: it has no word/document.xml"));
        }
        Ok(Self { archive, stories })
    }

    /// All of its text, a paragraph a line.
    pub fn text(&self) -> String {
        self.stories.iter().flat_map(|(_, story)| story.paragraphs()).map(|text| text + "\n").collect()
    }

    /// Cuts it into parts.
    pub fn cut(self, cut: Cut<'_>) -> DocxDocument {
        let mut parts = Vec::new();
        let mut stories = Vec::new();
        for (number, mut story) in self.stories {
            let first = parts.len();
            story.cut(cut, &mut parts);
            stories.push((number, story, first));
        }
        DocxDocument { archive: self.archive, stories, parts }
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

/// A document to translate.
pub struct DocxDocument {
    archive: Archive,
    /// Each member with text, and the number of its first part.
    stories: Vec<(usize, Story, usize)>,
    parts: Vec<String>,
}

impl Document for DocxDocument {
    fn parts(&self) -> &[String] {
        &self.parts
    }

    fn aligned(&self) -> bool {
        true
    }

    /// The main text's XML, for those who want text.
    fn render(&self, translations: &[Part], choice: usize) -> String {
        let of =
            |(_, story, first): &(usize, Story, usize)| story.render(translations.get(*first..).unwrap_or(&[]), choice);
        self.stories.iter().map(of).collect()
    }

    fn render_file(&self, translations: &[Part]) -> Answer<Vec<u8>> {
        let changed: Vec<(usize, Vec<u8>)> = self
            .stories
            .iter()
            .map(|(number, story, first)| {
                (*number, story.render(translations.get(*first..).unwrap_or(&[]), 0).into_bytes())
            })
            .collect();
        self.archive.with(&changed).ok_or_else(|| ApiError::too_large("the translated document is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{cut_at_stops, part};

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
        let package = Package::read(Archive::of(&members)).unwrap();
        assert_eq!(package.text(), "One. Two.\nHead.\n");
        let docx = package.cut(&cut_at_stops);
        assert_eq!(docx.parts(), ["One.", "Two.", "Head."]);
        let bytes = docx.render_file(&[part("Eins."), part("Zwei."), part("Kopf.")]).unwrap();
        let found = Archive::read(bytes).unwrap();
        let content = |i: usize| String::from_utf8(found.content(i, 1000).unwrap()).unwrap();
        assert_eq!((content(0), content(2)), ("<Types/>".to_string(), document("no text")));
        assert!(content(1).contains("Eins. Zwei.") && content(3).contains("Kopf."), "{} {}", content(1), content(3));
    }

    #[test]
    fn what_is_no_document_is_refused_and_a_bomb_does_not_go_off() {
        let error = |bytes: Vec<u8>| Package::read(bytes).err().unwrap();
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
