//! How frequent each subword is in the training text of a language.

use std::collections::HashMap;
use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::bitext::Split;
use strata_corpus::frequency::subword_counts;
use strata_corpus::languages::Languages;
use strata_corpus::prepare::TOKENIZER_FILE;

use crate::error::Error;

/// Ranks of subwords by language: 1 is the most frequent.
#[derive(Clone, Debug, Default)]
pub struct Frequencies {
    ranks: HashMap<String, HashMap<u32, u32>>,
}

impl Frequencies {
    /// Counts the training shards of a prepared folder. A pair counts once, whatever directions are learned from it.
    /// Where they were cut into other subwords than `subwords`, no subword has a rank.
    ///
    /// # Errors
    /// Missing or damaged shards, and ids outside the vocabulary.
    pub fn read(prepared: &Path, languages: &Languages, subwords: &Subwords) -> Result<Self, Error> {
        if Subwords::load(&prepared.join(TOKENIZER_FILE))?.to_json() != subwords.to_json() {
            return Ok(Self::default());
        }
        let counts = subword_counts(prepared, Split::Train, languages, subwords.vocab_size())?.into_iter();
        let ranks = counts.map(|(language, counts)| (language, ranks((0..).zip(counts).collect()))).collect();
        Ok(Self { ranks })
    }

    /// The rank of a subword in a language; none where its training text does not have it.
    pub fn rank(&self, language: &str, id: u32) -> Option<u32> {
        self.ranks.get(language)?.get(&id).copied()
    }
}

/// From counts to ranks; equal counts in the order of the ids. What does not occur has no rank.
fn ranks(mut order: Vec<(u32, u64)>) -> HashMap<u32, u32> {
    order.retain(|(_, count)| *count > 0);
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    order.into_iter().zip(1..).map(|((id, _), rank)| (id, rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_is_first_and_ties_go_by_id() {
        let found = ranks(vec![(9, 4), (3, 1), (5, 7), (2, 1), (4, 0)]);
        assert_eq!([5, 9, 2, 3].map(|id| found[&id]), [1, 2, 3, 4]);
        assert_eq!(found.len(), 4);
    }
}
