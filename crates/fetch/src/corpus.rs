//! From the pairs of all languages to the files of the corpus: the split, the check for leaks, the figures.

use std::collections::{BTreeMap, HashMap, HashSet};

use rayon::prelude::*;
use strata_files::{Digest, Hasher};

use crate::chars::split_space;
use crate::clean::sentence_key;
use crate::error::Error;
use crate::extract::{Extracted, Pair};
use crate::sentences::cut;
use crate::split::{Part, Split};
use crate::summary::LanguageSummary;

/// A corpus in memory.
pub(crate) struct Built {
    /// Content by file name, `train.en-de.de`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// One row a language, largest first.
    pub languages: Vec<LanguageSummary>,
    pub english_sentences: usize,
    pub sha256: String,
}

/// A language's pairs by part.
type Parts<'a> = BTreeMap<Part, Vec<&'a Pair>>;

/// Splits and lays out the pairs of all languages (sorted by tag).
pub(crate) fn build(extracted: &[(String, Extracted)], low: usize, held: bool) -> Result<Built, Error> {
    let few = extracted.iter().filter(|(_, e)| e.pairs.len() < low);
    let boosted: HashSet<String> = few.flat_map(|(_, e)| e.pairs.iter().map(|p| sentence_key(&p.english))).collect();
    let split = Split::new(boosted);
    let parted: Vec<(Parts, usize)> = extracted.par_iter().map(|(_, e)| part(&e.pairs, &split)).collect();
    let english_sentences = check_leaks(&parted)?;

    let mut files = BTreeMap::new();
    let mut languages = Vec::new();
    let mut hash = Hasher::default();
    for ((tag, extracted), (parts, across_parts)) in extracted.iter().zip(&parted) {
        languages.push(summarize(tag, extracted, parts, *across_parts));
        for part in Part::ALL.into_iter().filter(|&part| held || part != Part::Held) {
            let pairs = parts.get(&part).map_or(&[][..], Vec::as_slice);
            let english = lines(pairs.iter().map(|p| p.english.as_str()));
            let other = lines(pairs.iter().map(|p| p.other.as_str()));
            hash.update(&english);
            hash.update(&other);
            files.insert(format!("{}.en-{tag}.en", part.name()), english);
            files.insert(format!("{}.en-{tag}.{tag}", part.name()), other);
        }
    }
    languages.sort_by(|a, b| b.pairs().cmp(&a.pairs()).then_with(|| a.language.cmp(&b.language)));
    Ok(Built { files, languages, english_sentences, sha256: hash.finish().hex() })
}

/// Sorts pairs into parts, by the digest of the English side within each: an order that mixes the sources and that no
/// other sentence's presence changes. Also counts the paragraphs that belong to no part.
fn part<'a>(pairs: &'a [Pair], split: &Split) -> (Parts<'a>, usize) {
    let mut parts: BTreeMap<Part, Vec<([u8; 32], &Pair)>> = BTreeMap::new();
    let mut across = 0;
    for pair in pairs {
        match split.of_text(&pair.english) {
            Some(part) => parts.entry(part).or_default().push((Digest::of(&pair.english).sha256, pair)),
            None => across += 1,
        }
    }
    let sorted = parts.into_iter().map(|(part, mut pairs)| {
        pairs.sort_unstable_by_key(|(digest, _)| *digest);
        (part, pairs.into_iter().map(|(_, pair)| pair).collect())
    });
    (sorted.collect(), across)
}

/// The property that matters most: no English sentence in two parts, in any language. Returns how many there are.
fn check_leaks(parted: &[(Parts, usize)]) -> Result<usize, Error> {
    let mut seen: HashMap<String, Part> = HashMap::new();
    let mut texts: HashSet<&str> = HashSet::new();
    for (part, pairs) in parted.iter().flat_map(|(parts, _)| parts) {
        for pair in pairs {
            // A text that was seen in this part has nothing new, and in another part its sentences leak whichever
            // language they are in; so only a text seen in the same part may be passed over.
            if !texts.insert(&pair.english) && seen.get(&sentence_key(&pair.english)) == Some(part) {
                continue;
            }
            for sentence in cut(&pair.english, "en") {
                let key = sentence_key(sentence);
                if !key.is_empty() && *seen.entry(key).or_insert(*part) != *part {
                    return Err(Error::Leak { sentence: sentence.to_owned() });
                }
            }
        }
    }
    Ok(seen.len())
}

