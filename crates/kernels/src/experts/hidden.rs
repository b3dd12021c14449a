//! Dropout of the experts' hidden values.

use super::Dispatch;
use crate::buffer::Shared;
use crate::mask::Dropout;
use crate::parallel::for_rows;

/// Dropout of the hidden values of one visit's experts. Each choice of a token has a row of the mask: choice `c` of
/// token `t` has row `first + t * k + c`, whichever expert and rank computes it. Other devices than the CPU draw the
/// mask from their own seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct HiddenDropout {
    /// The rate, at least 0 and below 1; 0 is no dropout.
    pub rate: f32,
    /// The seed of the mask. Of ranks that share experts, each may have its own.
    pub seed: u64,
    /// The row of the first token's first choice, where the tokens are a part of a batch.
    pub first: usize,
}

/// The masks of a visit's slots, sorted by expert.
pub(crate) struct SlotMasks {
    rate: f32,
    /// The seed and the row of each slot's mask.
    slots: Vec<(u64, u32)>,
}

impl SlotMasks {
    /// The masks of the slots of `dispatch`; none without dropout.
    pub fn new(dropout: &HiddenDropout, dispatch: &Dispatch) -> Option<Self> {
        let row = |slot| (dropout.seed, (dropout.first + dispatch.weight_place(slot)) as u32);
        let slots = || (0..dispatch.tokens.len()).map(row).collect();
        (dropout.rate > 0.0).then(|| Self { rate: dropout.rate, slots: slots() })
    }

    /// What kept values are multiplied by.
    pub fn scale(&self) -> f32 {
        Dropout::new(self.rate, 0).scale()
    }

    /// Multiplies the hidden values `[slots, width]` by their masks, in place.
    pub fn drop_from(&self, hidden: &mut [f32], width: usize) {
        let values = Shared::new(hidden);
        for_rows(
            self.slots.len(),
            width,
            #[inline(always)]
            |_, first, count| {
                for slot in first..first + count {
                    let (seed, row) = self.slots[slot];
                    // SAFETY: each slot has a row of its own, and `hidden` lives until all are done.
                    let values = unsafe { values.slice(slot * width, width) };
                    Dropout::new(self.rate, seed).multiply(row as usize * width, values);
                }
            },
        );
    }

    /// The slots as rows of [`SlotMasks::WIDTH`] values, to be sent to other ranks: each holds 32 bits, no number.
    pub fn to_rows(&self) -> Vec<f32> {
        let bits = |(seed, row): &(u64, u32)| [*seed as u32, (*seed >> 32) as u32, *row].map(f32::from_bits);
        self.slots.iter().flat_map(bits).collect()
    }

    /// The masks of slots whose rows came from other ranks.
    pub fn of_rows(rate: f32, rows: &[f32]) -> Self {
        let bits = |value: f32| u64::from(value.to_bits());
        let slot = |row: &[f32]| (bits(row[0]) | bits(row[1]) << 32, row[2].to_bits());
        Self { rate, slots: rows.chunks_exact(Self::WIDTH).map(slot).collect() }
    }

    /// Values that a slot takes on its way.
    pub const WIDTH: usize = 3;

    pub fn rate(&self) -> f32 {
        self.rate
    }
}
