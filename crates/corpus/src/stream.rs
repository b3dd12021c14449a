//! The stream of training batches: bucketed by length, in an order that depends on a seed alone.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use strata_recipe::Prompts;

use crate::batches::{Batch, ExampleId};
use crate::error::{Error, Result};
use crate::lanes::Lanes;
use crate::sampling::{examples_per_round, hash, places};

/// How batches are made.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOptions {
    /// Determines sampling and order.
    pub seed: u64,
    /// Directions are sampled in proportion to size^(1/temperature).
    pub temperature: f64,
    /// Tokens of a batch at most: the sum over its examples of the longer side, tag and end mark included.
    pub tokens_per_batch: usize,
    /// Examples with a longer side, tag and end mark included, are left out.
    pub max_length: usize,
    /// What stands around the sentences.
    pub prompts: Prompts,
}

/// A place in the stream, for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPosition {
    /// The round, from 0.
    pub round: u64,
    /// Batches of the round that are done.
    pub batch: u64,
}

/// The training batches of a prepared corpus, round after round, without end.
///
/// A round's order depends on the seed and the round's number alone, so a [`StreamPosition`] is all that a checkpoint
/// needs. Memory: 4 bytes for each pair of the corpus and 16 for each example of a round.
#[derive(Debug)]
pub struct TrainStream {
    lanes: Lanes,
    options: StreamOptions,
    /// Pairs of each shard that are learned from.
    kept: Vec<Vec<u32>>,
    /// Examples of each direction in a round.
    examples: Vec<u64>,
    skipped: u64,
    position: StreamPosition,
    /// The order of the round of `position`.
    plan: Plan,
}

/// One round: its examples as (direction, index), and each batch's range of them, in the order of training.
#[derive(Debug, Default)]
struct Plan {
    examples: Vec<(u32, u32)>,
    batches: Vec<Range<usize>>,
}

impl TrainStream {
    /// Opens the training split of a prepared folder; `directions` such as `en-de`, all if empty.
    ///
    /// # Errors
    /// An unknown direction, missing or damaged files, no pair that can be learned from.
    pub fn open(prepared: &Path, directions: &[String], options: StreamOptions) -> Result<Self> {
        let lanes = Lanes::open(prepared, "train", directions, &options.prompts)?;
        let (kept, skipped) = lanes.fitting(options.max_length);
        let sizes: Vec<u64> = lanes.lanes.iter().map(|lane| kept[lane.shard].len() as u64).collect();
        if sizes.iter().sum::<u64>() == 0 {
            let longer =
                if skipped > 0 { format!("; {skipped} are longer than {}", options.max_length) } else { String::new() };
            return Err(Error::NoTraining { path: prepared.to_path_buf(), longer });
        }
        let examples = examples_per_round(&sizes, options.temperature);
        let position = StreamPosition::default();
        let mut stream = Self { lanes, options, kept, examples, skipped, position, plan: Plan::default() };
        stream.plan = stream.plan_round(0);
        Ok(stream)
    }

    /// Names of the directions, such as `en-de`; [`ExampleId::direction`] counts in them.
    pub fn directions(&self) -> &[String] {
        &self.lanes.names
    }

    /// Pairs that are learned from.
    pub fn pairs(&self) -> u64 {
        self.kept.iter().map(|kept| kept.len() as u64).sum()
    }

    /// Pairs left out because a side is empty or too long.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Batches in a round, at least 1.
    pub fn batches_per_round(&self) -> u64 {
        self.plan.batches.len() as u64
    }

    /// Where the next batch is.
    pub fn position(&self) -> StreamPosition {
        self.position.clone()
    }

    /// Goes to a position that [`TrainStream::position`] gave.
    ///
    /// # Errors
    /// A position that this corpus, seed and batch size do not have.
    pub fn seek(&mut self, position: &StreamPosition) -> Result<()> {
        let other = (position.round != self.position.round).then(|| self.plan_round(position.round));
        let batches = other.as_ref().unwrap_or(&self.plan).batches.len();
        if position.batch > batches as u64 {
            let reason = format!(
                "batch {} of a round with {batches}: the corpus or the batch size changed since the checkpoint",
                position.batch
            );
            return Err(Error::Option { option: "position", reason });
        }
        self.plan = other.unwrap_or_else(|| std::mem::take(&mut self.plan));
        self.position = position.clone();
        Ok(())
    }

    /// The next batch.
    ///
    /// # Errors
    /// A damaged shard.
    pub fn next_batch(&mut self) -> Result<Batch> {
        if self.position.batch >= self.batches_per_round() {
            self.position = StreamPosition { round: self.position.round + 1, batch: 0 };
            self.plan = self.plan_round(self.position.round);
        }
        let range = self.plan.batches[self.position.batch as usize].clone();
        let mut batch = Batch::default();
        for (direction, index) in &self.plan.examples[range] {
            let example = ExampleId { direction: *direction as usize, index: u64::from(*index) };
            self.lanes.push(&mut batch, example)?;
        }
        self.position.batch += 1;
        Ok(batch)
    }

    /// Sorts a round's examples by length, equal ones at random, cuts them into batches and shuffles those.
    fn plan_round(&self, round: u64) -> Plan {
        let seed = self.options.seed;
        let mut keyed: Vec<(u32, u32, u32, u32)> = Vec::with_capacity(self.examples.iter().sum::<u64>() as usize);
        for (direction, (lane, examples)) in self.lanes.lanes.iter().zip(&self.examples).enumerate() {
            let (kept, shard) = (&self.kept[lane.shard], &self.lanes.shards[lane.shard]);
            let of_direction = hash(&[seed, round, direction as u64]);
            keyed.extend(places(kept.len() as u64, *examples, of_direction).enumerate().map(|(count, place)| {
                let index = kept[place as usize];
                let tokens = self.lanes.cost(shard.lengths(index as usize)) as u32;
                (tokens, hash(&[of_direction, count as u64, place]) as u32, direction as u32, index)
            }));
        }
        keyed.par_sort_unstable();
        let mut batches: Vec<Range<usize>> = Vec::new();
        let (mut start, mut tokens) = (0, 0);
        for (i, (cost, ..)) in keyed.iter().enumerate() {
            let cost = *cost as usize;
            if i > start && tokens + cost > self.options.tokens_per_batch {
                batches.push(start..i);
                (start, tokens) = (i, 0);
            }
            tokens += cost;
        }
        batches.push(start..keyed.len());
        batches.sort_by_cached_key(|range| (hash(&[seed, round, u64::MAX, range.start as u64]), range.start));
        Plan { examples: keyed.into_iter().map(|(_, _, direction, index)| (direction, index)).collect(), batches }
    }
}
