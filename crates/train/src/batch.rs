//! A batch of the corpus as the model takes it: sentences without padding.

use strata_corpus::{Batch, Ragged};
use strata_kernels::Rows;
use strata_model::Packed;

/// Source, target prefix and targets of a batch.
pub(crate) struct PackedBatch {
    pub source: Packed,
    pub target: Packed,
    pub targets: Rows,
}

impl PackedBatch {
    pub fn new(batch: Batch) -> Self {
        let packed = |ragged: Ragged| Packed::new(ragged.ids, ragged.offsets);
        Self { source: packed(batch.source), target: packed(batch.target_in), targets: batch.target_out.into() }
    }

    /// Subwords of source and target.
    pub fn tokens(&self) -> usize {
        self.source.ids.len() + self.targets.len()
    }
}
