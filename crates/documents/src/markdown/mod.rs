//! Markdown: paragraphs, headings, items and cells are running text; code, formulas, addresses and front matter stay.

mod lines;
mod math;
mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Event as Markdown, LinkType, Options, Parser, Tag, TagEnd};

use crate::error::Result;
use crate::events::{Event, Kind};
use crate::limits::Limits;
use crate::running::{Reader, Running};
use lines::Lines;
use rules::{CODE, FORM, MarkdownRules, NAMED, SOFT_BREAK};

/// Reads Markdown, CommonMark with tables, footnotes, tasks, formulas, alerts, containers, definitions and front
/// matter.
///
/// # Errors
/// [`crate::Error::TooLarge`].
pub fn read(text: &str, limits: &Limits) -> Result<Running> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let parsed = math::without_prices(text, options);
    let mut reading = Reading {
        reader: Reader::new(text, &MarkdownRules, limits),
        text,
        at: 0,
        running: false,
        kept: 0,
        open: None,
        links: Vec::new(),
        lines: Lines::default(),
        stays: 0,
        alone: 0,
    };
    for (event, range) in Parser::new_ext(&parsed, options).into_offset_iter() {
        reading.event(event, range)?;
    }
    reading.end_text()?;
    reading.reader.keep(reading.at..text.len());
    reading.reader.end()
}

/// Markdown that is being read.
struct Reading<'a> {
    reader: Reader<'a>,
    text: &'a str,
    /// Bytes that were taken.
    at: usize,
    /// Whether running text has begun.
    running: bool,
    /// Blocks whose content is copied that are open.
    kept: usize,
    /// A tag that ends where the next event begins.
    open: Option<Kind<'a>>,
    /// The names of links and pictures that are open.
    links: Vec<&'static str>,
    lines: Lines,
    /// Up to where the start of a line stays as it is.
    stays: usize,
    /// Up to where each line is a text of its own.
    alone: usize,
}

impl<'a> Reading<'a> {
    fn event(&mut self, event: Markdown, range: Range<usize>) -> Result<()> {
        let name = match &event {
            Markdown::Start(Tag::Link { link_type, .. } | Tag::Image { link_type, .. }) => {
                let named = matches!(link_type, LinkType::Collapsed | LinkType::Shortcut);
                let name = if named { NAMED } else { FORM };
                self.links.push(name);
                name
            }
            Markdown::End(TagEnd::Link | TagEnd::Image) => self.links.pop().unwrap_or(FORM),
            _ => FORM,
        };
        match event {
            Markdown::Start(Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::MetadataBlock(_)) => {
                self.kept += 1;
                self.end_text()
            }
            Markdown::End(TagEnd::CodeBlock | TagEnd::HtmlBlock | TagEnd::MetadataBlock(_)) => {
                self.kept = self.kept.saturating_sub(1);
                self.end_text()
            }
            _ if self.kept > 0 => Ok(()),
            Markdown::Text(_) => self.words(range),
            // A part of what stays; behind it nothing that began in front of its end or in it goes on.
            _ if range.start < self.stays => {
                if range.end > self.stays {
                    self.end_text()
                } else {
                    Ok(())
                }
            }
            Markdown::Start(Tag::Paragraph) => {
                self.end_text()?;
                self.alone = lines::first_definition(self.text, &range);
                Ok(())
            }
            Markdown::Start(
                Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. },
            ) => {
                self.begin(range.start)?;
                self.open = Some(Kind::Open(name.into()));
                Ok(())
            }
            Markdown::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image) => {
                if let Some(Kind::Open(_)) = self.open.take() {
                    // Nothing was inside.
                    return self.take(range.end, Kind::Other);
                }
                // The parser counts the brackets behind a name as no part of the link.
                let brackets = if name == NAMED && self.text[range.end..].starts_with("[]") { 2 } else { 0 };
                self.take(range.end + brackets, Kind::Close(name.into()))
            }
            Markdown::Code(_) => {
                self.begin(range.start)?;
                let code = &self.text[range.clone()];
                let ticks = code.len() - code.trim_start_matches('`').len();
                if 2 * ticks >= code.len() {
                    return self.take(range.end, Kind::Other);
                }
                self.take(range.start + ticks, Kind::Open(CODE.into()))?;
                self.take(range.end - ticks, Kind::Text)?;
                self.take(range.end, Kind::Close(CODE.into()))
            }
            Markdown::InlineHtml(_) => {
                self.begin(range.start)?;
                self.take(range.end, tag(&self.text[range]))
            }
            Markdown::SoftBreak if !self.running || range.start < self.alone => self.end_text(),
            Markdown::SoftBreak => {
                self.begin(range.start)?;
                self.open = Some(Kind::Empty(SOFT_BREAK.into()));
                Ok(())
            }
            Markdown::FootnoteReference(_) | Markdown::TaskListMarker(_) | Markdown::InlineMath(_) => {
                self.begin(range.start)?;
                self.take(range.end, Kind::Other)
            }
            Markdown::HardBreak | Markdown::Rule | Markdown::Html(_) | Markdown::DisplayMath(_) => self.end_text(),
            Markdown::Start(_) | Markdown::End(_) => self.end_text(),
        }
    }

    /// Takes text, but for what stays at the start of its line.
    fn words(&mut self, range: Range<usize>) -> Result<()> {
        if range.start >= self.stays
            && let Some(kept) = self.lines.kept(self.text, range.start)
        {
            self.end_text()?;
            self.stays = kept.end;
            if kept.alone {
                self.alone = self.text[kept.end..].find('\n').map_or(self.text.len(), |end| kept.end + end + 1);
            }
        }
        let start = range.start.max(self.stays);
        if start >= range.end {
            return Ok(());
        }
        self.begin(start)?;
        self.take(range.end, Kind::Text)
    }

    /// Begins running text at a byte, or continues it.
    fn begin(&mut self, start: usize) -> Result<()> {
        if let Some(kind) = self.open.take() {
            return self.take(start.max(self.at), kind);
        }
        if !self.running && start > self.at {
            self.reader.keep(self.at..start);
            self.at = start;
        }
        self.running = true;
        Ok(())
    }

    /// Takes all bytes up to `end`; a backslash in front of text is a part of it.
    fn take(&mut self, end: usize, kind: Kind<'a>) -> Result<()> {
        let range = self.at..end.max(self.at);
        self.at = range.end;
        if range.is_empty() { Ok(()) } else { self.reader.take(Event { range, kind }) }
    }

    /// Ends running text.
    fn end_text(&mut self) -> Result<()> {
        // A line's end at the end of a paragraph is none in it.
        self.open = None;
        self.running = false;
        self.reader.flush()
    }
}

/// What a piece of HTML in running text is.
fn tag(html: &str) -> Kind<'static> {
    let inner = html.trim_start_matches('<').trim_start_matches('/');
    let name: String = inner.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let name: Cow<'static, str> = name.to_ascii_lowercase().into();
    match () {
        () if name.is_empty() => Kind::Other,
        () if html.starts_with("</") => Kind::Close(name),
        () if html.ends_with("/>") || ["br", "img", "wbr", "input", "hr"].contains(&&*name) => Kind::Empty(name),
        () => Kind::Open(name),
    }
}
