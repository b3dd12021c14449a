//! The text that the subword model is trained on: a bounded sample, balanced over languages by temperature.

use std::collections::{BTreeMap, HashMap, HashSet};

use regex::Regex;
use serde::{Deserialize, Serialize};
use strata_simd::random::SplitMix64;

use crate::error::{Error, Result};
use crate::normalize::SPACE_MARK;
use crate::pieces::CLASSES;

/// Most times that a sentence of a small language is counted to give the language its share.
const MOST_REPETITIONS: f64 = 10.0;

/// How many sentences of a language the sample takes, and how much each counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Sentences available.
    pub available: u64,
    /// Sentences taken.
    pub taken: u64,
    /// How often each is counted; above 1 for languages with less text than their share.
    pub weight: f64,
}

/// Shares of languages with `available` sentences in a sample of `total`: proportional to `available^(1/temperature)`.
/// What a language cannot fill even by repetition goes to the others by the same rule.
pub fn shares(available: &BTreeMap<String, u64>, total: u64, temperature: f64) -> BTreeMap<String, Share> {
    let weights: BTreeMap<&str, f64> =
        available.iter().map(|(l, n)| (l.as_str(), (*n as f64).powf(1.0 / temperature))).collect();
    let mut wanted: BTreeMap<&str, f64> = BTreeMap::new();
    let mut left = total as f64;
    let mut open: Vec<&str> = available.iter().filter(|(_, n)| **n > 0).map(|(l, _)| l.as_str()).collect();
    while !open.is_empty() {
        let sum: f64 = open.iter().map(|l| weights[l]).sum();
        let limit = |l: &str| available[l] as f64 * MOST_REPETITIONS;
        let full: Vec<&str> = open.iter().copied().filter(|l| left * weights[l] / sum > limit(l)).collect();
        if full.is_empty() {
            wanted.extend(open.iter().map(|l| (*l, left * weights[l] / sum)));
            break;
        }
        for language in full {
            wanted.insert(language, limit(language));
            left = (left - limit(language)).max(0.0);
            open.retain(|l| *l != language);
        }
    }
    // If everything fits there is no need to repeat it all: only the proportions count.
    let most: f64 = wanted.iter().map(|(l, w)| w / available[*l] as f64).fold(f64::INFINITY, f64::min).max(1.0);
    available
        .iter()
        .map(|(language, &n)| {
            let want = wanted.get(language.as_str()).copied().unwrap_or(0.0) / most;
            let taken = (want.round() as u64).min(n);
            let weight = if taken > 0 { (want / taken as f64).max(1.0) } else { 0.0 };
            (language.clone(), Share { available: n, taken, weight })
        })
        .collect()
}

/// Takes exactly `taken` of `available` lines in one pass, each equally likely, the same ones for the same seed
/// (selection sampling, Knuth's algorithm S).
struct Selection {
    remaining: u64,
    wanted: u64,
    random: SplitMix64,
}

impl Selection {
    fn new(share: Share, seed: u64) -> Self {
        Self { remaining: share.available, wanted: share.taken, random: SplitMix64::new(seed) }
    }

    fn take_next(&mut self) -> bool {
        if self.remaining == 0 {
            return false;
        }
        let take = self.random.below(self.remaining) < self.wanted;
        self.remaining -= 1;
        self.wanted -= u64::from(take);
        take
    }
}

/// Counts words of the sampled sentences, and characters of all sentences.
pub(crate) struct Sampler {
    classes: Regex,
    shares: BTreeMap<String, Share>,
    selections: HashMap<String, Selection>,
    words: BTreeMap<String, HashMap<String, u64>>,
    characters: BTreeMap<String, HashMap<char, u64>>,
}

impl Sampler {
    pub(crate) fn new(shares: BTreeMap<String, Share>, seed: u64) -> Result<Self> {
        let selections =
            shares.iter().enumerate().map(|(i, (l, share))| (l.clone(), Selection::new(*share, seed + i as u64)));
        Ok(Self {
            classes: Regex::new(CLASSES).map_err(Error::subwords)?,
            selections: selections.collect(),
            words: shares.keys().map(|l| (l.clone(), HashMap::new())).collect(),
            characters: shares.keys().map(|l| (l.clone(), HashMap::new())).collect(),
            shares,
        })
    }

    /// Takes the next normalized sentence of a language.
    pub(crate) fn push(&mut self, language: &str, sentence: &str) {
        if let Some(characters) = self.characters.get_mut(language) {
            for c in sentence.chars() {
                *characters.entry(c).or_default() += 1;
            }
        }
        if !self.selections.get_mut(language).is_some_and(Selection::take_next) {
            return;
        }
        let Some(words) = self.words.get_mut(language) else { return };
        let mut marked = String::new();
        for word in sentence.split(' ') {
            marked.clear();
            marked.push(SPACE_MARK);
            marked.push_str(word);
            for part in self.classes.find_iter(&marked) {
                if let Some(count) = words.get_mut(part.as_str()) {
                    *count += 1;
                } else {
                    words.insert(part.as_str().to_string(), 1);
                }
            }
        }
    }

