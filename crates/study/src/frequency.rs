//! How frequent each subword is in the training text of a language.

use std::collections::HashMap;
use std::path::Path;

use strata_corpus::languages::Languages;
use strata_corpus::shards::PairShard;

use crate::error::Error;

/// Ranks of subwords by language: 1 is the most frequent.
#[derive(Clone, Debug, Default)]
pub struct Frequencies {
    ranks: HashMap<String, HashMap<u32, u32>>,
}

impl Frequencies {
    /// Counts the training shards of a prepared folder. A pair counts once, whatever directions are learnt from it.
    ///
    /// # Errors
    /// Missing or damaged shards.
    pub fn read(prepared: &Path, languages: &Languages) -> Result<Self, Error> {
        let mut counts: HashMap<&str, HashMap<u32, u64>> = HashMap::new();
        let mut seen: Vec<&str> = Vec::new();
        for direction in &languages.directions {
            if seen.contains(&direction.pair.as_str()) {
                continue;
            }
            seen.push(&direction.pair);
            let shard = PairShard::open(&prepared.join("train").join(format!("{}.shard", direction.pair)))?;
            let (first, second) = match direction.swapped {
                false => (&direction.source, &direction.target),
                true => (&direction.target, &direction.source),
            };
            for i in 0..shard.len() {
                let (of_first, of_second) = shard.pair(i)?;
                for (language, ids) in [(first, of_first), (second, of_second)] {
                    let counts = counts.entry(language.as_str()).or_default();
                    ids.into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
                }
            }
        }
        let ranks = counts.into_iter().map(|(language, counts)| (language.to_string(), ranks(counts))).collect();
        Ok(Self { ranks })
    }

    /// The rank of a subword in a language; none where its training text does not have it.
    pub fn rank(&self, language: &str, id: u32) -> Option<u32> {
        self.ranks.get(language)?.get(&id).copied()
    }
}

/// From counts to ranks; equal counts in the order of the ids.
fn ranks(counts: HashMap<u32, u64>) -> HashMap<u32, u32> {
    let mut order: Vec<(u32, u64)> = counts.into_iter().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    order.into_iter().zip(1..).map(|((id, _), rank)| (id, rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_is_first_and_ties_go_by_id() {
        let found = ranks([(9, 4), (3, 1), (5, 7), (2, 1)].into_iter().collect());
        assert_eq!([5, 9, 2, 3].map(|id| found[&id]), [1, 2, 3, 4]);
    }
}
