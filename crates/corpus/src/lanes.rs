//! The directions of a prepared folder and the shards that their text is in.

use std::path::Path;

use rayon::prelude::*;
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};

use crate::batches::{Batch, ExampleId};
use crate::error::{Error, Result};
use crate::languages::{Direction, Languages};
use crate::shards::PairShard;
use crate::subword::Subwords;

/// One direction: its text, and how it is tagged.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Index of its shard.
    pub shard: usize,
    /// Whether the source is the second side of the shard.
    pub swapped: bool,
    /// Id of the target language's tag.
    pub tag: u32,
}

/// Shards and directions of one split.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub lanes: Vec<Lane>,
    /// Names of the directions, such as `en-de`.
    pub names: Vec<String>,
    pub shards: Vec<PairShard>,
}

/// Tokens that an example counts: its longer side with its marks (`<2TGT>` and `</s>`).
pub(crate) fn cost(lengths: (usize, usize)) -> usize {
    lengths.0.max(lengths.1) + 2
}

impl Lanes {
    pub(crate) fn open(prepared: &Path, split: &str, directions: &[String]) -> Result<Self> {
        let languages = Languages::load(&prepared.join(LANGUAGES_FILE))?;
        let subwords = Subwords::load(&prepared.join(TOKENIZER_FILE))?;
        let named = |d: &Direction, name: &String| *name == d.name() || *name == d.to_string();
        for name in directions {
            if !languages.directions.iter().any(|d| named(d, name)) {
                let known = languages.directions.iter().map(Direction::name).collect();
                return Err(Error::UnknownDirection { direction: name.clone(), known });
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
                        continue; // the pair does not have this split
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
                known: subwords.languages().to_vec(),
            })?;
            lanes.push(Lane { shard, swapped: direction.swapped, tag });
            names.push(direction.name());
        }
        Ok(Self { lanes, names, shards })
    }

    pub(crate) fn push(&self, batch: &mut Batch, example: ExampleId) -> Result<()> {
        let lane = &self.lanes[example.direction];
        let (first, second) = self.shards[lane.shard].pair(example.index as usize)?;
        let (source, target) = if lane.swapped { (&second, &first) } else { (&first, &second) };
        batch.push(example, lane.tag, source, target);
        Ok(())
    }

    /// The pairs of each shard that have two sides and fit, and how many do not.
    pub(crate) fn fitting(&self, max_length: usize) -> (Vec<Vec<u32>>, u64) {
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
