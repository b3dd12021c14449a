//! `languages.json` of a prepared or model folder: the languages, their resource levels, and the directions.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use strata_files::IoContext;
pub use strata_files::names::LANGUAGES_FILE;

use crate::bitext::Pair;
use crate::error::{Error, Result};

/// The resource level of a language or direction: how much training text it has beside the others of its corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Much text.
    High,
    /// Less.
    Low,
    /// Hardly any.
    VeryLow,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Level::High => "high",
            Level::Low => "low",
            Level::VeryLow => "very-low",
        })
    }
}

/// Where the levels begin, in training pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// `high` from this many pairs on.
    pub high_from: u64,
    /// `very-low` up to this many pairs.
    pub very_low_to: u64,
}

impl Thresholds {
    /// For a corpus whose largest pair has `largest` training pairs: high from 55 % of that, very-low up to 20 %.
    pub fn relative_to(largest: u64) -> Self {
        Self { high_from: (largest * 55).div_ceil(100).max(1), very_low_to: largest / 5 }
    }

    /// The level of a number of training pairs.
    pub fn level(self, pairs: u64) -> Level {
        if pairs >= self.high_from {
            Level::High
        } else if pairs <= self.very_low_to {
            Level::VeryLow
        } else {
            Level::Low
        }
    }
}

/// A language of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// Its tag, as in file names.
    pub tag: String,
    /// Training pairs that have it on a side.
    pub train_pairs: u64,
    /// By `train_pairs`.
    pub level: Level,
}

/// A direction of translation and where its text is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direction {
    /// Language translated from.
    pub source: String,
    /// Language translated into.
    pub target: String,
    /// The pair whose files hold it: `SPLIT/PAIR.shard` and `text/SPLIT.PAIR.LANGUAGE`.
    pub pair: String,
    /// Whether the source is the second side of those files.
    pub swapped: bool,
    /// Training pairs.
    pub train: u64,
    /// Validation pairs.
    pub valid: u64,
    /// Test pairs.
    pub test: u64,
    /// By `train`.
    pub level: Level,
}

impl Direction {
    /// `en-de`, as in file names.
    pub fn name(&self) -> String {
        format!("{}-{}", self.source, self.target)
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}->{}", self.source, self.target)
    }
}

/// The content of `languages.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Languages {
    /// Layout version of this file.
    pub version: u32,
    /// Where the levels begin.
    pub thresholds: Thresholds,
    /// All languages, sorted by tag; their target tags have ids in this order.
    pub languages: Vec<Language>,
    /// All directions, sorted by source and target.
    pub directions: Vec<Direction>,
    /// In a model folder: subwords of the longest side that the model has learned from, tag and end mark included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
}

/// Current layout version.
const VERSION: u32 = 1;

/// Numbers of pairs per split: train, valid, test.
pub(crate) type Counts = [u64; 3];

impl Languages {
    /// Puts the file together from the pairs' counts and the directions that each serves (forward, backward).
    pub(crate) fn new(pairs: &[(Pair, Counts, [bool; 2])], thresholds: Option<Thresholds>) -> Self {
        let largest = pairs.iter().map(|(_, counts, _)| counts[0]).max().unwrap_or(0);
        let thresholds = thresholds.unwrap_or_else(|| Thresholds::relative_to(largest));
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        let mut directions = Vec::new();
        for (pair, counts, used) in pairs {
            for (swapped, (source, target)) in
                [(false, (&pair.first, &pair.second)), (true, (&pair.second, &pair.first))]
            {
                *totals.entry(source).or_default() += counts[0];
                if used[usize::from(swapped)] {
                    directions.push(Direction {
                        source: source.clone(),
                        target: target.clone(),
                        pair: pair.to_string(),
                        swapped,
                        train: counts[0],
                        valid: counts[1],
                        test: counts[2],
                        level: thresholds.level(counts[0]),
                    });
                }
            }
        }
        directions.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
        let language = |(tag, train_pairs): (&str, u64)| Language {
            tag: tag.to_string(),
            train_pairs,
            level: thresholds.level(train_pairs),
        };
        Self {
            version: VERSION,
            thresholds,
            languages: totals.into_iter().map(language).collect(),
            directions,
            max_length: None,
        }
    }

    /// Reads a `languages.json`.
    ///
    /// # Errors
    /// A missing or damaged file, or one of a newer layout.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).io_context("read", path)?;
        let found: Self = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path, e.to_string()))?;
        if found.version > VERSION {
            let reason = format!("written by a newer strata (layout {}, this one reads {VERSION})", found.version);
            return Err(Error::damaged(path, reason));
        }
        Ok(found)
    }

    /// The language of a tag.
    ///
    /// # Errors
    /// [`Error::UnknownLanguage`], with the known tags and the nearest.
    pub fn language(&self, tag: &str) -> Result<&Language> {
        self.languages
            .iter()
            .find(|language| language.tag == tag)
            .ok_or_else(|| Error::UnknownLanguage { language: tag.to_string(), known: self.tags() })
    }

    /// All tags, sorted.
    pub fn tags(&self) -> Vec<String> {
        self.languages.iter().map(|language| language.tag.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_the_largest_pair_or_fixed_thresholds() {
        let pair = |name: &str| Pair::parse(name).unwrap();
        let pairs = [
            (pair("en-de"), [50_231, 10, 10], [true, true]),
            (pair("en-tr"), [25_445, 10, 10], [true, false]),
            (pair("ro-en"), [2_627, 0, 0], [true, true]),
        ];
        let relative = Languages::new(&pairs, None);
        let levels: Vec<(&str, Level)> = relative.languages.iter().map(|l| (l.tag.as_str(), l.level)).collect();
        assert_eq!(levels, [("de", Level::High), ("en", Level::High), ("ro", Level::VeryLow), ("tr", Level::Low)]);
        assert_eq!(relative.languages[1].train_pairs, 50_231 + 25_445 + 2_627);
        let names: Vec<String> = relative.directions.iter().map(Direction::to_string).collect();
        assert_eq!(names, ["de->en", "en->de", "en->ro", "en->tr", "ro->en"]);
        assert!(relative.directions[2].swapped && relative.directions[2].pair == "ro-en");
        let fixed = Languages::new(&pairs, Some(Thresholds { high_from: 1_000_000, very_low_to: 100_000 }));
        assert!(fixed.directions.iter().all(|d| d.level == Level::VeryLow));
        let message = relative.language("rr").unwrap_err().to_string();
        assert!(message.contains("`rr` (did you mean `ro`?); known: de, en, ro, tr"), "{message}");
        assert_eq!(serde_json::to_string(&Level::VeryLow).unwrap(), format!("\"{}\"", Level::VeryLow));
    }
}
