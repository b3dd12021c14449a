//! How documents are read.

use encoding_rs::Encoding;

use crate::limits::Limits;
use crate::tags::Tags;

/// How documents are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What the caller says about tags (HTML, XML).
    pub tags: Tags,
    /// The encoding of text without a byte order mark, whatever it declares of itself.
    pub encoding: Option<&'static Encoding>,
    /// The code of the language translated into, for documents that say their language.
    pub target: Option<String>,
    /// How much is read.
    pub limits: Limits,
}
