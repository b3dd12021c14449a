//! Batches of token ids: packed, bucketed by length, in an order that follows from a seed alone.

use std::collections::VecDeque;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::languages::{Direction, LANGUAGES_FILE, Languages};
use crate::prepare::TOKENIZER_FILE;
use crate::sampling::{examples_per_round, hash, places};
use crate::shards::PairShard;
use crate::subword::{EOS, Subwords, encoder_input};

/// Sentences one after another.
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

/// Where an example is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExampleId {
    /// Place of its direction among those of the stream.
    pub direction: usize,
    /// Place of its pair in the shard, from 0.
    pub index: u64,
}

/// Examples that are learnt from together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// `<2TGT> subwords </s>` of each example.
    pub source: Ragged,
    /// `<2TGT> subwords`: what the decoder sees.
    pub target_in: Ragged,
    /// `subwords </s>`: what it shall say, with the offsets of `target_in`.
    pub target_out: Vec<u32>,
    /// The examples.
    pub examples: Vec<ExampleId>,
}

impl Batch {
    fn push(&mut self, example: ExampleId, tag: u32, source: &[u32], target: &[u32]) {
        self.source.push(encoder_input(tag, source.iter().copied()));
        self.target_in.push([tag].into_iter().chain(target.iter().copied()));
        self.target_out.extend(target.iter().copied().chain([EOS]));
        self.examples.push(example);
    }
}

/// How batches are made.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamOptions {
    /// Chooses sampling and order.
    pub seed: u64,
    /// Directions are sampled in proportion to size^(1/temperature).
    pub temperature: f64,
    /// Tokens of a batch: the longer side of each example, tag and end mark included, added up.
    pub tokens_per_batch: usize,
    /// Examples with a longer side, tag and end mark included, are left out.
    pub max_length: usize,
    /// This process among `ranks` that train together, from 0.
    pub rank: usize,
    /// Processes that train together; each gets its own batches, and as many as the others.
    pub ranks: usize,
}

/// A place in the stream, for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPosition {
    /// The round, from 0.
    pub round: u64,
    /// This rank's batches of the round that are done.
    pub batch: u64,
}

/// One direction: its text, and how it is tagged.
#[derive(Debug)]
struct Lane {
    shard: usize,
    swapped: bool,
    tag: u32,
}

/// Shards and directions of one split.
#[derive(Debug)]
struct Lanes {
    lanes: Vec<Lane>,
    names: Vec<String>,
    shards: Vec<PairShard>,
}

/// Tokens that an example costs: its longer side with its marks (`<2TGT>` and `</s>`).
fn cost(lengths: (usize, usize)) -> usize {
    lengths.0.max(lengths.1) + 2
}