fn summarize(tag: &str, extracted: &Extracted, parts: &Parts, across_parts: usize) -> LanguageSummary {
    let mut summary = LanguageSummary {
        language: tag.to_owned(),
        train: 0,
        valid: 0,
        test: 0,
        held: 0,
        sources: BTreeMap::new(),
        kept: extracted.kept,
        dropped: extracted.dropped.clone(),
        across_parts,
        pages: extracted.pages,
        length_ratio: rounded(extracted.ratio, 1e3),
        english_words: 0.0,
    };
    let mut words = 0;
    for (part, pairs) in parts {
        *summary.count(*part) = pairs.len();
        for pair in pairs {
            *summary.sources.entry(pair.source).or_default() += 1;
            words += split_space(&pair.english).count();
        }
    }
    summary.english_words = rounded(words as f64 / summary.pairs().max(1) as f64, 1e2);
    summary
}

fn rounded(value: f64, unit: f64) -> f64 {
    (value * unit).round() / unit
}

fn lines<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{PageCounts, Source};

    fn extracted(sentences: impl Iterator<Item = String>) -> Extracted {
        let pair = |english: String| Pair { other: format!("x {english}"), english, source: Source::Help };
        let pairs: Vec<Pair> = sentences.map(pair).collect();
        Extracted { kept: pairs.len(), pairs, dropped: BTreeMap::new(), pages: PageCounts::default(), ratio: 1.0 }
    }

    /// Different words, since digits do not tell sentences apart.
    fn sentence(n: usize) -> String {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
        format!("Sentence {}{}{} here.", letter(n / 676), letter(n / 26), letter(n))
    }

    #[test]
    fn held_back_sentences_do_not_change_the_rest() {
        let all = vec![("aa".to_owned(), extracted((0..2000).map(sentence)))];
        let (with, without) = (build(&all, 0, true).unwrap(), build(&all, 0, false).unwrap());
        assert_eq!(with.files.len(), 8);
        assert_eq!(without.files.len(), 6);
        assert!(without.files.iter().all(|(name, content)| with.files[name] == *content));
        assert_eq!(with.languages, without.languages);
        assert_eq!(with.languages[0].pairs(), 2000);
        assert!(with.languages[0].held > 10);
    }

    #[test]
    fn a_small_language_boosts_its_sentences_in_all_languages() {
        let all = vec![
            ("aa".to_owned(), extracted((0..2000).map(sentence))),
            ("bb".to_owned(), extracted((1000..1500).map(sentence))),
        ];
        let built = build(&all, 600, false).unwrap();
        let lines = |name: &str| -> HashSet<String> {
            String::from_utf8(built.files[name].clone()).unwrap().lines().map(str::to_owned).collect()
        };
        assert!(lines("test.en-bb.en").len() >= 8, "4 % of 500");
        assert!(lines("test.en-bb.en").is_subset(&lines("test.en-aa.en")));
        assert!(lines("test.en-bb.en").is_disjoint(&lines("train.en-aa.en")));
        assert_eq!(built.english_sentences, 2000);
        assert_eq!(built.languages[0].language, "aa");
    }

    #[test]
    fn the_order_of_pairs_does_not_matter() {
        let forward = vec![("aa".to_owned(), extracted((0..500).map(sentence)))];
        let backward = vec![("aa".to_owned(), extracted((0..500).rev().map(sentence)))];
        assert_eq!(build(&forward, 0, true).unwrap().sha256, build(&backward, 0, true).unwrap().sha256);
    }
}
