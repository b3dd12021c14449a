//! `languages.json` of a prepared or model folder: the languages, their resource levels, and the directions.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
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

/// The content of `languages.json`: in full, or in the form that [`every_direction`] writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Languages {
    /// Layout version of this file.
    pub version: u32,
    /// Where the levels begin.
    pub thresholds: Thresholds,
    /// The languages of the text, sorted by tag. The subword model has a tag for each, and for others too where it is
    /// that of an earlier model.
    pub languages: Vec<Language>,
    /// All directions, sorted by source and target.
    pub directions: Vec<Direction>,
    /// In a model folder: subwords of the longest side that the model has learned from, tag and end mark included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
}

/// Current layout version; the second is [`EveryDirection`].
const VERSION: u32 = 2;
/// The layout that lists each direction with its training text.
const IN_FULL: u32 = 1;

/// The second layout, of models without training text of their own: only the languages, from each of which the model
/// translates into each other one. 202 languages have 40,602 directions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EveryDirection {
    version: u32,
    /// Tags.
    every_direction_between: Vec<String>,
}

/// The text of a `languages.json` for a model that translates between any two of these languages, sorted by tag.
pub fn every_direction(tags: &[String]) -> String {
    let short = EveryDirection { version: VERSION, every_direction_between: tags.to_vec() };
    // Strings and a number always have a JSON form.
    serde_json::to_string_pretty(&short).unwrap_or_default() + "\n"
}

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
            version: IN_FULL,
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
        let json: Value = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path, e.to_string()))?;
        let damaged = |e: serde_json::Error| Error::damaged(path, e.to_string());
        match json["version"].as_u64().unwrap_or_default() {
            version if version > u64::from(VERSION) => {
                let reason = format!("written by a newer strata (layout {version}, this one reads {VERSION})");
                Err(Error::damaged(path, reason))
            }
            2 => EveryDirection::deserialize(json).map_err(damaged)?.expand().map_err(|e| Error::damaged(path, e)),
            _ => Self::deserialize(json).map_err(damaged),
        }
    }

    /// A model's languages and directions where nothing is known of its training text.
    pub fn without_text(tags: &[String], directions: &[(String, String)]) -> Self {
        let thresholds = Thresholds { high_from: 0, very_low_to: 0 };
        let language = |tag: &String| Language { tag: tag.clone(), train_pairs: 0, level: Level::High };
        let direction = |(source, target): &(String, String)| Direction {
            source: source.clone(),
            target: target.clone(),
            pair: format!("{source}-{target}"),
            swapped: false,
            train: 0,
            valid: 0,
            test: 0,
            level: Level::High,
        };
        let languages = tags.iter().map(language).collect();
        let directions = directions.iter().map(direction).collect();
        Self { version: IN_FULL, thresholds, languages, directions, max_length: None }
    }

    /// The languages and directions of a model that was trained on this text and, before, on that of `model`. Where
    /// both have text, this one's counts; what is known of a language's level is with the text that it had.
    pub fn after(mut self, model: Languages) -> Self {
        let known = |languages: &Self, tag: &str| languages.languages.iter().any(|language| language.tag == tag);
        let further: Vec<Language> = model.languages.into_iter().filter(|l| !known(&self, &l.tag)).collect();
        self.languages.extend(further);
        self.languages.sort_by(|a, b| a.tag.cmp(&b.tag));
        let sides = |direction: &Direction| (direction.source.clone(), direction.target.clone());
        let own: HashSet<(String, String)> = self.directions.iter().map(sides).collect();
        self.directions.extend(model.directions.into_iter().filter(|direction| !own.contains(&sides(direction))));
        self.directions.sort_by_key(sides);
        // What is not known of the model is not known of the two.
        self.max_length = self.max_length.zip(model.max_length).map(|(own, before)| own.max(before));
        self
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

/// More languages than any model has.
const MOST_LANGUAGES: usize = 2000;

impl EveryDirection {
    /// Each direction, sorted by source and target.
    fn expand(self) -> Result<Languages, String> {
        let tags = self.every_direction_between;
        if !tags.is_sorted_by(|a, b| a < b) {
            return Err("the tags are not sorted, or repeated".to_string());
        }
        if tags.len() > MOST_LANGUAGES {
            return Err(format!("{} languages; the limit is {MOST_LANGUAGES}", tags.len()));
        }
        let pairs = tags.iter().flat_map(|source| tags.iter().map(move |target| (source, target)));
        let directions: Vec<(String, String)> =
            pairs.filter(|(a, b)| a != b).map(|(source, target)| (source.clone(), target.clone())).collect();
        Ok(Languages::without_text(&tags, &directions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compact_form_names_every_direction() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LANGUAGES_FILE);
        let tags = ["de", "en", "zh"].map(String::from);
        std::fs::write(&path, every_direction(&tags)).unwrap();
        let languages = Languages::load(&path).unwrap();
        assert_eq!(languages.tags(), tags);
        let names: Vec<String> = languages.directions.iter().map(Direction::to_string).collect();
        assert_eq!(names, ["de->en", "de->zh", "en->de", "en->zh", "zh->de", "zh->en"]);
        std::fs::write(&path, serde_json::to_string(&languages).unwrap()).unwrap();
        assert_eq!(Languages::load(&path).unwrap(), languages);
        for (text, expected) in [
            (r#"{"version": 3}"#, "written by a newer strata (layout 3, this one reads 2)"),
            (r#"{"version": 2, "every_direction_between": ["b", "a"]}"#, "not sorted"),
            (r#"{"version": 2, "every_direction_between": ["a"], "more": 1}"#, "unknown field"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Languages::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_model_that_was_trained_on_knows_the_languages_of_both_texts() {
        let pair = |name: &str| Pair::parse(name).unwrap();
        let before = [(pair("en-de"), [90, 1, 1], [true, true]), (pair("en-fr"), [10, 1, 1], [true, false])];
        let now = [(pair("en-de"), [50, 2, 2], [true, false]), (pair("en-uk"), [40, 2, 2], [true, true])];
        let of = |pairs, max_length| Languages { max_length, ..Languages::new(pairs, None) };
        let both = of(&now, Some(64)).after(of(&before, Some(128)));
        assert_eq!(both.tags(), ["de", "en", "fr", "uk"]);
        assert_eq!(both.language("de").unwrap().train_pairs, 50);
        assert_eq!(both.language("fr").unwrap().level, Level::VeryLow);
        let named: Vec<(String, u64)> = both.directions.iter().map(|d| (d.name(), d.train)).collect();
        let expected = [("de-en", 90), ("en-de", 50), ("en-fr", 10), ("en-uk", 40), ("uk-en", 40)];
        assert_eq!(named, expected.map(|(name, train)| (name.to_string(), train)));
        assert_eq!(both.max_length, Some(128));
        assert_eq!(of(&now, Some(64)).after(of(&before, None)).max_length, None);
        let again = both.clone();
        assert_eq!(again.clone().after(both), again);
    }

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
