//! What Markdown's markup is to running text, and how its text is written.

use crate::document::Escape;
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

    /// `****` is text.
    fn may_be_empty(&self) -> bool {
        false
    }

    fn escape(&self) -> Escape {
        |text, begins| {
            let mark = if begins { mark_of_block(text) } else { None };
            let mut escaped = String::with_capacity(text.len());
            for (i, c) in text.char_indices() {
                if "\\`*_[]<|~".contains(c) || Some(i) == mark || (c == '&' && is_reference(&text[i..])) {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
            escaped
        }
    }
}

/// Whether a text begins with what stands for a character.
fn is_reference(text: &str) -> bool {
    text.find(';').is_some_and(|end| resolve_html(&text[..=end]).is_some())
}

/// The place of the mark that would make a block of a line: of a heading, a quote, a list.
fn mark_of_block(line: &str) -> Option<usize> {
    let is_last = |place: usize| line[place + 1..].chars().next().is_none_or(char::is_whitespace);
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line.as_bytes().get(digits)? {
        b'.' | b')' if (1..10).contains(&digits) && is_last(digits) => Some(digits),
        b'+' | b'-' if digits == 0 && is_last(0) => Some(0),
        b'>' if digits == 0 => Some(0),
        b'#' if digits == 0 => {
            let signs = line.bytes().take_while(|byte| *byte == b'#').count();
            (signs <= 6 && is_last(signs - 1)).then_some(0)
        }
        _ => None,
    }
}
