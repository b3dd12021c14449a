//! How to translate.

use std::sync::Arc;

use strata_recipe::{SearchOptions, TranslateSection};
use strata_runtime::{Limits, Stop, Tally};

use crate::glossary::Glossary;
use crate::vocabulary::VocabularyMap;

/// How to translate: the search, and the subwords that translations must and may have.
#[derive(Clone, Debug, PartialEq)]
pub struct TranslateOptions {
    /// How to search, and what to give back.
    pub search: SearchOptions,
    /// Source subwords translated together.
    pub tokens_per_batch: usize,
    /// A line is one sentence for the model, as in a corpus: it is cut only where it is longer than the model has
    /// learned, nothing is copied around the model, and what comes out is taken as it is.
    pub whole_lines: bool,
    /// Words that must be translated in a given way.
    pub glossary: Option<Arc<Glossary>>,
    /// Pieces, as the subword model prints them, that the search never chooses.
    pub suppress: Vec<String>,
    /// The subwords that translations may have, by target language, instead of those that a packed folder may say;
    /// those of prefixes and glossaries are added.
    pub vocabulary_map: Option<Arc<VocabularyMap>>,
    /// Translations may have every subword, also where the model has a map or a shortlist.
    pub whole_vocabulary: bool,
    /// Ends the translation from another thread (CPU).
    pub stop: Option<Stop>,
    /// Counts the sentences that are translated, those that are tried again too.
    pub tally: Option<Tally>,
}

impl TranslateOptions {
    /// Whether plain beam search, all that other devices than the CPU have, does what these options ask.
    pub fn is_plain(&self) -> bool {
        let SearchOptions { beam, nbest, length_penalty, max_ratio, max_extra, .. } = self.search;
        let plain = SearchOptions { beam, nbest, length_penalty, max_ratio, max_extra, ..SearchOptions::default() };
        self.search == plain && self.glossary.is_none() && self.vocabulary_map.is_none()
    }
}

/// The defaults of a recipe's `[translate]`.
impl Default for TranslateOptions {
    fn default() -> Self {
        Self {
            search: SearchOptions::default(),
            tokens_per_batch: Limits::default().source_tokens,
            whole_lines: false,
            glossary: None,
            suppress: Vec::new(),
            vocabulary_map: None,
            whole_vocabulary: false,
            stop: None,
            tally: None,
        }
    }
}

impl From<SearchOptions> for TranslateOptions {
    fn from(search: SearchOptions) -> Self {
        Self { search, ..Self::default() }
    }
}

impl From<&TranslateSection> for TranslateOptions {
    fn from(section: &TranslateSection) -> Self {
        Self { tokens_per_batch: section.tokens_per_batch, ..Self::from(section.search) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_batch_is_that_of_recipes() {
        let key = strata_recipe::key("translate.tokens_per_batch").map(|key| key.default.to_string());
        assert_eq!(key, Some(TranslateOptions::default().tokens_per_batch.to_string()));
    }
}
