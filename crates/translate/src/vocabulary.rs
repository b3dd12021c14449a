//! Vocabulary maps: the subwords that the training text has in each target language. The output layer then computes
//! those alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strata_corpus::Subwords;
use strata_corpus::frequency::subword_counts;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::subword::{EOS, SPECIALS};
use strata_files::{Digest, IoContext};

use crate::error::Error;

/// Version of the file's layout.
const VERSION: u32 = 1;

/// For each target language the ids that its translations may have, ascending: those in its side of the training text,
/// the bytes (with which any word can be written), and the end mark.
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
        let reserved = (SPECIALS.len() + subwords.languages().len()) as u32;
        let kept = |counts: Vec<u64>| -> Vec<u32> {
            let seen = |id: u32| id >= reserved && counts[id as usize] >= min_count.max(1);
            (0..size as u32).filter(|id| *id == EOS || subwords.is_byte(*id) || seen(*id)).collect()
        };
        let is_target = |language: &str| languages.directions.iter().any(|direction| direction.target == *language);
        let targets = counts.into_iter().filter(|(language, _)| is_target(language));
        let languages = targets.map(|(language, counts)| (language, kept(counts))).collect();
        Ok(Self { version: VERSION, vocab_size: size, subwords: fingerprint(&subwords), languages })
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
            let what =
                "the vocabulary map was made for another subword model; make one from the model's own prepared folder";
            return Err(Error::Unsupported(what.to_owned()));
        }
        self.languages.get(language).map(|ids| ids.as_slice().into()).ok_or_else(|| {
            let known: Vec<&str> = self.languages.keys().map(String::as_str).collect();
            Error::Unsupported(format!("the vocabulary map has no language `{language}`; it has: {}", known.join(", ")))
        })
    }
}

/// SHA-256 of the subword model's own file, in hexadecimal.
fn fingerprint(subwords: &Subwords) -> String {
    Digest::of(subwords.to_json()).hex()
}
