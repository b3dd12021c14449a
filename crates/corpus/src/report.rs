//! What `prepare` read, kept and dropped, and why, and how the subword model cuts each language.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use strata_files::thousands;

use crate::bitext::{Split, Unused};
use crate::codes::same;
use crate::filter::Reason;
use crate::languages::{Languages, Level};
use crate::sample::Share;

/// Sums over the kept sentences of one language, or of one side of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextCounts {
    /// Sentences.
    pub sentences: u64,
    /// Characters, spaces included.
    pub characters: u64,
    /// Words between spaces (few in scripts without spaces).
    pub words: u64,
    /// Subwords, without tags and end marks.
    pub subwords: u64,
    /// Of these, bytes of characters that no piece covers.
    pub byte_subwords: u64,
    /// Of these, unknown tokens (none with byte fallback).
    pub unknown_subwords: u64,
}

impl TextCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: &TextCounts) {
        self.sentences += other.sentences;
        self.characters += other.characters;
        self.words += other.words;
        self.subwords += other.subwords;
        self.byte_subwords += other.byte_subwords;
        self.unknown_subwords += other.unknown_subwords;
    }

    /// Mean subwords of a sentence; 0 if there are none.
    pub fn subwords_per_sentence(&self) -> f64 {
        ratio(self.subwords, self.sentences)
    }

    /// Fertility: mean subwords of a word.
    pub fn subwords_per_word(&self) -> f64 {
        ratio(self.subwords, self.words)
    }

    /// Mean characters of a subword.
    pub fn characters_per_subword(&self) -> f64 {
        ratio(self.characters, self.subwords)
    }

    /// Share of the subwords that are unknown.
    pub fn unknown_rate(&self) -> f64 {
        ratio(self.unknown_subwords, self.subwords)
    }

    /// Share of the subwords that are bytes.
    pub fn byte_rate(&self) -> f64 {
        ratio(self.byte_subwords, self.subwords)
    }
}

fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

/// Training pairs found in held-out data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakCounts {
    /// Found by the first side alone.
    pub first: u64,
    /// Found by the second side alone.
    pub second: u64,
    /// Found by both.
    pub both: u64,
}

/// One split of one pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitReport {
    /// Pairs in the input.
    pub read: u64,
    /// Pairs in the output.
    pub kept: u64,
    /// Pairs dropped, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// Leaks among the dropped, by the held-out split they were found in (train only).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaks: BTreeMap<Split, LeakCounts>,
    /// The first line that was dropped as invalid, with file, line and fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_invalid: Option<String>,
    /// The first side's text.
    pub first: TextCounts,
    /// The second side's text.
    pub second: TextCounts,
}

/// One language pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairReport {
    /// As in file names, `en-de`.
    pub pair: String,
    /// The directions it serves, as `en-de`.
    pub directions: Vec<String>,
    /// By split.
    pub splits: BTreeMap<Split, SplitReport>,
}

/// One language over all its pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageReport {
    /// Training pairs that have it.
    pub train_pairs: u64,
    /// Its resource level.
    pub level: Level,
    /// Training text.
    pub text: TextCounts,
    /// Mean subwords of a sentence.
    pub subwords_per_sentence: f64,
    /// Mean subwords of a word between spaces.
    pub subwords_per_word: f64,
    /// Mean characters of a subword.
    pub characters_per_subword: f64,
    /// Share of the subwords that are unknown.
    pub unknown_rate: f64,
    /// Share of the subwords that are bytes.
    pub byte_rate: f64,
    /// Its part of the subword model's training sample, if a model was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Share>,
    /// Share of its characters that have a piece of their own, if a model was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub character_coverage: Option<f64>,
    /// Whether the language filter, if on, knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<bool>,
}

/// The whole preparation. Holds no times and paths of the machine, so that the same input gives the same report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Layout version.
    pub version: u32,
    /// Subwords in the model, special tokens included.
    pub vocab_size: usize,
    /// `unigram`, `bpe`, or the name of the imported file.
    pub subword_model: String,
    /// By pair, in their order.
    pub pairs: Vec<PairReport>,
    /// By language.
    pub languages: BTreeMap<String, LanguageReport>,
    /// What `languages.json` says.
    pub directions: Languages,
    /// Files of the folder that were not used, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<Unused>,
}

impl Report {
    /// Directions that nothing is held out of to measure training by.
    pub fn without_validation(&self) -> Vec<String> {
        self.directions.directions.iter().filter(|d| d.train > 0 && d.valid == 0).map(|d| d.name()).collect()
    }

