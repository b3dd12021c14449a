//! A corpus whose words have a known difficulty: to translate a word takes one look-up in a random dictionary, or
//! several. For studies of what depth and requested capacity are worth.
//!
//! Every language has a random dictionary of its own from the same base words to the same target words, so what a word
//! becomes depends on both. A word of `n` steps is an alias, alike in all languages, of a word of `n - 1` steps; a word
//! of one step is a base word. A model that follows aliases one look-up at a time needs to learn each once; one that
//! cannot must learn each word anew in every language. Sentences are 6 to 12 random words, translated in order.
//!
//! Words are single characters (Chinese in English sentences, Korean in the translations), so that BPE makes one
//! subword of each. The same options give the same bytes on every machine.

use std::path::Path;

use strata_files::IoContext;

use super::meaning::Draws;
use super::{MOST_PAIRS, MOST_TAGS, Summary, write_splits};
use crate::error::{Error, Result};

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Languages, 1 to 520.
    pub languages: usize,
    /// Words of each number of steps, 10 to 10,000; with all steps together at most 20,000.
    pub words: usize,
    /// The most look-ups that a word takes, 1 to 8.
    pub steps: usize,
    /// Training pairs of each language.
    pub pairs: u64,
    /// Determines dictionaries and sentences.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { languages: 8, words: 250, steps: 2, pairs: 40_000, seed: 1 }
    }
}

impl Options {
    /// A vocabulary with one subword for each word, and what any vocabulary has besides.
    pub fn vocabulary(&self) -> usize {
        // BPE has every character by itself and behind a space; then there are tags, bytes and special subwords.
        2 * self.words * (self.steps + 1) + self.languages + 300
    }

    fn check(&self) -> Result<()> {
        let refuse = |option, reason| Err(Error::Option { option, reason });
        if !(1..=MOST_TAGS).contains(&self.languages) {
            return refuse("languages", format!("{} is not 1 to {MOST_TAGS}", self.languages));
        }
        if !(1..=8).contains(&self.steps) {
            return refuse("steps", format!("{} is not 1 to 8", self.steps));
        }
        if self.words < 10 || self.words > 10_000 || self.words * self.steps > 20_000 {
            let most = 10_000.min(20_000 / self.steps);
            return refuse("words", format!("{} is not 10 to {most}, the most for {} steps", self.words, self.steps));
        }
        if !(10..=MOST_PAIRS).contains(&self.pairs) {
            return refuse("pairs", format!("{} is not 10 to {MOST_PAIRS}", self.pairs));
        }
        Ok(())
    }
}

/// The file of the words' steps: `WORD<tab>STEPS`, a line each.
pub const STEPS_FILE: &str = "steps.tsv";

/// A word of `step + 1` look-ups: `number` of those.
#[derive(Clone, Copy)]
struct Word {
    step: usize,
    number: usize,
}

/// Aliases and dictionaries.
struct Dictionaries {
    /// `[steps - 1][words]`: what the alias of step `i + 1` stands for, a word of step `i`.
    aliases: Vec<Vec<usize>>,
    /// `[languages][words]`: the target word of each base word.
    languages: Vec<Vec<usize>>,
}

impl Dictionaries {
    fn new(options: &Options) -> Self {
        let permutation = |table: usize| {
            let mut draws = Draws::new([options.seed, table as u64, 1 << 32]);
            let mut numbers: Vec<usize> = (0..options.words).collect();
            for last in (1..numbers.len()).rev() {
                numbers.swap(last, draws.below(last + 1));
            }
            numbers
        };
        Self {
            aliases: (1..options.steps).map(permutation).collect(),
            languages: (0..options.languages).map(|language| permutation(options.steps + language)).collect(),
        }
    }

    /// The target word of a word in a language.
    fn translate(&self, language: usize, word: Word) -> usize {
        let base = self.aliases[..word.step].iter().rev().fold(word.number, |number, aliases| aliases[number]);
        self.languages[language][base]
    }
}

/// Character number `place` from `first` on; ranges of both scripts are whole for the largest numbers of words.
fn character(first: u32, place: usize) -> char {
    char::from_u32(first + place as u32).expect("a range of letters without gaps")
}

