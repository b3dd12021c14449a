//! A batch of sentences without padding.

use strata_kernels::{Offsets, Rows};

/// Sentences one after another: ids and where each sentence starts.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Subword ids of all sentences.
    pub ids: Rows,
    /// Sentence `i` is `offsets[i]..offsets[i + 1]`; starts with 0.
    pub offsets: Offsets,
}

impl Packed {
    /// Packs ids with their offsets.
    pub fn new(ids: impl Into<Rows>, offsets: impl Into<Offsets>) -> Self {
        Self { ids: ids.into(), offsets: offsets.into() }
    }

    /// Packs sentences.
    pub fn from_sentences<S: AsRef<[u32]>>(sentences: &[S]) -> Self {
        let mut offsets = vec![0];
        let mut ids = Vec::new();
        for sentence in sentences {
            ids.extend_from_slice(sentence.as_ref());
            offsets.push(ids.len());
        }
        Self::new(ids, offsets)
    }

    /// Each id's place in its sentence.
    pub(crate) fn places(&self) -> Rows {
        self.offsets.windows(2).flat_map(|w| 0..(w[1] - w[0]) as u32).collect::<Vec<u32>>().into()
    }

    /// Subwords of the longest sentence.
    pub(crate) fn longest(&self) -> usize {
        self.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0)
    }
}
