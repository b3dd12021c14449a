//! OpenDocument's elements: paragraphs and headings are blocks, spans and links are markup in them.

use crate::running::rules::{Inline, Role, Rules};
use crate::xml::resolve;

/// What OpenDocument's elements are.
pub struct OpenDocumentRules;

impl Rules for OpenDocumentRules {
    fn role(&self, name: &str, _tag: &str) -> Role {
        match name {
            "text:span" | "text:ruby" | "text:ruby-base" => Role::Inline(Inline::Form),
            "text:a" | "text:meta" => Role::Inline(Inline::Any),
            "text:s" => Role::Space,
            // What is shown in these is made by the program.
            "text:p" | "text:h" | "text:tab" | "text:line-break" => Role::Block,
            "office:annotation" | "office:automatic-styles" | "office:styles" | "office:font-face-decls" => {
                Role::KeptBlock
            }
            "office:scripts" | "office:settings" | "office:meta" | "office:forms" | "text:tracked-changes" => {
                Role::KeptBlock
            }
            "text:note-citation" | "text:sequence-decls" | "text:variable-decls" | "text:user-field-decls" => {
                Role::KeptBlock
            }
            _ if is_mark(name) => Role::InWord,
            _ if name.starts_with("text:") && !is_structure(name) => Role::Kept,
            _ => Role::Block,
        }
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        resolve(reference)
    }
}

/// Marks of places in text.
fn is_mark(name: &str) -> bool {
    ["text:bookmark", "text:reference-mark", "text:change", "text:soft-page-break", "text:toc-mark"]
        .iter()
        .any(|mark| name.starts_with(mark))
        && name != "text:bookmark-ref"
}

/// What holds paragraphs: lists, sections, indexes, notes. The other elements of `text:` are fields.
fn is_structure(name: &str) -> bool {
    let structure = [
        "list",
        "section",
        "index",
        "note",
        "numbered-paragraph",
        "table-of-content",
        "bibliography",
        "illustration-index",
        "object-index",
        "table-index",
        "user-index",
        "alphabetical-index",
        "outline",
        "soft-page",
        "tracked",
        "line",
    ];
    name.strip_prefix("text:").is_some_and(|name| structure.iter().any(|kind| name.starts_with(kind)))
}