/// Words joined by spaces.
fn joined(characters: impl Iterator<Item = char>) -> String {
    characters.flat_map(|character| [' ', character]).skip(1).collect()
}

/// Writes `train|valid|test.en-TAG.en` and `.TAG` for each language into `folder`, and [`STEPS_FILE`]. No English
/// sentence is in two splits; the held-out sentences are the same for all languages.
///
/// # Errors
/// Options out of range, files that cannot be written.
pub fn generate(options: &Options, folder: &Path) -> Result<Summary> {
    options.check()?;
    let dictionaries = Dictionaries::new(options);
    let source = |word: &Word| character(0x4e00, word.step * options.words + word.number);
    let draw = |sentence: u64| -> Vec<Word> {
        let mut draws = Draws::new([options.seed, sentence, 0]);
        let words = 6 + draws.below(7);
        (0..words).map(|_| Word { step: draws.below(options.steps), number: draws.below(options.words) }).collect()
    };
    let say = |language: usize, sentence: &Vec<Word>| {
        joined(sentence.iter().map(|word| character(0xac00, dictionaries.translate(language, *word))))
    };
    let summary = write_splits(
        folder,
        &vec![options.pairs; options.languages],
        draw,
        |sentence| joined(sentence.iter().map(source)),
        say,
    )?;
    let all = (0..options.steps).flat_map(|step| (0..options.words).map(move |number| Word { step, number }));
    let table: String = all.map(|word| format!("{}\t{}\n", source(&word), word.step + 1)).collect();
    let path = folder.join(STEPS_FILE);
    std::fs::write(&path, table).io_context("write", &path)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::{remove, tag};
    use super::*;

    fn small() -> Options {
        Options { languages: 3, words: 20, steps: 3, pairs: 300, seed: 1 }
    }

    /// Translations of every word, by language, from the text alone.
    fn translations(folder: &Path, language: usize) -> HashMap<char, char> {
        let side = |side: &str| {
            let tag = tag(language);
            std::fs::read_to_string(folder.join(format!("train.en-{tag}.{}", if side == "en" { "en" } else { &tag })))
                .unwrap()
        };
        let letters = |text: String| -> Vec<char> { text.chars().filter(|c| !c.is_whitespace()).collect() };
        let mut found = HashMap::new();
        for (word, translation) in letters(side("en")).into_iter().zip(letters(side("target"))) {
            let known = *found.entry(word).or_insert(translation);
            assert_eq!(known, translation, "a word has one translation");
        }
        found
    }

    #[test]
    fn an_alias_is_translated_as_what_it_stands_for_in_every_language() {
        let folder = tempfile::tempdir().unwrap();
        let summary = generate(&small(), folder.path()).unwrap();
        assert_eq!((summary.languages.len(), summary.held_out), (3, 30));
        let dictionaries: Vec<_> = (0..3).map(|language| translations(folder.path(), language)).collect();
        assert!(dictionaries.iter().all(|dictionary| dictionary.len() == 60));
        assert_ne!(dictionaries[0], dictionaries[1]);
        let steps = std::fs::read_to_string(folder.path().join(STEPS_FILE)).unwrap();
        let of = |step: &str| -> Vec<char> {
            let lines = steps.lines().filter_map(|line| line.split_once('\t'));
            lines.filter(|(_, its)| *its == step).map(|(word, _)| word.chars().next().unwrap()).collect()
        };
        for alias in of("2").into_iter().chain(of("3")) {
            let same = |base: &char| dictionaries.iter().all(|dictionary| dictionary[base] == dictionary[&alias]);
            assert_eq!(of("1").iter().filter(|base| same(base)).count(), 1, "{alias}");
        }
    }

    #[test]
    fn a_corpus_is_removed_whole_and_options_out_of_range_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        generate(&small(), folder.path()).unwrap();
        remove(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for wrong in [
            Options { languages: 0, ..small() },
            Options { languages: 521, ..small() },
            Options { words: 9, ..small() },
            Options { words: 7_000, steps: 3, ..small() },
            Options { steps: 9, ..small() },
            Options { pairs: 9, ..small() },
        ] {
            assert!(matches!(generate(&wrong, folder.path()), Err(Error::Option { .. })), "{wrong:?}");
        }
    }
}
