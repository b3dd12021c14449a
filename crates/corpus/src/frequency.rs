//! How often each subword occurs in the text of each language.

use std::collections::BTreeMap;
use std::path::Path;

use crate::bitext::Split;
use crate::error::Result;
use crate::languages::Languages;
use crate::shards::PairShard;

/// Counts how often each id occurs in the shards of a split of a prepared folder, by language: `[vocab_size]` counts
/// each. A pair counts once, however many directions use it; one without pairs in that split need not have a shard.
///
/// # Errors
/// Missing or damaged shards, and ids outside the vocabulary.
pub fn subword_counts(
    prepared: &Path,
    split: Split,
    languages: &Languages,
    vocab_size: usize,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut seen: Vec<&str> = Vec::new();
    for direction in &languages.directions {
        let path = prepared.join(split.name()).join(format!("{}.shard", direction.pair));
        let pairs = match split {
            Split::Train => direction.train,
            Split::Valid => direction.valid,
            Split::Test => direction.test,
        };
        if seen.contains(&direction.pair.as_str()) || (pairs == 0 && !path.exists()) {
            continue;
        }
        seen.push(&direction.pair);
        let shard = PairShard::open(&path)?;
        shard.check_ids(vocab_size)?;
        let (first, second) = match direction.swapped {
            false => (&direction.source, &direction.target),
            true => (&direction.target, &direction.source),
        };
        for i in 0..shard.len() {
            let (of_first, of_second) = shard.pair(i)?;
            for (language, ids) in [(first, of_first), (second, of_second)] {
                let counts = counts.entry(language.clone()).or_insert_with(|| vec![0; vocab_size]);
                ids.into_iter().for_each(|id| counts[id as usize] += 1);
            }
        }
    }
    Ok(counts)
}