    /// The sample's words with their weighted counts over all languages.
    pub(crate) fn words(&self) -> BTreeMap<String, u64> {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for (language, words) in &self.words {
            let weight = self.shares[language].weight;
            for (word, count) in words {
                *all.entry(word.clone()).or_default() += (*count as f64 * weight).round() as u64;
            }
        }
        all
    }

    /// The characters that get a piece of their own: for each language the most frequent ones up to `coverage` of its
    /// text (1 for all), then, if these are more than `limit`, those with the largest share of any language's text.
    /// Returns them, and for each language the share of its text that they cover.
    pub(crate) fn alphabet(&self, coverage: f64, limit: usize) -> (HashSet<char>, BTreeMap<String, f64>) {
        let mut best_share: HashMap<char, f64> = HashMap::new();
        for counts in self.characters.values() {
            let total: u64 = counts.values().sum();
            let mut sorted: Vec<(u64, char)> =
                counts.iter().map(|(c, n)| (*n, *c)).filter(|(_, c)| *c != ' ').collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let mut seen = counts.get(&' ').copied().unwrap_or(0);
            for (n, c) in sorted {
                if seen as f64 >= coverage * total as f64 {
                    break;
                }
                seen += n;
                let share = best_share.entry(c).or_default();
                *share = share.max(n as f64 / total as f64);
            }
        }
        let mut ranked: Vec<(f64, char)> = best_share.into_iter().map(|(c, share)| (share, c)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(limit);
        let alphabet: HashSet<char> = ranked.into_iter().map(|(_, c)| c).collect();
        let covered = self.characters.iter().map(|(language, counts)| {
            let total: u64 = counts.values().sum();
            let inside: u64 = counts.iter().filter(|(c, _)| **c == ' ' || alphabet.contains(c)).map(|(_, n)| n).sum();
            (language.clone(), if total == 0 { 1.0 } else { inside as f64 / total as f64 })
        });
        let covered = covered.collect();
        (alphabet, covered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(l, n)| (l.to_string(), *n)).collect()
    }

    #[test]
    fn temperature_flattens_and_small_languages_repeat() {
        let counts = available(&[("en", 1_000_000), ("de", 100_000), ("ro", 10_000), ("xx", 10)]);
        let t1 = shares(&counts, 111_001, 1.0);
        assert!((t1["en"].taken as f64 / t1["de"].taken as f64 - 10.0).abs() < 0.01, "{t1:?}");
        let t5 = shares(&counts, 100_000, 5.0);
        let effective = |l: &str| t5[l].taken as f64 * t5[l].weight;
        assert!((effective("en") / effective("de") - 10f64.powf(0.2)).abs() < 0.01, "{t5:?}");
        assert_eq!(t5["ro"].taken, 10_000); // 21,500 wanted: all of them, each more than once
        assert!(t5["ro"].weight > 1.5 && t5["en"].weight == 1.0);
        assert_eq!((t5["xx"].taken, t5["xx"].weight), (10, MOST_REPETITIONS));
        let total: f64 = counts.keys().map(|l| effective(l)).sum();
        assert!((total - 100_000.0).abs() < 2.0, "{total}");
    }

    #[test]
    fn a_sample_larger_than_the_corpus_takes_all_once() {
        let counts = available(&[("a", 50), ("b", 50)]);
        for (_, share) in shares(&counts, 1000, 5.0) {
            assert_eq!(share, Share { available: 50, taken: 50, weight: 1.0 });
        }
        assert_eq!(shares(&available(&[("a", 0)]), 1000, 5.0)["a"].taken, 0);
    }

    #[test]
    fn selection_takes_exactly_so_many_evenly() {
        let share = Share { available: 10_000, taken: 1000, weight: 1.0 };
        let mut selection = Selection::new(share, 7);
        let taken: Vec<usize> = (0..10_000).filter(|_| selection.take_next()).collect();
        assert_eq!(taken.len(), 1000);
        assert!(!selection.take_next());
        let first_half = taken.iter().filter(|i| **i < 5000).count();
        assert!((440..560).contains(&first_half), "{first_half}");
    }

    #[test]
    fn alphabet_keeps_small_scripts_under_pressure() {
        let counts = available(&[("big", 1000), ("small", 2)]);
        let mut sampler = Sampler::new(shares(&counts, 10, 1.0), 1).unwrap();
        for _ in 0..1000 {
            sampler.push("big", "aaaa bbbb c");
        }
        sampler.push("big", "z");
        sampler.push("small", "ωψ χ");
        let (all, covered) = sampler.alphabet(1.0, 100);
        assert_eq!(all, HashSet::from(['a', 'b', 'c', 'z', 'ω', 'ψ', 'χ']));
        assert_eq!(covered["small"], 1.0);
        let (squeezed, covered) = sampler.alphabet(1.0, 6);
        assert!(!squeezed.contains(&'z') && squeezed.contains(&'χ'), "{squeezed:?}");
        assert!(covered["big"] < 1.0);
        let (partial, _) = sampler.alphabet(0.9, 100);
        assert!(!partial.contains(&'z'));
    }
}
