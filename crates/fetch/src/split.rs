//! Which part of the corpus an English sentence belongs to: a hash of its key decides, so the same sentence lands in
//! the same part in every language, on every machine and in every later build.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use strata_files::Digest;

use crate::clean::sentence_key;
use crate::sentences::cut;

/// A part of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// For training.
    Train,
    /// For choosing settings and checkpoints.
    Valid,
    /// For the scores that are reported.
    Test,
    /// Kept back for a last, blind comparison; written only on request.
    Held,
}

impl Part {
    /// All parts, in the order they are listed in.
    pub const ALL: [Part; 4] = [Part::Train, Part::Valid, Part::Test, Part::Held];

    /// The name its files start with.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Valid => "valid",
            Part::Test => "test",
            Part::Held => "held",
        }
    }
}

/// 0 to 9,999: the first 48 bits of the key's SHA-256, modulo 10,000.
fn bucket(key: &str) -> u64 {
    Digest::of(key).sha256[..6].iter().fold(0, |n, &byte| n << 8 | u64::from(byte)) % 10_000
}

/// The split of one build.
pub(crate) struct Split {
    /// Keys of the sentences of languages with little text: larger shares of these are set aside, else their test sets
    /// would be empty. The shares go by sentence, so all languages still agree on its part.
    boosted: HashSet<String>,
}

impl Split {
    pub(crate) fn new(boosted: HashSet<String>) -> Split {
        Split { boosted }
    }

    /// Valid 1 %, test 1 %, held 2 %; of boosted sentences 2 %, 4 %, 4 %.
    pub(crate) fn of_key(&self, key: &str) -> Part {
        let (valid, test, held) = if self.boosted.contains(key) { (200, 400, 400) } else { (100, 100, 200) };
        match bucket(key) {
            n if n < valid => Part::Valid,
            n if n < valid + test => Part::Test,
            n if n < valid + test + held => Part::Held,
            _ => Part::Train,
        }
    }

    /// The part of an English text. `None` for a paragraph that could not be cut into pairs of sentences and whose
    /// sentences lie in different parts.
    pub(crate) fn of_text(&self, english: &str) -> Option<Part> {
        let sentences = cut(english, "en");
        let mut parts: Vec<Part> =
            sentences.iter().map(|s| sentence_key(s)).filter(|k| !k.is_empty()).map(|k| self.of_key(&k)).collect();
        if sentences.len() == 1 {
            parts.push(self.of_key(&sentence_key(english)));
        }
        let first = *parts.first()?;
        parts.iter().all(|&p| p == first).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(split: &Split, part: Part) -> usize {
        (0..10_000).filter(|n| split.of_key(&format!("sentence {n}")) == part).count()
    }

    #[test]
    fn shares_are_as_documented() {
        let plain = Split::new(HashSet::new());
        let boosted = Split::new((0..10_000).map(|n| format!("sentence {n}")).collect());
        for (part, few, many) in [(Part::Valid, 100, 200), (Part::Test, 100, 400), (Part::Held, 200, 400)] {
            assert!(share(&plain, part).abs_diff(few) < 60, "{part:?}: {}", share(&plain, part));
            assert!(share(&boosted, part).abs_diff(many) < 80, "{part:?}: {}", share(&boosted, part));
        }
    }

    #[test]
    fn the_hash_is_fixed() {
        // As computed by another implementation; a change here would move test sentences into training.
        assert_eq!(bucket("open the file"), 783);
        assert_eq!(bucket("the debian project"), 2238);
        assert_eq!(bucket("sentence 58"), 2);
    }

    #[test]
    fn a_paragraph_across_parts_belongs_to_none() {
        let split = Split::new(HashSet::new());
        let of = |part| {
            (0..).map(|n: u32| format!("Word {}.", letters(n))).find(|s| split.of_text(s) == Some(part)).unwrap()
        };
        let (train, test) = (of(Part::Train), of(Part::Test));
        assert_eq!(split.of_text(&format!("{train} {test}")), None);
        assert_eq!(split.of_text(&format!("{test} {test}")), Some(Part::Test));
    }

    fn letters(mut n: u32) -> String {
        let mut word = String::from("Xyz"); // a single letter would be an initial, which ends no sentence
        while n > 0 {
            word.push(char::from(b'a' + (n % 26) as u8));
            n /= 26;
        }
        word
    }
}
