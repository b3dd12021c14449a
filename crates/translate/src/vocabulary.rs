//! Vocabulary maps: the subwords that the training text, or text like what is to be written, has in each target
//! language. The output layer then computes those alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strata_corpus::bitext::Split;
use strata_corpus::frequency::subword_counts;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::subword::EOS;
use strata_corpus::{Subwords, codes};
use strata_files::IoContext;

use crate::error::Error;

/// The map that a packed folder has of its own.
pub const VOCABULARY_MAP_FILE: &str = "vocabulary_map.json";

/// Version of the file's layout.
const VERSION: u32 = 2;

/// The share of held-out subwords that a language's ids must cover for translations into it to use them unasked.
const HARMLESS: f64 = 0.999;

/// Of plain text, every so many lines are held out.
const HELD_OUT_LINES: u64 = 10;

/// For each target language the subwords that its translations may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VocabularyMap {
    version: u32,
    /// Size of the whole vocabulary.
    vocab_size: usize,
    /// [`Subwords::digest`], to refuse a map of another model.
    subwords: String,
    languages: BTreeMap<String, MappedLanguage>,
}

/// What translations into one language may have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MappedLanguage {
    /// Ascending: the subwords of its text, the bytes (with which any word can be written), and the end mark.
    ids: Vec<u32>,
    /// The share of the subwords of held-out text that are among them; none where no text was held out.
    covers: Option<f64>,
}

impl MappedLanguage {
    /// The subwords of `counts`, and how many of those of `held_out` they are.
    fn of(subwords: &Subwords, counts: &[u64], held_out: Option<&Vec<u64>>, min_count: u64) -> Self {
        let ids = kept(subwords, counts, min_count);
        let covers = held_out.and_then(|held_out| {
            let all: u64 = held_out.iter().sum();
            let covered: u64 = ids.iter().map(|id| held_out[*id as usize]).sum();
            (all > 0).then(|| covered as f64 / all as f64)
        });
        Self { ids, covers }
    }

    /// How many subwords it has.
    pub fn size(&self) -> usize {
        self.ids.len()
    }

    /// The share of the subwords of held-out text that are among them, 0 to 1; none where no text was held out.
    pub fn covers(&self) -> Option<f64> {
        self.covers
    }

    /// Whether held-out text has next to no other subwords, so that translations lose nothing.
    pub fn is_harmless(&self) -> bool {
        self.covers.is_some_and(|covers| covers >= HARMLESS)
    }
}

impl VocabularyMap {
    /// Counts the training text of a prepared folder; leaves out subwords seen fewer than `min_count` times in a
    /// language. Its validation text tells how much the map covers.
    ///
    /// # Errors
    /// A folder that is not prepared, or damaged.
    pub fn from_prepared(prepared: &Path, min_count: u64) -> Result<Self, Error> {
        let languages = Languages::load(&prepared.join(LANGUAGES_FILE))?;
        let subwords = Subwords::load(&prepared.join(TOKENIZER_FILE))?;
        let size = subwords.vocab_size();
        let counts = subword_counts(prepared, Split::Train, &languages, size)?;
        let held_out = subword_counts(prepared, Split::Valid, &languages, size)?;
        let is_target = |language: &str| languages.directions.iter().any(|direction| direction.target == *language);
        let targets = counts.into_iter().filter(|(language, _)| is_target(language));
        let languages = targets.map(|(language, counts)| {
            let mapped = MappedLanguage::of(&subwords, &counts, held_out.get(&language), min_count);
            (language, mapped)
        });
        Ok(Self {
            version: VERSION,
            vocab_size: size,
            languages: languages.collect(),
            subwords: subwords.digest().to_owned(),
        })
    }

