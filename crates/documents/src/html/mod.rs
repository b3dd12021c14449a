//! HTML, a page or a piece of one, by HTML's rules.

mod elements;
mod events;
#[cfg(test)]
mod tests;

pub use elements::{BookRules, HtmlRules};
pub use events::{events, resolve};

use crate::error::Result;
use crate::limits::Limits;
use crate::running::{Reader, Running};
use crate::tags::Tags;

/// Reads a page.
///
/// # Errors
/// [`crate::Error::TooLarge`].
pub fn read(html: &str, tags: &Tags, limits: &Limits) -> Result<Running> {
    let rules = HtmlRules { tags };
    let mut reader = Reader::new(html, &rules, limits);
    events(html, &mut |event| reader.take(event))?;
    reader.end()
}
