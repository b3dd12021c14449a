//! What Markdown's markup is to running text, and how its text is written.

use crate::html::{HtmlRules, resolve as resolve_html};
use crate::running::rules::{Inline, Role, Rules};
use crate::tags::Tags;

/// The name of what stands for a line's end in a paragraph.
pub const SOFT_BREAK: &str = "soft break";
/// The name of Markdown's own markup.
pub const FORM: &str = "form";
/// The name of a link or a picture whose text is the name of its definition.
pub const NAMED: &str = "named";
/// The name of code.
pub const CODE: &str = "code";

/// Markdown's rules.
pub struct MarkdownRules;

impl Rules for MarkdownRules {
    fn role(&self, name: &str, tag: &str) -> Role {
        match name {
            SOFT_BREAK => Role::Space,
            FORM => Role::Inline(Inline::Form),
            NAMED => Role::Inline(Inline::Named),
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
