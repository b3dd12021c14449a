//! How much of a document is read.

use crate::error::{Error, Result};

/// How much of a document is read, so that a small file cannot take much memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of an archive.
    pub members: usize,
    /// Bytes of a text, or of all text members of an archive together, unpacked.
    pub unpacked: usize,
    /// Characters of text to translate.
    pub characters: usize,
    /// Segments: lines, subtitles, paragraphs.
    pub segments: usize,
}

/// For a person's own files.
impl Default for Limits {
    fn default() -> Self {
        Self { members: 20_000, unpacked: 256 << 20, characters: 50_000_000, segments: 2_000_000 }
    }
}

/// What was read so far.
pub struct Count<'a> {
    limits: &'a Limits,
    characters: usize,
    segments: usize,
}

impl<'a> Count<'a> {
    /// Nothing.
    pub fn new(limits: &'a Limits) -> Self {
        Self { limits, characters: 0, segments: 0 }
    }

    /// Adds a segment's text.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn add(&mut self, text: &str) -> Result<()> {
        self.characters += text.chars().count();
        self.segments += 1;
        let Limits { characters, segments, .. } = *self.limits;
        match () {
            () if self.characters > characters => Err(too_many("characters of text", characters)),
            () if self.segments > segments => Err(too_many("pieces of text", segments)),
            () => Ok(()),
        }
    }

    /// Checks the number of tags in running text.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn marks(&self, marks: usize) -> Result<()> {
        let most = self.limits.segments;
        if marks > most { Err(too_many("tags in its text", most)) } else { Ok(()) }
    }
}

/// A document with more than is taken.
fn too_many(what: &str, most: usize) -> Error {
    Error::too_large(format!("the file has more than {most} {what}; at most that many are taken"))
}
