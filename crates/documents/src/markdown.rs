//! Markdown: paragraphs, headings, items and cells are running text; code, addresses and front matter stay.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Event as Markdown, Options, Parser, Tag, TagEnd};

use crate::error::Result;
use crate::events::{Event, Kind};
use crate::html::{HtmlRules, resolve as resolve_html};
use crate::limits::Limits;
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Reader, Running};
use crate::tags::Tags;

/// The name of what stands for a line's end in a paragraph.
const SOFT_BREAK: &str = "soft break";
/// The name of Markdown's own markup.
const FORM: &str = "form";
/// The name of code.
const CODE: &str = "code";

struct MarkdownRules;

impl Rules for MarkdownRules {
    fn role(&self, name: &str, tag: &str) -> Role {
        match name {
            SOFT_BREAK => Role::Space,
            FORM => Role::Inline(Inline::Form),
            _ => match (HtmlRules { tags: &Tags::default() }).role(name, tag) {
                // Running text has no blocks; `<br>` in it stays where it is.
                Role::Block | Role::KeptBlock => Role::Field,
                role => role,
            },
        }
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        match reference.strip_prefix('\\') {
            Some(c) => c.chars().all(|c| c.is_ascii_punctuation()).then(|| c.to_string()).filter(|c| !c.is_empty()),
            None => resolve_html(reference),
        }
    }

    fn escape(&self) -> fn(&str) -> String {
        |text| {
            let mut escaped = String::with_capacity(text.len());
            for c in text.chars() {
                if "\\`*_[]<".contains(c) {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            escaped
        }
    }
}

/// Reads Markdown, CommonMark with tables, footnotes, tasks and front matter.
///
/// # Errors
/// [`crate::Error::TooLarge`].
pub fn read(text: &str, limits: &Limits) -> Result<Running> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reading =
        Reading { reader: Reader::new(text, &MarkdownRules, limits), text, at: 0, running: false, kept: 0, open: None };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
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
}

impl<'a> Reading<'a> {
    fn event(&mut self, event: Markdown<'a>, range: Range<usize>) -> Result<()> {
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
            Markdown::Start(
                Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. },
            ) => {
                self.begin(range.start)?;
                self.open = Some(Kind::Open(FORM.into()));
                Ok(())
            }
            Markdown::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image) => {
                if self.open.take().is_some() {
                    // Nothing was inside.
                    return self.take(range.end, Kind::Other);
                }
                self.take(range.end, Kind::Close(FORM.into()))
            }
            Markdown::Text(_) => {
                self.begin(range.start)?;
                self.take(range.end, Kind::Text)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{copied, shouted, translated};

    fn document(text: &str) -> Running {
        read(text, &Limits::default()).unwrap()
    }

    const TEXT: &str = "---\ntitle: Front\n---\n# Open the *file*\n\nClick **the icon**, then\nrun `ls -l` \\*now\\* &amp; see \
                        [the manual](https://e.org \"title\")[^1].\n\n> Quoted text\n> goes on\n\n- [ ] one item\n- another\n  \
                        line\n\n```sh\nkeep this\n```\n\n| Name | Value |\n|---|---|\n| red | 1 |\n\n![A picture](a.png) and \
                        <b>bold</b>  \nnext line\n\n<div>block</div>\n\n[^1]: The note.\n";

    #[test]
    fn running_text_is_translated_and_the_rest_stays() {
        let parts = translated(document(TEXT), &[]).0;
        assert_eq!(parts[..2], ["Open the file", "Click the icon, then run ls -l *now* & see the manual."]);
        assert_eq!(parts[2..6], ["Quoted text goes on", "one item", "another line", "Name"]);
        assert_eq!(copied(document(TEXT)), TEXT);
        let wanted = "# OPEN THE *FILE*\n\nCLICK **THE ICON**, THEN\nRUN `ls -l` \\*NOW\\* &amp; SEE [THE MANUAL](https://e.org \
                      \"title\")[^1].\n\n> QUOTED TEXT\n> GOES ON\n\n- [ ] ONE ITEM\n- ANOTHER\n  LINE\n\n```sh\nkeep this\n";
        let found = shouted(document(TEXT));
        assert!(found.contains(wanted), "{found}");
        assert!(
            found.contains("![A PICTURE](a.png) AND <b>BOLD</b>  \nNEXT LINE\n\n<div>block</div>\n\n[^1]: THE NOTE.\n"),
            "{found}"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back(text in "[a-c \\n*_\\[\\]()`#>|<&;~^:!\\\\-]{0,40}") {
            proptest::prop_assert_eq!(copied(document(&text)), text);
        }
    }
}