    /// Tags of the text that are codes of one language in one script, such as `de` and `deu_Latn`: models learn two.
    pub fn same_languages(&self) -> Vec<(&str, &str)> {
        let tags: Vec<&str> = self.languages.keys().map(String::as_str).collect();
        let pairs = tags.iter().enumerate().flat_map(|(i, one)| tags[i + 1..].iter().map(move |other| (*one, *other)));
        pairs.filter(|(one, other)| same(one, other)).collect()
    }

    /// Training pairs kept.
    pub fn train_pairs(&self) -> u64 {
        self.train_splits().map(|split| split.kept).sum()
    }

    /// Training pairs dropped, by reason; reasons that never applied are absent.
    pub fn dropped(&self) -> BTreeMap<Reason, u64> {
        let mut all = BTreeMap::new();
        for split in self.train_splits() {
            for (reason, n) in &split.dropped {
                *all.entry(*reason).or_default() += n;
            }
        }
        all
    }

    fn train_splits(&self) -> impl Iterator<Item = &SplitReport> {
        self.pairs.iter().filter_map(|pair| pair.splits.get(&Split::Train))
    }

    /// One line: "8,000 subwords, 112,930 pairs kept; dropped: 3,101 duplicates, 0 leaks".
    pub fn summary(&self) -> String {
        let dropped = self.dropped();
        let always = [Reason::Duplicate, Reason::Length, Reason::Ratio, Reason::Leak];
        let mut parts = Vec::new();
        for reason in Reason::ALL {
            let n = dropped.get(&reason).copied().unwrap_or(0);
            if n > 0 || always.contains(&reason) {
                parts.push(format!("{} {}", thousands(n), reason.label()));
            }
        }
        let (vocab, kept) = (thousands(self.vocab_size as u64), thousands(self.train_pairs()));
        format!("{vocab} subwords, {kept} pairs kept; dropped: {}", parts.join(", "))
    }
}

impl fmt::Display for Report {
    /// Tables for people: pairs with what was dropped, then languages with how they are cut.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary())?;
        let used: Vec<Reason> = self.dropped().into_keys().collect();
        writeln!(f)?;
        write!(f, "{:<12} {:>11} {:>11}", "train", "read", "kept")?;
        for reason in &used {
            write!(f, " {:>w$}", reason.label(), w = reason.label().len().max(9))?;
        }
        writeln!(f, " {:>8} {:>8}", "valid", "test")?;
        for pair in &self.pairs {
            let kept = |split| pair.splits.get(&split).map_or(0, |s: &SplitReport| s.kept);
            let train = pair.splits.get(&Split::Train);
            let read = train.map_or(0, |s| s.read);
            write!(f, "{:<12} {:>11} {:>11}", pair.pair, thousands(read), thousands(kept(Split::Train)))?;
            for reason in &used {
                let n = train.and_then(|s| s.dropped.get(reason)).copied().unwrap_or(0);
                write!(f, " {:>w$}", thousands(n), w = reason.label().len().max(9))?;
            }
            writeln!(f, " {:>8} {:>8}", thousands(kept(Split::Valid)), thousands(kept(Split::Test)))?;
        }
        let thresholds = self.directions.thresholds;
        writeln!(f)?;
        writeln!(
            f,
            "{:<12} {:<9} {:>11} {:>14} {:>13} {:>10} {:>8} {:>8}",
            "language", "level", "pairs", "subwords", "per sentence", "per word", "bytes %", "unk %"
        )?;
        for (tag, language) in &self.languages {
            writeln!(
                f,
                "{:<12} {:<9} {:>11} {:>14} {:>13.1} {:>10.2} {:>8.3} {:>8.3}",
                tag,
                language.level,
                thousands(language.train_pairs),
                thousands(language.text.subwords),
                language.subwords_per_sentence,
                language.subwords_per_word,
                100.0 * language.byte_rate,
                100.0 * language.unknown_rate,
            )?;
        }
        writeln!(
            f,
            "levels: high from {} training pairs, very-low up to {}",
            thousands(thresholds.high_from),
            thousands(thresholds.very_low_to)
        )?;
        for pair in &self.pairs {
            for split in pair.splits.values() {
                if let Some(example) = &split.first_invalid {
                    writeln!(f, "skipped, for example: {example}")?;
                }
            }
        }
        for unused in &self.unused {
            writeln!(f, "not used: {unused}")?;
        }
        Ok(())
    }
}
