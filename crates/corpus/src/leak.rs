//! The check of train against held-out data: no sentence that will be scored may be trained on.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::bitext::Split;
use crate::normalize::letters_key;

/// What counts as a leak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeakRule {
    /// A training pair leaks if either side, in its language, is a sentence of the held-out data of *any* pair: in a
    /// multilingual model all pairs gain from what one teaches. The default.
    #[default]
    Either,
    /// A training pair leaks only if both sides are a held-out pair.
    Both,
    /// No check.
    Off,
}

/// Settings of the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeakCheck {
    /// What counts as a leak.
    pub rule: LeakRule,
    /// A side with fewer letters (CJK ones count twice) leaks only together with the other: everybody
    /// writes "Thank you."
    pub min_letters: usize,
}

impl Default for LeakCheck {
    fn default() -> Self {
        Self { rule: LeakRule::Either, min_letters: 12 }
    }
}

/// Which of the held-out splits, and which side, a training pair was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leak {
    /// The held-out split.
    pub split: Split,
    /// Found by the first side.
    pub by_first: bool,
    /// Found by the second side.
    pub by_second: bool,
}

/// The held-out sentences, as hashes of their letters (case, punctuation, digits and spaces ignored). Memory: some 40
/// bytes per held-out sentence.
pub struct LeakIndex {
    check: LeakCheck,
    languages: HashMap<String, HashMap<u128, Split>>,
    pairs: HashSet<(u128, u128, Split)>,
}

fn key(sentence: &str) -> Option<(u128, usize)> {
    let (letters, weight) = letters_key(sentence);
    (weight > 0).then(|| (xxh3_128(letters.as_bytes()), weight))
}

impl LeakIndex {
    /// No sentences yet.
    pub fn new(check: LeakCheck) -> Self {
        Self { check, languages: HashMap::new(), pairs: HashSet::new() }
    }

    /// Adds a held-out pair. Test before valid where a sentence is in both.
    pub fn insert(&mut self, split: Split, first: (&str, &str), second: (&str, &str)) {
        if self.check.rule == LeakRule::Off {
            return;
        }
        let keys = [first, second].map(|(language, sentence)| (language, key(sentence)));
        for (language, key) in keys {
            if let Some((hash, _)) = key {
                let known = self.languages.entry(language.to_string()).or_default().entry(hash).or_insert(split);
                *known = (*known).max(split);
            }
        }
        if let [(_, Some((a, _))), (_, Some((b, _)))] = keys {
            self.pairs.insert((a, b, split));
        }
    }

    /// Whether a training pair, each side with its language, is held out.
    pub fn leak(&self, first: (&str, &str), second: (&str, &str)) -> Option<Leak> {
        if self.check.rule == LeakRule::Off || self.languages.is_empty() {
            return None;
        }
        let (a, b) = (key(first.1), key(second.1));
        if let (Some((a, _)), Some((b, _))) = (a, b) {
            let held = [Split::Test, Split::Valid].into_iter().find(|&split| self.pairs.contains(&(a, b, split)));
            if let Some(split) = held {
                return Some(Leak { split, by_first: true, by_second: true });
            }
        }
        if self.check.rule == LeakRule::Both {
            return None;
        }
        let find = |language: &str, key: Option<(u128, usize)>| {
            let (hash, weight) = key?;
            if weight < self.check.min_letters {
                return None;
            }
            self.languages.get(language)?.get(&hash).copied()
        };
        match (find(first.0, a), find(second.0, b)) {
            (None, None) => None,
            (x, y) => x.max(y).map(|split| Leak { split, by_first: x.is_some(), by_second: y.is_some() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_out(rule: LeakRule) -> LeakIndex {
        let mut held = LeakIndex::new(LeakCheck { rule, min_letters: 12 });
        held.insert(Split::Valid, ("en", "Open the file menu."), ("de", "Öffnen Sie das Menü „Datei“."));
        held.insert(Split::Test, ("en", "Thank you."), ("de", "Danke."));
        held
    }

    #[test]
    fn either_side_in_any_pair_leaks() {
        let held = held_out(LeakRule::Either);
        let leak = held.leak(("en", "3. open THE file-menu"), ("fr", "Ouvrez le menu Fichier."));
        assert_eq!(leak, Some(Leak { split: Split::Valid, by_first: true, by_second: false }));
        let leak = held.leak(("en", "Please open that."), ("de", "öffnen sie das menü datei"));
        assert_eq!(leak, Some(Leak { split: Split::Valid, by_first: false, by_second: true }));
        // The same letters in another language are another sentence.
        assert_eq!(held.leak(("nl", "Open the file menu."), ("fr", "Ouvrez le menu Fichier.")), None);
    }

    #[test]
    fn short_phrases_leak_only_as_a_pair() {
        let held = held_out(LeakRule::Either);
        assert_eq!(held.leak(("en", "Thank you!"), ("de", "Vielen Dank.")), None);
        let leak = held.leak(("en", "Thank you!"), ("de", "Danke"));
        assert_eq!(leak, Some(Leak { split: Split::Test, by_first: true, by_second: true }));
    }

    #[test]
    fn weaker_rules() {
        let held = held_out(LeakRule::Both);
        assert_eq!(held.leak(("en", "Open the file menu."), ("de", "Anderes")), None);
        assert!(held.leak(("en", "Open the file menu."), ("de", "Öffnen Sie das Menü Datei.")).is_some());
        let held = held_out(LeakRule::Off);
        assert_eq!(held.leak(("en", "Open the file menu."), ("de", "Öffnen Sie das Menü Datei.")), None);
    }
}
