//! Vocabulary maps: the subwords that the training text, or text like what is to be written, has in each target
//! language. The output layer then computes those alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strata_corpus::frequency::subword_counts;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::subword::EOS;
use strata_corpus::{Subwords, codes};
use strata_files::{Digest, IoContext};

use crate::error::Error;

/// Version of the file's layout.
const VERSION: u32 = 1;

/// For each target language the ids that its translations may have, ascending: those in its text, the bytes (with which
/// any word can be written), and the end mark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VocabularyMap {
    version: u32,
    /// Size of the whole vocabulary.
    vocab_size: usize,
    /// SHA-256 of the subword model, to refuse a map of another one.
    subwords: String,
    languages: BTreeMap<String, Vec<u32>>,
}

impl VocabularyMap {
    /// Counts the training text of a prepared folder; leaves out subwords seen fewer than `min_count` times in a
    /// language.
    ///
    /// # Errors
    /// A folder that is not prepared, or damaged.
    pub fn from_prepared(prepared: &Path, min_count: u64) -> Result<Self, Error> {
        let languages = Languages::load(&prepared.join(LANGUAGES_FILE))?;
        let subwords = Subwords::load(&prepared.join(TOKENIZER_FILE))?;
        let size = subwords.vocab_size();
        let counts = subword_counts(prepared, &languages, size)?;
        let is_target = |language: &str| languages.directions.iter().any(|direction| direction.target == *language);
        let targets = counts.into_iter().filter(|(language, _)| is_target(language));
        let languages = targets.map(|(language, counts)| (language, kept(&subwords, &counts, min_count))).collect();
        Ok(Self { version: VERSION, vocab_size: size, subwords: fingerprint(&subwords), languages })
    }

    /// Counts plain text, a sentence or a paragraph a line, in the target languages of a model folder: `texts` are
    /// languages with their files, several files of one language together. Leaves out subwords seen fewer than
    /// `min_count` times in a language.
    ///
    /// # Errors
    /// A folder that is no model; a language that it does not translate into; a file that cannot be read or is not
    /// UTF-8.
    pub fn from_text(model: &Path, texts: &[(String, PathBuf)], min_count: u64) -> Result<Self, Error> {
        let languages = Languages::load(&model.join(LANGUAGES_FILE))?;
        let subwords = Subwords::load(&model.join(TOKENIZER_FILE))?;
        let targets: BTreeSet<&str> = languages.directions.iter().map(|direction| direction.target.as_str()).collect();
        let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (said, path) in texts {
            let Some(language) = codes::find(said, targets.iter().copied()) else {
                let known = targets.iter().copied().collect::<Vec<_>>().join(", ");
                return Err(Error::Language { way: "into", language: said.clone(), known, hint: String::new() });
            };
            let counts = counts.entry(language.to_owned()).or_insert_with(|| vec![0; subwords.vocab_size()]);
            let mut lines = strata_corpus::text::open(path)?;
            let (mut line, mut number) = (Vec::new(), 0);
            while lines.read_until(b'\n', &mut line).io_context("read", path)? > 0 {
                number += 1;
                let text = std::str::from_utf8(&line).map_err(|_| Error::Text {
                    path: path.clone(),
                    what: format!("line {number} is not valid UTF-8"),
                })?;
                subwords.encode_target(text.trim_end()).into_iter().for_each(|id| counts[id as usize] += 1);
                line.clear();
            }
        }
        let languages = counts.into_iter().map(|(language, counts)| (language, kept(&subwords, &counts, min_count)));
        let vocab_size = subwords.vocab_size();
        Ok(Self { version: VERSION, vocab_size, languages: languages.collect(), subwords: fingerprint(&subwords) })
    }

    /// Reads a file that [`VocabularyMap::write`] wrote.
    ///
    /// # Errors
    /// A file that cannot be read, is not a vocabulary map, or has ids outside its vocabulary.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fault = |what: String| Error::Text { path: PathBuf::from(path), what };
        let bytes = std::fs::read(path).io_context("read", path)?;
        let map: Self = serde_json::from_slice(&bytes)
            .map_err(|e| fault(format!("not a vocabulary map ({e}); `strata vocabulary` writes one")))?;
        if map.version != VERSION {
            return Err(fault(format!("a vocabulary map of version {}; this strata reads {VERSION}", map.version)));
        }
        for (language, ids) in &map.languages {
            let ascending = ids.is_sorted_by(|a, b| a < b);
            if !ascending || ids.last().is_none_or(|last| *last as usize >= map.vocab_size) || !ids.contains(&EOS) {
                return Err(fault(format!(
                    "the ids of `{language}` are damaged; write it again with `strata vocabulary`"
                )));
            }
        }
        Ok(map)
    }

    /// Writes the map as JSON.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(self).map_err(std::io::Error::from).io_context("write", path)?;
        bytes.push(b'\n');
        Ok(strata_files::write_output(path, &bytes)?)
    }

    /// Size of the whole vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Each language with the number of its ids.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.languages.iter().map(|(language, ids)| (language.as_str(), ids.len()))
    }

    /// The ids for translations into `language`, if the map belongs to this subword model and has the language.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with what to do.
    pub fn ids(&self, subwords: &Subwords, language: &str) -> Result<Arc<[u32]>, Error> {
        if self.vocab_size != subwords.vocab_size() || self.subwords != fingerprint(subwords) {
            let what = "the vocabulary map was made for another subword model; make one for this model with `strata vocabulary`";
            return Err(Error::Unsupported(what.to_owned()));
        }
        self.languages.get(language).map(|ids| ids.as_slice().into()).ok_or_else(|| {
            let known: Vec<&str> = self.languages.keys().map(String::as_str).collect();
            Error::Unsupported(format!("the vocabulary map has no language `{language}`; it has: {}", known.join(", ")))
        })
    }
}

/// The ids with at least `min_count`, and those that any word can be written with: bytes, or, in vocabularies without
/// bytes, the subwords of one character.
fn kept(subwords: &Subwords, counts: &[u64], min_count: u64) -> Vec<u32> {
    let size = subwords.vocab_size() as u32;
    let never: BTreeSet<u32> = subwords.control_ids().into_iter().collect();
    let has_bytes = (0..size).any(|id| subwords.is_byte(id));
    let spells = |id: u32| if has_bytes { subwords.is_byte(id) } else { is_character(&subwords.piece(id)) };
    let seen = |id: u32| counts[id as usize] >= min_count.max(1);
    (0..size).filter(|id| *id == EOS || (!never.contains(id) && (seen(*id) || spells(*id)))).collect()
}

/// Whether a subword is one character, at the start of a word or within.
fn is_character(piece: &str) -> bool {
    piece.trim_start_matches('\u{2581}').chars().count() <= 1
}

/// SHA-256 of the subword model's own file, in hexadecimal.
fn fingerprint(subwords: &Subwords) -> String {
    Digest::of(subwords.to_json()).hex()
}
