//! How documents are read.

use crate::limits::Limits;
use crate::tags::Tags;

/// How documents are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What the caller says about tags (HTML, XML).
    pub tags: Tags,
    /// How much is read.
    pub limits: Limits,
}