    /// Counts plain text, a sentence or a paragraph a line, in the target languages of a model folder: `texts` are
    /// languages with their files, several files of one language together. Leaves out subwords seen fewer than
    /// `min_count` times in a language. How much of a tenth of the lines the others cover tells how much the map does.
    ///
    /// # Errors
    /// A folder that is no model; a language that it does not translate into; a file that cannot be read or is not
    /// UTF-8.
    pub fn from_text(model: &Path, texts: &[(String, PathBuf)], min_count: u64) -> Result<Self, Error> {
        let languages = Languages::load(&model.join(LANGUAGES_FILE))?;
        let subwords = Subwords::load(&model.join(TOKENIZER_FILE))?;
        let targets: BTreeSet<&str> = languages.directions.iter().map(|direction| direction.target.as_str()).collect();
        let none = || vec![0; subwords.vocab_size()];
        // Of each language: most lines, and those held out.
        let mut counts: BTreeMap<String, [Vec<u64>; 2]> = BTreeMap::new();
        for (said, path) in texts {
            let Some(language) = codes::find(said, targets.iter().copied()) else {
                let known = targets.iter().copied().collect::<Vec<_>>().join(", ");
                return Err(Error::Language { way: "into", language: said.clone(), known, hint: String::new() });
            };
            let counts = counts.entry(language.to_owned()).or_insert_with(|| [none(), none()]);
            let mut lines = strata_corpus::text::open(path)?;
            let (mut line, mut number) = (Vec::new(), 0);
            while lines.read_until(b'\n', &mut line).io_context("read", path)? > 0 {
                number += 1;
                let text = std::str::from_utf8(&line).map_err(|_| Error::Text {
                    path: path.clone(),
                    what: format!("line {number} is not valid UTF-8"),
                })?;
                let part = &mut counts[usize::from(number % HELD_OUT_LINES == 0)];
                subwords.encode_target(text.trim_end()).into_iter().for_each(|id| part[id as usize] += 1);
                line.clear();
            }
        }
        let languages = counts.into_iter().map(|(language, [most, held_out])| {
            let covers = MappedLanguage::of(&subwords, &most, Some(&held_out), min_count).covers;
            let all: Vec<u64> = most.iter().zip(&held_out).map(|(most, held_out)| most + held_out).collect();
            (language, MappedLanguage { covers, ..MappedLanguage::of(&subwords, &all, None, min_count) })
        });
        let vocab_size = subwords.vocab_size();
        Ok(Self {
            version: VERSION,
            vocab_size,
            languages: languages.collect(),
            subwords: subwords.digest().to_owned(),
        })
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
            return Err(fault(format!(
                "a vocabulary map of version {}, and this strata reads {VERSION}; write it again with `strata vocabulary`",
                map.version
            )));
        }
        for (language, MappedLanguage { ids, .. }) in &map.languages {
            let ascending = ids.is_sorted_by(|a, b| a < b);
            if !ascending || ids.last().is_none_or(|last| *last as usize >= map.vocab_size) || !ids.contains(&EOS) {
                return Err(fault(format!(
                    "the ids of `{language}` are damaged; write it again with `strata vocabulary`"
                )));
            }
        }
        Ok(map)
    }

    /// Reads the map of a packed folder, if it has one, which only has languages where it is harmless.
    ///
    /// # Errors
    /// As [`VocabularyMap::read`] and [`VocabularyMap::check`].
    pub(crate) fn of_folder(folder: &Path, subwords: &Subwords) -> Result<Option<Self>, Error> {
        let path = folder.join(VOCABULARY_MAP_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let map = Self::read(&path)?;
        map.check(subwords)?;
        Ok(Some(map))
    }

    /// The map of the languages where it is harmless ([`MappedLanguage::is_harmless`]).
    pub(crate) fn harmless(mut self) -> Self {
        self.languages.retain(|_, mapped| mapped.is_harmless());
        self
    }

    /// The map as JSON.
    pub fn to_json(&self) -> String {
        // Numbers and strings: nothing that JSON cannot say.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Writes the map as JSON.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        Ok(strata_files::write_output(path, self.to_json().as_bytes())?)
    }

    /// Size of the whole vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Each language with what translations into it may have.
    pub fn languages(&self) -> impl ExactSizeIterator<Item = (&str, &MappedLanguage)> {
        self.languages.iter().map(|(language, mapped)| (language.as_str(), mapped))
    }

    /// The ids for translations into `language`, if the map has it.
    pub(crate) fn ids(&self, language: &str) -> Option<Arc<[u32]>> {
        self.languages.get(language).map(|mapped| mapped.ids.as_slice().into())
    }

    /// Refuses a map that was made for another subword model.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with what to do.
    pub(crate) fn check(&self, subwords: &Subwords) -> Result<(), Error> {
        if self.vocab_size != subwords.vocab_size() || self.subwords != subwords.digest() {
            let what = "the vocabulary map was made for another subword model; make one for this model with `strata vocabulary`";
            return Err(Error::Unsupported(what.to_owned()));
        }
        Ok(())
    }

    /// The ids for translations into `language`, if the map belongs to this subword model and has the language.
    ///
    /// # Errors
    /// [`Error::Unsupported`], with what to do.
    pub(crate) fn ids_asked_for(&self, subwords: &Subwords, language: &str) -> Result<Arc<[u32]>, Error> {
        self.check(subwords)?;
        self.ids(language).ok_or_else(|| {
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
