//! Last pass: clean pairs to token shards.

use std::path::Path;

use rayon::prelude::*;

use super::clean::CleanFile;
use super::{Event, Options};
use crate::bitext::{Pair, Split};
use crate::error::Result;
use crate::report::{SplitReport, TextCounts};
use crate::shards::PairShardWriter;
use crate::subword::{Subwords, UNKNOWN};

/// Encodes a split into a shard; completes its report. Held-out pairs are all kept, in the order of their text files.
pub(super) fn encode(
    (pair, split): (&Pair, Split),
    clean: &CleanFile,
    subwords: &Subwords,
    options: &Options,
    shard: &Path,
    report: &mut SplitReport,
    progress: &mut dyn FnMut(Event),
) -> Result<()> {
    let mut writer = PairShardWriter::create(shard)?;
    let mut done = 0;
    report.kept = 0;
    clean.for_chunks(|chunk| {
        let encoded: Vec<(Vec<u32>, Vec<u32>)> = chunk
            .par_iter()
            .with_min_len(64)
            .map(|(first, second)| (subwords.encode(first), subwords.encode(second)))
            .collect();
        for ((first, second), (a, b)) in chunk.iter().zip(&encoded) {
            if split == Split::Train
                && let Some(reason) = options.limits.check_subwords(a.len(), b.len())
            {
                *report.dropped.entry(reason).or_default() += 1;
                continue;
            }
            writer.push(a, b)?;
            report.kept += 1;
            report.first.add(&count(first, a, subwords));
            report.second.add(&count(second, b, subwords));
        }
        done += chunk.len() as u64;
        progress(Event::Encoding { split, pair: pair.to_string(), pairs: done, of: clean.pairs });
        Ok(())
    })?;
    writer.finish()?;
    Ok(())
}

fn count(text: &str, ids: &[u32], subwords: &Subwords) -> TextCounts {
    TextCounts {
        sentences: 1,
        characters: text.chars().count() as u64,
        words: text.split(' ').count() as u64,
        subwords: ids.len() as u64,
        byte_subwords: ids.iter().filter(|id| subwords.is_byte(**id)).count() as u64,
        unknown_subwords: ids.iter().filter(|id| **id == UNKNOWN).count() as u64,
    }
}
