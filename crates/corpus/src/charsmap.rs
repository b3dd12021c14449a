//! SentencePiece's compiled normalization rules: a double-array trie of strings to replace, and the replacements.
//!
//! The longest rule at a position applies, as in SentencePiece itself. (The `Precompiled` normalizer of the tokenizers
//! crate looks at whole grapheme clusters instead and so misses rules inside Indic clusters; scores with SentencePiece
//! tokenizers must agree to the last digit.)

use crate::error::{Error, Result};

/// A rule table; the default has no rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charsmap {
    /// The table as in the model file, kept to save it again.
    blob: Vec<u8>,
    /// The double array: one unit a node.
    trie: Vec<u32>,
    /// Replacements, each ended by a zero byte.
    replacements: String,
}

impl Charsmap {
    /// Reads the table: trie size in bytes (u32, little-endian), trie units (u32), replacements.
    pub(crate) fn parse(blob: &[u8]) -> Result<Self> {
        if blob.is_empty() {
            return Ok(Self::default());
        }
        let damaged = || Error::subwords("the normalization rules of this SentencePiece model are damaged");
        let (size, rest) = blob.split_first_chunk::<4>().ok_or_else(damaged)?;
        let size = u32::from_le_bytes(*size) as usize;
        if size > rest.len() || !size.is_multiple_of(4) {
            return Err(damaged());
        }
        let (trie, replacements) = rest.split_at(size);
        let trie = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        let replacements = std::str::from_utf8(replacements).map_err(|_| damaged())?.to_string();
        Ok(Self { blob: blob.to_vec(), trie, replacements })
    }

    /// The table as in the model file; empty if there are no rules.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The longest rule that applies at the start of the text: bytes matched and what to put there.
    pub(crate) fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let mut node = offset(*self.trie.first()?) as usize;
        let mut best = None;
        for (i, &byte) in text.as_bytes().iter().enumerate() {
            if byte == 0 {
                break;
            }
            node ^= usize::from(byte);
            let Some(&unit) = self.trie.get(node) else { break };
            if unit & (1 << 31 | 0xFF) != u32::from(byte) {
                break;
            }
            node ^= offset(unit) as usize;
            if unit >> 8 & 1 == 1 {
                let value = self.trie.get(node).map_or(usize::MAX, |leaf| (leaf & (u32::MAX >> 1)) as usize);
                if let Some(replacement) = self.replacements.get(value..).and_then(|r| r.split('\0').next()) {
                    best = Some((i + 1, replacement));
                }
            }
        }
        best.filter(|(length, _)| text.is_char_boundary(*length))
    }
}

/// Where the children of a trie unit start, relative to it.
fn offset(unit: u32) -> u32 {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_tables_are_errors_and_never_panics() {
        assert!(Charsmap::parse(&[]).unwrap().longest("a").is_none());
        assert!(Charsmap::parse(&[1, 0]).is_err());
        assert!(Charsmap::parse(&[8, 0, 0, 0, 1, 2, 3, 4]).is_err());
        assert!(Charsmap::parse(&[4, 0, 0, 0, 1, 2, 3, 4, 0xFF]).is_err());
        for seed in 0..200u32 {
            let mut blob = vec![64, 0, 0, 0];
            blob.extend((0..64u32).map(|i| (seed.wrapping_mul(2654435761).wrapping_add(i * 40503) >> 7) as u8));
            blob.extend(b"x\0yy\0");
            let map = Charsmap::parse(&blob).unwrap();
            for text in ["", "a", "\u{1F600}é", "\0", "zzzz"] {
                map.longest(text);
            }
        }
    }
}
