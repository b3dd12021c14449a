//! The kinds of HTML's elements.

use crate::events::attribute;
use crate::html::events::resolve;
use crate::running::rules::{Inline, Role, Rules};
use crate::tags::Tags;
use crate::xml::local;

/// Elements that end running text. All others, also unknown ones, are part of it.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "base",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "meta",
    "nav",
    "ol",
    "optgroup",
    "option",
    "p",
    "search",
    "section",
    "select",
    "slot",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Elements that end running text and whose content is copied.
const KEPT_BLOCKS: &[&str] = &[
    "applet",
    "audio",
    "canvas",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "pre",
    "script",
    "style",
    "svg",
    "template",
    "textarea",
    "video",
    "xmp",
];
/// Elements of running text whose content is copied.
const KEPT: &[&str] = &["code", "kbd", "rp", "rt", "samp", "tt", "var"];
/// Form alone, also of parts of words.
const FORM: &[&str] = &[
    "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "del", "dfn", "em", "font", "i", "ins", "mark", "q", "s",
    "small", "strike", "strong", "sub", "u",
];
/// Elements that are items where nothing else stands beside them.
const ITEMS: &[&str] = &["a", "button", "data", "label", "meter", "output", "progress", "time"];

/// What HTML's elements are, but for those that a caller names.
pub struct HtmlRules<'a> {
    /// Those.
    pub tags: &'a Tags,
}

impl Rules for HtmlRules<'_> {
    fn role(&self, name: &str, tag: &str) -> Role {
        if let Some(role) = self.tags.role(name) {
            return role;
        }
        let is = |names: &[&str]| names.contains(&name);
        match name {
            _ if is(BLOCKS) => Role::Block,
            _ if is(KEPT_BLOCKS) => Role::KeptBlock,
            _ if is(KEPT) => Role::Kept,
            "input" if attribute(tag, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("hidden")) => Role::InWord,
            "input" => Role::Field,
            "wbr" => Role::InWord,
            "sup" => Role::Inline(Inline::Raised),
            _ if is(FORM) => Role::Inline(Inline::Form),
            // Custom elements have a hyphen in their names.
            _ if is(ITEMS) || name.contains('-') || name != local(name) => Role::Inline(Inline::Item),
            _ => Role::Inline(Inline::Any),
        }
    }

    fn detects_items(&self) -> bool {
        self.tags.detects_outline
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        resolve(reference)
    }
}

/// The elements of a book's pages, which are XML, and of its table of contents.
pub struct BookRules;

impl Rules for BookRules {
    fn role(&self, name: &str, tag: &str) -> Role {
        match local(name) {
            // The table of contents (NCX).
            "text" | "navLabel" | "navPoint" | "navMap" | "docTitle" | "docAuthor" | "ncx" => Role::Block,
            _ => HtmlRules { tags: &Tags::default() }.role(&name.to_ascii_lowercase(), tag),
        }
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        resolve(reference)
    }
}
