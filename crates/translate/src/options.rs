//! How to translate.

use std::sync::Arc;

use strata_recipe::TranslateSection;
use strata_runtime::Sampling;

use crate::glossary::Glossary;
use crate::vocabulary::VocabularyMap;

/// Settings of the search and the batches; the defaults are those of a recipe's `[translate]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Hypotheses kept by beam search; 1 is greedy. With sampling: translations drawn.
    pub beam: usize,
    /// Scores are divided by `length ^ length_penalty`.
    pub length_penalty: f32,
    /// Translations of each sentence that are given back, at most `beam`.
    pub nbest: usize,
    /// Source subwords translated together.
    pub tokens_per_batch: usize,
    /// Longest translation in subwords: `max_ratio * source + max_extra`.
    pub max_ratio: f32,
    /// See `max_ratio`.
    pub max_extra: usize,
    /// What the CPU engine offers beyond plain beam search.
    pub more: More,
}

/// Options of the CPU engine; see `strata_runtime::SearchOptions` for what each does. Lengths are in subwords, the end mark
/// included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct More {
    /// Longest translation whatever the source is.
    pub max_length: Option<usize>,
    /// Shortest translation.
    pub min_length: usize,
    /// No sequence of this many subwords twice; 0 is off.
    pub no_repeat_ngram: usize,
    /// Weight of the coverage penalty; 0 is off.
    pub coverage_penalty: f32,
    /// Draw translations instead of searching.
    pub sampling: Option<Sampling>,
    /// Words that must be translated in a given way.
    pub glossary: Option<Arc<Glossary>>,
    /// Pieces, as the subword model prints them, that a translation never has.
    pub suppressed: Vec<String>,
    /// Subwords that translations may have, by target language; also those of prefixes and glossaries.
    pub vocabulary: Option<Arc<VocabularyMap>>,
    /// Give word alignments.
    pub alignment: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            beam: 5,
            length_penalty: 1.0,
            nbest: 1,
            tokens_per_batch: 4096,
            max_ratio: 2.0,
            max_extra: 20,
            more: More::default(),
        }
    }
}

impl From<&TranslateSection> for Options {
    fn from(section: &TranslateSection) -> Self {
        Self {
            beam: section.beam,
            length_penalty: section.length_penalty as f32,
            nbest: 1,
            tokens_per_batch: section.tokens_per_batch,
            max_ratio: section.max_length_factor as f32,
            max_extra: section.max_length_extra,
            more: More::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_recipes() {
        let shown = |name: &str| strata_recipe::key(name).map(|key| key.default);
        let Options { beam, length_penalty, tokens_per_batch, max_ratio, max_extra, .. } = Options::default();
        assert_eq!(shown("translate.beam"), Some(beam.to_string().as_str()));
        assert_eq!(shown("translate.length_penalty"), Some(format!("{length_penalty:?}").as_str()));
        assert_eq!(shown("translate.tokens_per_batch"), Some(tokens_per_batch.to_string().as_str()));
        assert_eq!(shown("translate.max_length_factor"), Some(format!("{max_ratio:?}").as_str()));
        assert_eq!(shown("translate.max_length_extra"), Some(max_extra.to_string().as_str()));
    }
}
