//! Batches of token ids: sentences of any length, packed.

use crate::frame::Frame;
use crate::subword::EOS;

/// Sentences one after another, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ragged {
    /// Ids of all sentences.
    pub ids: Vec<u32>,
    /// Sentence `i` is `offsets[i]..offsets[i + 1]`; starts with 0.
    pub offsets: Vec<usize>,
}

impl Default for Ragged {
    fn default() -> Self {
        Self { ids: Vec::new(), offsets: vec![0] }
    }
}

impl Ragged {
    fn push(&mut self, ids: impl IntoIterator<Item = u32>) {
        self.ids.extend(ids);
        self.offsets.push(self.ids.len());
    }
}

/// Where an example comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExampleId {
    /// Index of its direction among those of the stream.
    pub direction: usize,
    /// Index of its pair in the shard.
    pub index: u64,
}

/// Examples that are learned from together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What the encoder reads of each example, such as `<2TGT> subwords </s>`.
    pub source: Ragged,
    /// What the decoder sees: its prompt, such as `<2TGT>`, and the subwords.
    pub target_in: Ragged,
    /// `subwords </s>`: what it should predict from the last token of its prompt on.
    pub target_out: Vec<u32>,
    /// The examples.
    pub examples: Vec<ExampleId>,
}

impl Batch {
    pub(crate) fn push(&mut self, example: ExampleId, frame: &Frame, source: &[u32], target: &[u32]) {
        self.source.push(frame.source(source.iter().copied()));
        self.target_in.push(frame.prompt().iter().chain(target).copied());
        self.target_out.extend(target.iter().copied().chain([EOS]));
        self.examples.push(example);
    }
}
