//! The batches of a held-out split.

use std::collections::VecDeque;
use std::path::Path;

use crate::batches::{Batch, ExampleId};
use crate::error::Result;
use crate::lanes::{Lane, Lanes};
use crate::stream::StreamOptions;

/// The pairs of a held-out split, direction by direction, in the order of their files.
#[derive(Debug)]
pub struct HeldOut {
    lanes: Lanes,
    /// Examples of each direction that have two sides and fit.
    examples: Vec<Vec<u32>>,
    skipped: u64,
    tokens_per_batch: usize,
}

impl HeldOut {
    /// Opens a split of a prepared folder: `limit` pairs (0: all) of each of `directions` (all if empty), spread evenly
    /// over those that fit, in batches as `options` say. Held-out files are in no random order, so the first pairs
    /// would be a poor sample.
    ///
    /// # Errors
    /// An unknown direction, missing or damaged files. A corpus without this split is empty, not an error.
    pub fn open(
        prepared: &Path,
        split: &str,
        directions: &[String],
        options: &StreamOptions,
        limit: usize,
    ) -> Result<Self> {
        let lanes = Lanes::open(prepared, split, directions, &options.prompts)?;
        let (kept, skipped) = lanes.fitting(options.max_length);
        let of = |lane: &Lane| spread(&kept[lane.shard], limit);
        let examples = lanes.lanes.iter().map(of).collect();
        Ok(Self { lanes, examples, skipped, tokens_per_batch: options.tokens_per_batch })
    }

    /// Names of the directions.
    pub fn directions(&self) -> &[String] {
        &self.lanes.names
    }

    /// Pairs left out because a side is empty or too long.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.examples.iter().all(Vec::is_empty)
    }

    /// Batches of one direction each, with the direction's index.
    pub fn batches(&self) -> impl Iterator<Item = Result<(usize, Batch)>> + '_ {
        self.examples.iter().enumerate().flat_map(move |(direction, examples)| {
            let mut left: VecDeque<u32> = examples.iter().copied().collect();
            let shard = &self.lanes.shards[self.lanes.lanes[direction].shard];
            std::iter::from_fn(move || {
                let (mut batch, mut tokens) = (Batch::default(), 0);
                while let Some(index) = left.front().copied() {
                    tokens += self.lanes.cost(shard.lengths(index as usize));
                    if !batch.examples.is_empty() && tokens > self.tokens_per_batch {
                        break;
                    }
                    left.pop_front();
                    let example = ExampleId { direction, index: u64::from(index) };
                    if let Err(error) = self.lanes.push(&mut batch, example) {
                        return Some(Err(error));
                    }
                }
                (!batch.examples.is_empty()).then_some(Ok((direction, batch)))
            })
        })
    }
}

/// `count` of `all` (0: all of them), at equal distances.
fn spread(all: &[u32], count: usize) -> Vec<u32> {
    if count == 0 || count >= all.len() {
        return all.to_vec();
    }
    (0..count).map(|i| all[i * all.len() / count]).collect()
}
