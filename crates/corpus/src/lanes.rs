//! The directions of a prepared folder and the shards that their text is in.

use std::path::Path;

use rayon::prelude::*;
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_recipe::Prompts;

use crate::batches::{Batch, ExampleId};
use crate::error::{Error, Result};
use crate::frame::{Frame, MissingTag};
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
    /// What stands around its sentences.
    pub frame: Frame,
}

/// Shards and directions of one split.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub lanes: Vec<Lane>,
    /// Names of the directions, such as `en-de`.
    pub names: Vec<String>,
    pub shards: Vec<PairShard>,
    /// Tokens around a sentence, those of the side that has more: a tag and the end mark.
    marks: usize,
}

impl Lanes {
    pub(crate) fn open(prepared: &Path, split: &str, directions: &[String], prompts: &Prompts) -> Result<Self> {
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
            let Direction { source, target, .. } = direction;
            let frame = Frame::new(prompts, subwords.tag(source), subwords.tag(target));
            let frame = frame.map_err(|missing| Error::UnknownLanguage {
                language: if missing == MissingTag::Source { source } else { target }.clone(),
                known: subwords.languages().to_vec(),
            })?;
            lanes.push(Lane { shard, swapped: direction.swapped, frame });
            names.push(direction.name());
        }
        // A target has the end mark besides its prompt.
        let marks = (prompts.source_front.len() + prompts.source_end.len()).max(prompts.decoder.len() + 1);
        Ok(Self { lanes, names, shards, marks })
    }

    /// Tokens that an example of a direction counts: its longer side with what stands around it.
    pub(crate) fn cost(&self, lengths: (usize, usize)) -> usize {
        lengths.0.max(lengths.1) + self.marks
    }

    pub(crate) fn push(&self, batch: &mut Batch, example: ExampleId) -> Result<()> {
        let lane = &self.lanes[example.direction];
        let (first, second) = self.shards[lane.shard].pair(example.index as usize)?;
        let (source, target) = if lane.swapped { (&second, &first) } else { (&first, &second) };
        batch.push(example, &lane.frame, source, target);
        Ok(())
    }

    /// The pairs of each shard that have two sides and fit, and how many do not.
    pub(crate) fn fitting(&self, max_length: usize) -> (Vec<Vec<u32>>, u64) {
        let fits = |lengths: (usize, usize)| lengths.0 > 0 && lengths.1 > 0 && self.cost(lengths) <= max_length;
        let kept: Vec<Vec<u32>> = self
            .shards
            .iter()
            .map(|shard| (0..shard.len() as u32).into_par_iter().filter(|i| fits(shard.lengths(*i as usize))).collect())
            .collect();
        let skipped = self.shards.iter().zip(&kept).map(|(shard, kept)| (shard.len() - kept.len()) as u64).sum();
        (kept, skipped)
    }
}