impl Lanes {
    fn open(prepared: &Path, split: &str, directions: &[String]) -> Result<Self> {
        let languages = Languages::load(&prepared.join(LANGUAGES_FILE))?;
        let subwords = Subwords::load(&prepared.join(TOKENIZER_FILE))?;
        let named = |d: &Direction, name: &String| *name == d.name() || *name == d.to_string();
        for name in directions {
            if !languages.directions.iter().any(|d| named(d, name)) {
                let known: Vec<String> = languages.directions.iter().map(Direction::name).collect();
                return Err(Error::UnknownDirection { direction: name.clone(), known: known.join(", ") });
            }
        }
        let (mut lanes, mut names, mut shards, mut pairs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for direction in &languages.directions {
            if !directions.is_empty() && !directions.iter().any(|name| named(direction, name)) {
                continue;
            }
            let shard = match pairs.iter().position(|pair| *pair == &direction.pair) {
                Some(known) => known,
                None => {
                    let path = prepared.join(split).join(format!("{}.shard", direction.pair));
                    if !path.exists() {
                        continue; // a pair without this split
                    }
                    let shard = PairShard::open(&path)?;
                    shard.check_ids(subwords.vocab_size())?;
                    pairs.push(&direction.pair);
                    shards.push(shard);
                    shards.len() - 1
                }
            };
            let tag = subwords.tag(&direction.target).ok_or_else(|| Error::UnknownLanguage {
                language: direction.target.clone(),
                known: subwords.languages().join(", "),
            })?;
            lanes.push(Lane { shard, swapped: direction.swapped, tag });
            names.push(direction.name());
        }
        Ok(Self { lanes, names, shards })
    }

    fn push(&self, batch: &mut Batch, example: ExampleId) -> Result<()> {
        let lane = &self.lanes[example.direction];
        let (first, second) = self.shards[lane.shard].pair(example.index as usize)?;
        let (source, target) = if lane.swapped { (&second, &first) } else { (&first, &second) };
        batch.push(example, lane.tag, source, target);
        Ok(())
    }

    /// The pairs of each shard that have two sides and fit; and how many do not.
    fn fitting(&self, max_length: usize) -> (Vec<Vec<u32>>, u64) {
        let fits = |lengths: (usize, usize)| lengths.0 > 0 && lengths.1 > 0 && cost(lengths) <= max_length;
        let kept: Vec<Vec<u32>> = self
            .shards
            .iter()
            .map(|shard| (0..shard.len() as u32).into_par_iter().filter(|i| fits(shard.lengths(*i as usize))).collect())
            .collect();
        let skipped = self.shards.iter().zip(&kept).map(|(shard, kept)| (shard.len() - kept.len()) as u64).sum();
        (kept, skipped)
    }
}

/// The training batches of a prepared corpus, round after round, for ever.
///
/// A round's order follows from the seed and the round's number alone, so a [`StreamPosition`] is all that a checkpoint
/// needs. It holds 4 bytes for each pair of the corpus and 16 for each example of a round.
#[derive(Debug)]
pub struct TrainStream {
    lanes: Lanes,
    options: StreamOptions,
    /// Pairs of each shard that are learnt from.
    kept: Vec<Vec<u32>>,
    /// Examples of each direction in a round.
    examples: Vec<u64>,
    skipped: u64,
    position: StreamPosition,
    /// The order of the round of `position`.
    plan: Plan,
}

/// One round: its examples, and where each batch of all ranks ends, in the order of training.
#[derive(Debug, Default)]
struct Plan {
    examples: Vec<(u32, u32)>,
    batches: Vec<std::ops::Range<usize>>,
}

impl TrainStream {
    /// Opens the training split of a prepared folder; `directions` such as `en-de`, all if empty.
    ///
    /// # Errors
    /// An unknown direction, missing or damaged files, no pair that can be learnt from.
    pub fn open(prepared: &Path, directions: &[String], options: StreamOptions) -> Result<Self> {
        let lanes = Lanes::open(prepared, "train", directions)?;
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

    /// Pairs left out because a side is empty or too long.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Examples of each direction in a round.
    pub fn examples_per_round(&self) -> &[u64] {
        &self.examples
    }

    /// Batches that each rank gets in a round.
    pub fn batches_per_round(&self) -> u64 {
        (self.plan.batches.len() / self.options.ranks.max(1)).max(1) as u64
    }

    /// Where the next batch is.
    pub fn position(&self) -> StreamPosition {
        self.position.clone()
    }

    /// Goes to a place that [`TrainStream::position`] gave.
    ///
    /// # Errors
    /// A place that this corpus, seed and batch size do not have.
    pub fn seek(&mut self, position: &StreamPosition) -> Result<()> {
        if position.round != self.position.round {
            self.plan = self.plan_round(position.round);
        }
        if position.batch > self.batches_per_round() {
            let reason = format!(
                "batch {} of a round with {}: the corpus or the batch size changed since the checkpoint",
                position.batch,
                self.batches_per_round()
            );
            return Err(Error::Option { option: "position", reason });
        }
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
        let StreamOptions { rank, ranks, .. } = self.options;
        let place = (self.position.batch as usize * ranks.max(1) + rank) % self.plan.batches.len();
        let mut batch = Batch::default();
        for (direction, index) in &self.plan.examples[self.plan.batches[place].clone()] {
            let example = ExampleId { direction: *direction as usize, index: u64::from(*index) };
            self.lanes.push(&mut batch, example)?;
        }
        self.position.batch += 1;
        Ok(batch)
    }

    /// Sorts a round's examples by length, equal ones by chance, cuts them into batches and shuffles those.
    fn plan_round(&self, round: u64) -> Plan {
        let seed = self.options.seed;
        let mut keyed: Vec<(u32, u32, u32, u32)> = Vec::with_capacity(self.examples.iter().sum::<u64>() as usize);
        for (direction, (lane, examples)) in self.lanes.lanes.iter().zip(&self.examples).enumerate() {
            let (kept, shard) = (&self.kept[lane.shard], &self.lanes.shards[lane.shard]);
            let of_direction = hash(&[seed, round, direction as u64]);
            keyed.extend(places(kept.len() as u64, *examples, of_direction).enumerate().map(|(count, place)| {
                let index = kept[place as usize];
                let tokens = cost(shard.lengths(index as usize)) as u32;
                (tokens, hash(&[of_direction, count as u64, place]) as u32, direction as u32, index)
            }));
        }
        keyed.par_sort_unstable();
        let mut batches: Vec<std::ops::Range<usize>> = Vec::new();
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
    /// Opens a split of a prepared folder: the first `limit` pairs (0: all) of each of `directions` (none named: all).
    ///
    /// # Errors
    /// An unknown direction, missing or damaged files. A corpus without this split is empty, not an error.
    pub fn open(
        prepared: &Path,
        split: &str,
        directions: &[String],
        tokens_per_batch: usize,
        max_length: usize,
        limit: usize,
    ) -> Result<Self> {
        let lanes = Lanes::open(prepared, split, directions)?;
        let (kept, skipped) = lanes.fitting(max_length);
        let limit = if limit == 0 { usize::MAX } else { limit };
        let of = |lane: &Lane| kept[lane.shard].iter().copied().take(limit).collect();
        let examples = lanes.lanes.iter().map(of).collect();
        Ok(Self { lanes, examples, skipped, tokens_per_batch })
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

    /// Batches of one direction each, with the direction's place.
    pub fn batches(&self) -> impl Iterator<Item = Result<(usize, Batch)>> + '_ {
        self.examples.iter().enumerate().flat_map(move |(direction, examples)| {
            let mut left: VecDeque<u32> = examples.iter().copied().collect();
            let shard = &self.lanes.shards[self.lanes.lanes[direction].shard];
            std::iter::from_fn(move || {
                let (mut batch, mut tokens) = (Batch::default(), 0);
                while let Some(index) = left.front().copied() {
                    tokens += cost(shard.lengths(index as usize));
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
