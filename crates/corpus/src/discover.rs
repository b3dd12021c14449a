//! Finding the bitext in a folder by the names of its files, and saying why a file is not used.
//!
//! | name | is |
//! |---|---|
//! | `train.en-de.en`, `train.en-de.de` | the sides of a pair; also `valid`, `validation`, `dev`, `test` |
//! | `train.en-de.tsv` | both sides, separated by a tab |
//! | `Tatoeba.de-en.de`, `Tatoeba.de-en.en` | a corpus as OPUS and Moses name it: training text |
//! | `train.de`, `train.en` | the sides of the one pair of a folder whose files so named have two languages |
//!
//! Each also compressed ([`crate::text`]). Languages may have a script and a region (`zh-Hans`, `pt-BR`). A split that
//! is named the other way round than the pair's other splits is read with its sides changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strata_files::IoContext;

use crate::bitext::{Bitext, Pair, Source, Split, is_tag};
use crate::codes;
use crate::error::{Error, Result};
use crate::text::plain_name;

/// A file that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// Its name.
    pub file: String,
    /// Why it is not used.
    pub why: String,
}

impl std::fmt::Display for Unused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Found {
    /// The bitext.
    pub bitext: Bitext,
    /// All other files, by name.
    pub unused: Vec<Unused>,
}

/// What a file's name says.
struct Name {
    split: Split,
    /// The corpus; empty for files that are named by their split.
    corpus: String,
    pair: Pair,
    /// A language of the pair, or `tsv`.
    side: String,
}

/// The sides of one corpus's split under way.
type Sides = BTreeMap<String, PathBuf>;

/// Finds the bitext in a folder.
///
/// # Errors
/// A side without counterpart, a split given twice (also as `en-de` and `de-en`, or plain and compressed), no bitext.
pub fn discover(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut sides: BTreeMap<(Pair, Split, String), Sides> = BTreeMap::new();
    let files = files(folder)?;
    let names = files.iter().filter_map(|path| path.file_name()?.to_str());
    let only = only_pair(names.filter_map(split_and_language).map(|(_, language)| language));
    for path in files {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let Some(parsed) = parse_name(name, only.as_ref()) else {
            if !path.is_dir() {
                found.unused.push(Unused { file: name.to_string(), why: why_unused(name) });
            }
            continue;
        };
        if path.is_dir() {
            continue;
        }
        let Name { split, corpus, pair, side } = parsed;
        let sides = sides.entry((pair.clone(), split, corpus)).or_default();
        if let Some(other) = sides.get(&side) {
            return Err(twice(other.clone(), path, split, &pair));
        }
        sides.insert(side, path);
    }
    let mut sources: BTreeMap<(Pair, Split), Vec<(String, Source)>> = BTreeMap::new();
    for ((pair, split, corpus), sides) in sides {
        let source = source(folder, sides, split, &pair, &corpus)?;
        sources.entry((pair, split)).or_default().push((corpus, source));
    }
    let mut plain: BTreeMap<(Pair, Split), PathBuf> = BTreeMap::new();
    for ((pair, split), list) in sources {
        let mirrored = pair.mirrored();
        let turned = found.bitext.contains_key(&mirrored);
        let key = if turned { mirrored } else { pair.clone() };
        let splits = found.bitext.entry(key.clone()).or_default();
        for (corpus, source) in list {
            // Corpora of different names belong together; one split in two forms does not.
            if corpus.is_empty()
                && let Some(first) = plain.insert((key.clone(), split), source.path().to_path_buf())
            {
                return Err(twice(first, source.path().to_path_buf(), split, &pair));
            }
            let source = if turned { source.turned() } else { source };
            let source = match splits.remove(&split) {
                Some(first) => first.and(source),
                None => source,
            };
            splits.insert(split, source);
        }
    }
    if !found.bitext.values().any(|splits| splits.contains_key(&Split::Train)) {
        let mut reason = "no bitext for training found; expected files like train.en-de.en and train.en-de.de, \
                          or train.en-de.tsv (also with .gz, .zst, .xz or .bz2)"
            .to_string();
        if let Some(first) = found.unused.first() {
            reason += &format!("; there are {} others, such as {first}", found.unused.len());
        }
        return Err(Error::Empty { path: folder.to_path_buf(), reason });
    }
    Ok(found)
}

