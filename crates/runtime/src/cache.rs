//! The decoder's keys and values.
//!
//! Target tokens: one table for all sentences, a row for each token that a live hypothesis has read. A hypothesis is a
//! leaf of its sentence's tree of tokens, and hypotheses with a common prefix share its rows. So reordering a beam
//! means following other leaves, and copies no key or value. Rows that no live hypothesis reaches go back to the table
//! and are used again, warm in the processor's cache. The price is a gather in attention, which reads whole rows (`2d`
//! values) and so is negligible next to the products; copying caches instead would move `beam * length * 2d` values per
//! layer and step.
//!
//! A decoder with an SSRU keeps a cell of `d` values in a token's row instead; a child reads its parent's row alone.
//!
//! Source tokens: one block for each sentence, computed once and shared by its hypotheses.

/// Keys and values of target tokens, or their cells where the decoder has an SSRU.
pub(crate) struct TargetCache {
    /// `[rows, 2d]` of each layer; cells `[rows, d]`.
    pub layers: Vec<Vec<f32>>,
    /// Unused rows.
    free: Vec<u32>,
    rows: usize,
    width: usize,
}

impl TargetCache {
    /// A cache of rows of `width` values for each layer.
    pub fn new(layers: usize, width: usize) -> Self {
        Self { layers: vec![Vec::new(); layers], free: Vec::new(), rows: 0, width }
    }

    /// Takes an unused row.
    pub fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let more = self.rows.max(32);
            self.layers.iter_mut().for_each(|layer| layer.resize((self.rows + more) * self.width, 0.0));
            // The lowest is taken first.
            self.free.extend((self.rows as u32..(self.rows + more) as u32).rev());
            self.rows += more;
        }
        self.free.pop().unwrap_or_default()
    }

    /// Gives a row back.
    pub fn give_back(&mut self, row: u32) {
        self.free.push(row);
    }

    /// Rows in use.
    #[cfg(test)]
    pub fn used(&self) -> usize {
        self.rows - self.free.len()
    }
}

/// Keys and values of one source sentence.
#[derive(Default)]
pub(crate) struct Source {
    pub length: usize,
    /// `[length, 2d]` of each layer.
    pub layers: Vec<Vec<f32>>,
}

/// The source sentences of the batch, by slot.
#[derive(Default)]
pub(crate) struct Sources {
    pub slots: Vec<Source>,
    free: Vec<u32>,
}

impl Sources {
    /// A free slot for a sentence of `length` tokens.
    pub fn take(&mut self, length: usize, layers: usize, d: usize) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Source::default());
            self.slots.len() as u32 - 1
        });
        let source = &mut self.slots[slot as usize];
        source.length = length;
        source.layers.resize(layers, Vec::new());
        source.layers.iter_mut().for_each(|layer| layer.resize(length * 2 * d, 0.0));
        slot
    }

    pub fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
    }
}
