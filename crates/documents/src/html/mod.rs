//! HTML, a page or a piece of one, by HTML's rules.

mod elements;
mod events;
#[cfg(test)]
mod tests;

pub use elements::{BookRules, HtmlRules};
pub use events::{events, resolve};

use crate::error::Result;
use crate::events::Kind;
use crate::language::said_anew;
use crate::options::Options;
use crate::running::{Reader, Running};

/// Reads a page.
///
/// # Errors
/// [`crate::Error::TooLarge`].
pub fn read(html: &str, options: &Options) -> Result<Running> {
    let rules = HtmlRules { tags: &options.tags };
    let mut reader = Reader::new(html, &rules, &options.limits);
    events(html, &mut |event| {
        if let Kind::Open(name) = &event.kind
            && name == "html"
            && let Some(tag) = said_anew(&html[event.range.clone()], name, options)
        {
            reader.write_anew(event.range.clone(), tag);
        }
        reader.take(event)
    })?;
    reader.end()
}