/// The paths in a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let reason = "it is missing; name the folder of the bitext".to_string();
            return Err(Error::Empty { path: folder.to_path_buf(), reason });
        }
        listing => listing.io_context("read the folder", folder)?,
    };
    let mut paths = Vec::new();
    for entry in listing {
        paths.push(entry.io_context("read the folder", folder)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn twice(first: PathBuf, second: PathBuf, split: Split, pair: &Pair) -> Error {
    Error::Ambiguous { first, second, split: split.name(), pair: pair.to_string() }
}

/// The source of a corpus's split.
fn source(folder: &Path, mut sides: Sides, split: Split, pair: &Pair, corpus: &str) -> Result<Source> {
    let missing = |found: PathBuf, side: &str| {
        let stem = if corpus.is_empty() { split.name() } else { corpus };
        let is_bare = found.file_name().and_then(|name| split_and_language(name.to_str()?)).is_some();
        let name = if is_bare { format!("{stem}.{side}") } else { format!("{stem}.{pair}.{side}") };
        Error::MissingSide { found, missing: folder.join(name) }
    };
    match (sides.remove("tsv"), sides.remove(&pair.first), sides.remove(&pair.second)) {
        (None, Some(first), Some(second)) => Ok(Source::Sides(first, second)),
        (Some(first), Some(second), _) | (Some(first), None, Some(second)) => Err(twice(first, second, split, pair)),
        (None, Some(found), None) => Err(missing(found, &pair.second)),
        (None, None, Some(found)) => Err(missing(found, &pair.first)),
        (tsv, _, _) => Ok(Source::Tsv(tsv.unwrap_or_default())),
    }
}

/// The split of a name such as `dev`.
fn split_of(name: &str) -> Option<Split> {
    match name {
        "train" | "training" => Some(Split::Train),
        "valid" | "validation" | "dev" | "devel" | "val" => Some(Split::Valid),
        "test" | "devtest" => Some(Split::Test),
        _ => None,
    }
}

/// `train.de.gz` is the side `de` of the split train, whatever the pair.
fn split_and_language(name: &str) -> Option<(Split, &str)> {
    let (split, language) = plain_name(name).split_once('.')?;
    // Endings such as `.txt` and `.src` look like languages, too.
    Some((split_of(split)?, language)).filter(|_| is_tag(language) && codes::is_common(language))
}

/// The pair of two languages; none for fewer or more.
fn only_pair<'a>(languages: impl Iterator<Item = &'a str>) -> Option<Pair> {
    let languages: BTreeSet<&str> = languages.collect();
    let mut languages = languages.into_iter().map(str::to_string);
    match (languages.next(), languages.next(), languages.next()) {
        (Some(first), Some(second), None) => Some(Pair { first, second }),
        _ => None,
    }
}

/// `train.en-de.de.gz` is the side `de` of the pair en-de of the split train, and `train.de.gz` that of the `only`
/// pair; `None` for a name of another form.
fn parse_name(name: &str, only: Option<&Pair>) -> Option<Name> {
    if let (Some((split, language)), Some(pair)) = (split_and_language(name), only) {
        return Some(Name { split, corpus: String::new(), pair: pair.clone(), side: language.to_string() });
    }
    let mut parts = plain_name(name).rsplitn(3, '.');
    let (side, pair, corpus) = (parts.next()?, parts.next()?, parts.next()?);
    let pair = if side == "tsv" { Pair::parse(pair)? } else { Pair::with_side(pair, side)? };
    let split = split_of(corpus);
    if corpus.is_empty() || corpus.starts_with('.') {
        return None;
    }
    let corpus = if split.is_some() { String::new() } else { corpus.to_string() };
    Some(Name { split: split.unwrap_or(Split::Train), corpus, pair, side: side.to_string() })
}

/// Why a file's name makes it no bitext.
fn why_unused(name: &str) -> String {
    let plain = plain_name(name);
    let parts: Vec<&str> = plain.split('.').collect();
    let why = match parts.as_slice() {
        _ if name.starts_with('.') => "a hidden file",
        [.., pair, side] if pair.contains('-') && *side != "tsv" && Pair::parse(pair).is_some() => {
            "the end of its name is neither language of the pair, nor tsv"
        }
        [first, ..] if split_of(first).is_some() => {
            "its name does not have the form SPLIT.SRC-TGT.LANG or SPLIT.SRC-TGT.tsv with two languages such as en, zh-Hans \
             or pt-BR, nor SPLIT.LANG with two languages in all"
        }
        _ => "not named as bitext (SPLIT.SRC-TGT.LANG, SPLIT.SRC-TGT.tsv, CORPUS.SRC-TGT.LANG)",
    };
    why.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<(Split, String, String, String)> {
        parse_name(name, None)
            .map(|Name { split, corpus, pair, side }| (split, corpus, format!("{} {}", pair.first, pair.second), side))
    }

    #[test]
    fn names_of_many_styles_are_understood() {
        let is = |name: &str, split, corpus: &str, pair: &str, side: &str| {
            assert_eq!(named(name), Some((split, corpus.into(), pair.into(), side.into())), "{name}");
        };
        is("train.en-de.de.gz", Split::Train, "", "en de", "de");
        is("train.en-zh-Hans.zh-Hans", Split::Train, "", "en zh-Hans", "zh-Hans");
        is("valid.pt-BR-sr-Latn.pt-BR.xz", Split::Valid, "", "pt-BR sr-Latn", "pt-BR");
        is("dev.pt-br-en.pt-br", Split::Valid, "", "pt-br en", "pt-br");
        is("validation.en-zh-Hans.tsv.bz2", Split::Valid, "", "en zh-Hans", "tsv");
        is("test.zh_CN-en.en", Split::Test, "", "zh_CN en", "en");
        is("Tatoeba.de-en.de", Split::Train, "Tatoeba", "de en", "de");
        is("OpenSubtitles.v2018.de-en.en.zst", Split::Train, "OpenSubtitles.v2018", "de en", "en");
        for other in
            ["README", "train.en.de", "train.en-de.fr", "Tatoeba.de-en.ids", "train.en-de", ".x.en-de.en", "a.b"]
        {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn files_named_by_their_language_alone_are_a_pair_where_there_are_two() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["train.de", "train.en.gz", "valid.de", "valid.en", "test.txt", "train.src", "codes.de"];
        for name in names {
            std::fs::write(folder.path().join(name), "x\n").unwrap();
        }
        let found = discover(folder.path()).unwrap();
        let unused: Vec<&str> = found.unused.iter().map(|unused| unused.file.as_str()).collect();
        assert_eq!(unused, ["codes.de", "test.txt", "train.src"]);
        let splits = &found.bitext[&Pair { first: "de".into(), second: "en".into() }];
        let sides = Source::Sides(folder.path().join("train.de"), folder.path().join("train.en.gz"));
        assert_eq!((splits.len(), &splits[&Split::Train]), (2, &sides));
        std::fs::remove_file(folder.path().join("valid.en")).unwrap();
        let fault = discover(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("valid.de has no counterpart") && fault.contains("valid.en "), "{fault}");
        std::fs::write(folder.path().join("valid.fr"), "x\n").unwrap();
        let fault = discover(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("no bitext") && fault.contains("7 others, such as codes.de: not named"), "{fault}");
    }

    #[test]
    fn every_other_file_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["train.en-de.en", "train.en-de.de", "Tatoeba.de-en.ids", "README", "train.english.german"] {
            std::fs::write(folder.path().join(name), "x\n").unwrap();
        }
        let found = discover(folder.path()).unwrap();
        let unused: Vec<String> = found.unused.iter().map(ToString::to_string).collect();
        assert_eq!(unused.len(), 3, "{unused:?}");
        assert!(unused[0].starts_with("README: not named as bitext"), "{unused:?}");
        assert!(unused[1].starts_with("Tatoeba.de-en.ids: the end of its name is neither language"), "{unused:?}");
        assert!(unused[2].starts_with("train.english.german: its name does not have the form"), "{unused:?}");
    }

    #[test]
    fn corpora_of_one_pair_are_read_one_after_another_and_turned_ones_the_right_way_round() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("train.en-de.en", "a\n"),
            ("train.en-de.de", "A\n"),
            ("Europarl.de-en.de", "B\n"),
            ("Europarl.de-en.en", "b\n"),
            ("Tatoeba.en-de.tsv", "c\tC\n"),
            ("News.de-en.tsv", "D\td\n"),
            ("dev.de-en.tsv", "V\tv\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let found = discover(folder.path()).unwrap();
        assert_eq!(found.bitext.len(), 1);
        let (pair, splits) = found.bitext.first_key_value().unwrap();
        let read = |split| {
            let mut reader = splits[&split].open().unwrap();
            let mut pairs: Vec<String> = Vec::new();
            while let Some(crate::bitext::RawPair::Text(a, b)) = reader.next_pair().unwrap() {
                pairs.push(a + &b);
            }
            pairs.sort();
            pairs
        };
        let (train, valid) = (read(Split::Train), read(Split::Valid));
        if pair.first == "en" {
            assert_eq!(
                (train, valid),
                (vec!["aA".into(), "bB".into(), "cC".into(), "dD".into()], vec!["vV".to_string()])
            );
        } else {
            assert_eq!(
                (train, valid),
                (vec!["Aa".into(), "Bb".into(), "Cc".into(), "Dd".into()], vec!["Vv".to_string()])
            );
        }
    }
}
