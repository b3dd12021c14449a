//! Which sentence pairs are worth training on, and why the others are dropped.

use serde::{Deserialize, Serialize};

/// Why a pair is dropped. The order is the order of the checks; a pair counts under its first reason only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not UTF-8, not two columns, or longer than a line may be (only when such lines are skipped).
    Invalid,
    /// A side without text.
    Empty,
    /// Both sides the same text.
    Identical,
    /// Too few or too many characters.
    Length,
    /// One side many times longer than the other, in characters.
    Ratio,
    /// A side in another language, by automatic identification.
    Language,
    /// A sentence of the held-out data.
    Leak,
    /// The same pair as an earlier one.
    Duplicate,
    /// Too many subwords.
    SubwordLength,
    /// One side many times longer than the other, in subwords.
    SubwordRatio,
}

impl Reason {
    /// All reasons in the order of the checks.
    pub const ALL: [Reason; 10] = [
        Reason::Invalid,
        Reason::Empty,
        Reason::Identical,
        Reason::Length,
        Reason::Ratio,
        Reason::Language,
        Reason::Leak,
        Reason::Duplicate,
        Reason::SubwordLength,
        Reason::SubwordRatio,
    ];

    /// A word or two for tables.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Invalid => "invalid",
            Reason::Empty => "empty",
            Reason::Identical => "identical",
            Reason::Length => "length",
            Reason::Ratio => "ratio",
            Reason::Language => "language",
            Reason::Leak => "leaks",
            Reason::Duplicate => "duplicates",
            Reason::SubwordLength => "subword length",
            Reason::SubwordRatio => "subword ratio",
        }
    }
}

/// Limits of the filters for training data; held-out data is never filtered by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fewest characters of a side.
    pub min_characters: usize,
    /// Most characters of a side.
    pub max_characters: usize,
    /// Most times that one side may be longer than the other in characters; generous, as one Chinese character can
    /// stand for four English ones. Only checked where the longer side has at least `ratio_from_characters`.
    pub max_character_ratio: f64,
    /// See `max_character_ratio`.
    pub ratio_from_characters: usize,
    /// Most subwords of a side, without tag and end mark.
    pub max_subwords: usize,
    /// Most times that one side may be longer than the other in subwords, where the longer has `ratio_from_subwords`.
    pub max_subword_ratio: f64,
    /// See `max_subword_ratio`.
    pub ratio_from_subwords: usize,
    /// Drop pairs whose sides are the same text (untranslated menu entries, names).
    pub drop_identical: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_characters: 1,
            max_characters: 2000,
            max_character_ratio: 9.0,
            ratio_from_characters: 30,
            max_subwords: 250,
            max_subword_ratio: 4.0,
            ratio_from_subwords: 12,
            drop_identical: true,
        }
    }
}

fn exceeds(a: usize, b: usize, ratio: f64, from: usize) -> bool {
    let (short, long) = (a.min(b), a.max(b));
    long >= from && long as f64 > ratio * short as f64
}

impl Limits {
    /// Why a pair of normalized sentences is dropped, if it is.
    pub fn check_text(&self, first: &str, second: &str) -> Option<Reason> {
        if first.is_empty() || second.is_empty() {
            return Some(Reason::Empty);
        }
        if self.drop_identical && first == second {
            return Some(Reason::Identical);
        }
        let (a, b) = (first.chars().count(), second.chars().count());
        if a.min(b) < self.min_characters || a.max(b) > self.max_characters {
            return Some(Reason::Length);
        }
        exceeds(a, b, self.max_character_ratio, self.ratio_from_characters).then_some(Reason::Ratio)
    }

    /// Why a pair with these numbers of subwords is dropped, if it is.
    pub fn check_subwords(&self, first: usize, second: usize) -> Option<Reason> {
        if first.max(second) > self.max_subwords {
            return Some(Reason::SubwordLength);
        }
        exceeds(first, second, self.max_subword_ratio, self.ratio_from_subwords).then_some(Reason::SubwordRatio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_its_reason_and_its_edge() {
        let limits = Limits { min_characters: 2, max_characters: 40, ..Limits::default() };
        let x = |n| "x".repeat(n);
        assert_eq!(limits.check_text("", "ab"), Some(Reason::Empty));
        assert_eq!(limits.check_text("same", "same"), Some(Reason::Identical));
        assert_eq!(limits.check_text("a", "bc"), Some(Reason::Length));
        assert_eq!(limits.check_text("äö", "日本"), None); // characters, not bytes
        assert_eq!(limits.check_text(&x(41), "yyyyyyyy"), Some(Reason::Length));
        assert_eq!(limits.check_text(&x(36), "yyyy"), None); // exactly nine times
        assert_eq!(limits.check_text(&x(37), "yyyy"), Some(Reason::Ratio));
        assert_eq!(limits.check_text(&x(29), "yy"), None); // short pairs may differ
        assert_eq!(limits.check_subwords(250, 251), Some(Reason::SubwordLength));
        assert_eq!(limits.check_subwords(12, 3), None);
        assert_eq!(limits.check_subwords(2, 12), Some(Reason::SubwordRatio));
        assert_eq!(limits.check_subwords(11, 1), None);
        let lenient = Limits { drop_identical: false, ..Limits::default() };
        assert_eq!(lenient.check_text("same", "same"), None);
    }
}
