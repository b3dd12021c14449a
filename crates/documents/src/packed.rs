//! Documents that are zip archives: Word documents, slides, OpenDocument, EPUB books. The text is in some of the
//! members; all others are copied as they are compressed.

use std::ops::Range;

use crate::archive::Archive;
use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::html::{BookRules, resolve};
use crate::language::language_element;
use crate::limits::Count;
use crate::markup::Piece;
use crate::opendocument::OpenDocumentRules;
use crate::options::Options;
use crate::proofing::Proofing;
use crate::running::Skeleton;
use crate::runs::{Story, root_prefix};
use crate::xml;

/// What an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.docx`
    Word,
    /// `.pptx`
    Slides,
    /// `.odt`, `.odp`
    OpenDocument,
    /// `.epub`
    Book,
}

impl Kind {
    fn what(self) -> &'static str {
        match self {
            Self::Word => "Word document (.docx)",
            Self::Slides => "presentation (.pptx)",
            Self::OpenDocument => "OpenDocument file (.odt, .odp)",
            Self::Book => "EPUB book (.epub)",
        }
    }

    /// Whether a member has text.
    fn has_text(self, name: &str) -> bool {
        let numbered = |folder: &str, kinds: &[&str]| {
            let name = name.strip_prefix(folder).and_then(|name| name.strip_suffix(".xml"));
            name.is_some_and(|name| kinds.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit())))
        };
        match self {
            Self::Word => numbered("word/", &["document", "header", "footer", "footnotes", "endnotes"]),
            Self::Slides => numbered("ppt/slides/", &["slide"]) || numbered("ppt/notesSlides/", &["notesSlide"]),
            Self::OpenDocument => ["content.xml", "styles.xml"].contains(&name),
            Self::Book => {
                let name = name.to_ascii_lowercase();
                [".xhtml", ".html", ".htm", ".ncx", PACKAGE].iter().any(|extension| name.ends_with(extension))
            }
        }
    }
}

/// The extension of a book's package, which says the book's language.
const PACKAGE: &str = ".opf";

/// Members that hold styles, from which text takes its language.
const STYLES: [&str; 5] =
    ["word/styles.xml", "ppt/presentation.xml", "ppt/slideMasters/", "ppt/slideLayouts/", "styles.xml"];

/// A member's text.
enum Text {
    Runs(Story),
    Running(Skeleton),
    /// What is written instead of it, whatever its segments are.
    New(String),
}

/// A member of the archive with text.
struct Member {
    /// Its number in the archive.
    number: usize,
    text: Text,
    /// Its segments among the document's.
    segments: Range<usize>,
}

/// A document that was unpacked.
pub struct PackedDocument {
    archive: Archive,
    kind: Kind,
    members: Vec<Member>,
    segments: Vec<Segment>,
    /// What text that was translated is proofread in; none if nobody said.
    proofing: Option<Proofing>,
}

/// Unpacks a document's text.
///
/// # Errors
/// [`Error::Invalid`] for a file of another kind or a damaged one, [`Error::TooLarge`] for one with too much in it.
pub fn read(bytes: Vec<u8>, kind: Kind, options: &Options) -> Result<PackedDocument> {
    let what = kind.what();
    let archive = Archive::read(bytes, &options.limits).map_err(|error| match error {
        Error::Invalid(why) => Error::Invalid(format!("no {what}: {why}")),
        other @ Error::TooLarge(_) => other,
    })?;
    let proofing = options.target.as_deref().map(Proofing::of);
    let mut document = PackedDocument { archive, kind, members: Vec::new(), segments: Vec::new(), proofing };
    let names: Vec<(usize, String)> = document.archive.names().iter().cloned().enumerate().collect();
    let mut count = Count::new(&options.limits);
    for (number, name) in names.iter().filter(|(_, name)| kind.has_text(name)) {
        let number = *number;
        let first = document.segments.len();
        if name.to_ascii_lowercase().ends_with(PACKAGE) {
            let text = document.archive.text(number).ok().and_then(|xml| language_element(&xml, options));
            document.members.extend(text.map(|text| Member { number, text: Text::New(text), segments: first..first }));
            continue;
        }
        let xml = document.archive.text(number)?;
        let named = |error: Error| match error {
            Error::Invalid(why) => Error::Invalid(format!("{name}: {why}")),
            other @ Error::TooLarge(_) => other,
        };
        let text = member(xml, kind, &mut count, options, &mut document.segments).map_err(named)?;
        document.members.push(Member { number, text, segments: first..document.segments.len() });
    }
    if document.members.iter().all(|member| matches!(member.text, Text::New(_))) {
        return Err(Error::invalid(format!("the file is no {what}: nothing in it has text")));
    }
    document.restyle(&names);
    Ok(document)
}

impl PackedDocument {
    /// Lets styles say the language of the translation. What is wrong with them is no reason to refuse the text. Those
    /// that have text too are written with it, if it is translated.
    fn restyle(&mut self, names: &[(usize, String)]) {
        let Some(proofing) = &self.proofing else { return };
        for (number, name) in names {
            if !STYLES.iter().any(|styles| name.starts_with(styles)) {
                continue;
            }
            let Ok(xml) = self.archive.text(*number) else { continue };
            let end = self.segments.len();
            let text = proofing.said_in(&xml, self.kind).map(Text::New);
            self.members.extend(text.map(|text| Member { number: *number, text, segments: end..end }));
        }
    }
}

/// Reads a member's text, and adds its segments.
fn member(xml: String, kind: Kind, count: &mut Count, options: &Options, segments: &mut Vec<Segment>) -> Result<Text> {
    let running = match kind {
        Kind::Word => {
            let prefix = root_prefix(&xml);
            return Story::read(xml, &prefix, count, segments).map(Text::Runs);
        }
        Kind::Slides => return Story::read(xml, "a:", count, segments).map(Text::Runs),
        Kind::OpenDocument => xml::read_by(&xml, &OpenDocumentRules, xml::resolve, options)?,
        Kind::Book => xml::read_by(&xml, &BookRules, resolve, options)?,
    };
    running.segments.iter().try_for_each(|segment| count.add(&segment.text))?;
    segments.extend(running.segments);
    Ok(Text::Running(running.skeleton))
}

impl Document for PackedDocument {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        if translated.iter().all(Option::is_none) {
            return self.archive.with(&[]);
        }
        let write = |Member { number, text, segments }: &Member| {
            let translated = translated.get(segments.clone()).unwrap_or(&[]);
            let segments = &self.segments[segments.clone()];
            let text = match text {
                Text::New(text) => text.clone(),
                _ if translated.iter().all(Option::is_none) => return None,
                Text::Runs(story) => story.write(segments, translated),
                Text::Running(skeleton) => skeleton.write(segments, translated),
            };
            let proofread = self.proofing.as_ref().and_then(|proofing| proofing.said_in(&text, self.kind));
            Some((*number, proofread.unwrap_or(text).into_bytes()))
        };
        let changed: Vec<(usize, Vec<u8>)> = self.members.iter().filter_map(write).collect();
        self.archive.with(&changed)
    }
}
