//! The settings of [`prepare`](super::prepare).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bitext::Pair;
use crate::error::{Error, Result};
use crate::filter::Limits;
use crate::language::LanguageFilter;
use crate::languages::Thresholds;
use crate::leak::LeakCheck;
use crate::normalize::Form;
use crate::trainer::Kind;

/// Which directions the pairs serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directions {
    /// `train.en-de.*` serves en->de and de->en.
    #[default]
    Both,
    /// Only as the files are named: en->de.
    Forward,
    /// These only, as `en-de`; pairs that serve none are left out.
    List(Vec<String>),
}

impl Directions {
    /// Whether a pair serves its forward and its backward direction.
    pub(crate) fn used(&self, pair: &Pair) -> [bool; 2] {
        match self {
            Directions::Both => [true, true],
            Directions::Forward => [true, false],
            Directions::List(names) => {
                let forward = format!("{}-{}", pair.first, pair.second);
                let backward = format!("{}-{}", pair.second, pair.first);
                [names.contains(&forward), names.contains(&backward)]
            }
        }
    }
}

/// The subword model to train or import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubwordOptions {
    /// Import this model (`tokenizer.json` or SentencePiece `.model`) instead of training one.
    pub import: Option<PathBuf>,
    /// What to train.
    pub kind: Kind,
    /// Ids in all: special tokens, tags, 256 bytes, pieces. With little text the model comes out smaller.
    pub vocab_size: usize,
    /// Languages are sampled in proportion to (their sentences)^(1/temperature): 1 keeps the proportions, 5 nearly
    /// levels them.
    pub temperature: f64,
    /// Sentences, of all languages together, that the model is trained on at most.
    pub sample_sentences: u64,
    /// Share of each language's text whose characters get a piece of their own; rarer ones are left to bytes. However
    /// large the alphabets, they take at most half of the vocabulary.
    pub character_coverage: f64,
    /// Determines the sentences of the sample.
    pub seed: u64,
}

impl Default for SubwordOptions {
    fn default() -> Self {
        Self {
            import: None,
            kind: Kind::default(),
            vocab_size: 16_000,
            temperature: 5.0,
            sample_sentences: 500_000,
            character_coverage: 1.0,
            seed: 1,
        }
    }
}

/// All settings. Everything but the two folders has a sensible default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Folder of the bitext.
    pub input: PathBuf,
    /// Prepared folder to write.
    pub output: PathBuf,
    /// Replace an earlier prepared folder at `output` (nothing else is ever replaced).
    pub overwrite: bool,
    /// Only pairs of these languages; all if empty.
    pub languages: Vec<String>,
    /// Which directions the pairs serve.
    pub directions: Directions,
    /// Unicode normalization.
    pub form: Form,
    /// Drop and count lines that are no valid pair (not UTF-8, wrong columns, too long) instead of stopping.
    pub skip_invalid: bool,
    /// Filters for training pairs.
    pub limits: Limits,
    /// Drop training pairs that repeat an earlier one of the same language pair.
    pub deduplicate: bool,
    /// The check of train against valid and test.
    pub leak: LeakCheck,
    /// Drop training pairs with a side in a wrong language; off by default.
    pub language_filter: Option<LanguageFilter>,
    /// The subword model.
    pub subwords: SubwordOptions,
    /// Resource levels; relative to the largest pair if absent.
    pub thresholds: Option<Thresholds>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            input: PathBuf::new(),
            output: PathBuf::new(),
            overwrite: false,
            languages: Vec::new(),
            directions: Directions::Both,
            form: Form::Nfc,
            skip_invalid: false,
            limits: Limits::default(),
            deduplicate: true,
            leak: LeakCheck::default(),
            language_filter: None,
            subwords: SubwordOptions::default(),
            thresholds: None,
        }
    }
}

impl Options {
    /// The defaults for these folders.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self { input: input.into(), output: output.into(), ..Self::default() }
    }

    /// Refuses invalid values.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |option, reason: String| Err(Error::Option { option, reason });
        let subwords = &self.subwords;
        if !(subwords.temperature.is_finite() && subwords.temperature >= 1.0) {
            return wrong("subwords.temperature", format!("{} is not a number from 1 up", subwords.temperature));
        }
        if !(subwords.character_coverage > 0.0 && subwords.character_coverage <= 1.0) {
            let reason = format!("{} is not above 0 and at most 1", subwords.character_coverage);
            return wrong("subwords.character_coverage", reason);
        }
        if subwords.sample_sentences == 0 {
            return wrong("subwords.sample_sentences", "must be at least 1".to_string());
        }
        if subwords.vocab_size > 1 << 22 {
            return wrong("subwords.vocab_size", format!("{} is more than 4,194,304", subwords.vocab_size));
        }
        for (option, ratio) in [
            ("limits.max_character_ratio", self.limits.max_character_ratio),
            ("limits.max_subword_ratio", self.limits.max_subword_ratio),
        ] {
            if ratio.is_nan() || ratio < 1.0 {
                return wrong(option, format!("{ratio} is not a number from 1 up"));
            }
        }
        if self.limits.min_characters > self.limits.max_characters {
            let reason = format!("{} is above limits.max_characters", self.limits.min_characters);
            return wrong("limits.min_characters", reason);
        }
        if let Some(filter) = &self.language_filter
            && !(0.0..=1.0).contains(&filter.min_confidence)
        {
            return wrong("language_filter.min_confidence", "must be from 0 to 1".to_string());
        }
        if let Some(t) = self.thresholds
            && t.very_low_to >= t.high_from
        {
            let reason = format!("very-low ends at {} pairs but high begins at {}", t.very_low_to, t.high_from);
            return wrong("thresholds", reason);
        }
        Ok(())
    }
}
