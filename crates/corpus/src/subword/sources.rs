//! Where a subword model comes from and goes to: files of this program and of others, and further languages.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use strata_files::names::TOKENIZER_FILE;
use strata_files::{Digest, IoContext};

use super::{Inner, Subwords};
use crate::codes;
use crate::error::{Error, Result};
use crate::foreign::Foreign;
use crate::mapped::{Mapped, MappedForm, SegmenterForm};
use crate::pieces::{PieceModel, PieceSpec};
use crate::specials::{SPECIALS, special_names};
use crate::{sentencepiece, tokenizer_json};

/// The vocabulary of another program's model, for [`Subwords::import_vocabulary`].
#[derive(Clone, Debug)]
pub struct ImportedVocabulary<'a> {
    /// Languages with a tag.
    pub languages: &'a [String],
    /// The names of the ids behind special tokens and tags, in order. Pieces of a segmenter that are not among them are
    /// unknown.
    pub names: Vec<String>,
    /// Those of the source, where it has a vocabulary of its own.
    pub source_names: Option<Vec<String>>,
    /// Which names are no text, such as `<s>`.
    pub hidden: Vec<String>,
    /// The SentencePiece model that cuts the source, and the target where there is no other; its bytes.
    pub source: &'a [u8],
    /// The SentencePiece model that cuts the target.
    pub target: Option<&'a [u8]>,
}

/// All pieces of a SentencePiece model by its own ids, control tokens included, for vocabularies that number by them.
///
/// # Errors
/// Bytes that are no SentencePiece model.
pub fn sentencepiece_names(model: &[u8]) -> Result<Vec<String>> {
    sentencepiece::names(model)
}

/// Sorted, without repetition.
fn sorted_languages<S: AsRef<str>>(languages: &[S]) -> Vec<String> {
    languages.iter().map(|l| l.as_ref().to_string()).collect::<BTreeSet<_>>().into_iter().collect()
}

impl Subwords {
    pub(crate) fn from_pieces<S: AsRef<str>>(spec: PieceSpec, languages: &[S]) -> Result<Self> {
        let languages = sorted_languages(languages);
        if let Some((piece, _)) = spec.pieces.iter().find(|(p, _)| special_names(&languages).contains(p)) {
            let reason = format!("the ordinary piece {piece:?} has the name of a special token");
            return Err(Error::subwords(reason));
        }
        Ok(Self::new(languages, Inner::Pieces(Box::new(PieceModel::new(spec)?))))
    }

    /// Loads a model that [`Subwords::save`] wrote: the `tokenizer.json` of a prepared or model folder.
    ///
    /// # Errors
    /// A missing or damaged file, or a `tokenizer.json` that another program wrote ([`Subwords::import`] takes those).
    pub fn load(path: &Path) -> Result<Self> {
        let json = read_json(path)?;
        if !tokenizer_json::is_ours(&json) {
            let reason = "it was not written by strata, so its ids are not those that models expect; \
                          give it to `strata prepare --subwords`";
            return Err(Error::damaged(path, reason));
        }
        Self::from_json(&json).map_err(|e| Error::damaged(path, e.to_string()))
    }

    /// Takes any subword model for these languages: a SentencePiece `.model`, or a `tokenizer.json` (this project's or
    /// any of Hugging Face's), its ids moved behind this project's special tokens. Of a folder, a model's or a prepared
    /// one, it takes the `tokenizer.json` with all its languages, to which further ones are added.
    ///
    /// # Errors
    /// A missing or damaged file, or a model of a kind that is not supported.
    pub fn import<S: AsRef<str>>(path: &Path, languages: &[S]) -> Result<Self> {
        if path.is_dir() {
            return Self::load(&path.join(TOKENIZER_FILE))?.with_further_languages(languages);
        }
        if path.extension().is_some_and(|e| e == "model") {
            return Self::load_sentencepiece(path)?.with_languages(languages);
        }
        let json = read_json(path)?;
        let model = if tokenizer_json::is_ours(&json) {
            Self::from_json(&json).and_then(|model| model.with_languages(languages))
        } else {
            let languages = sorted_languages(languages);
            Foreign::import(json, &languages).map(|foreign| Self::new(languages, Inner::Foreign(Box::new(foreign))))
        };
        model.map_err(|e| Error::damaged(path, e.to_string()))
    }

    /// Loads a SentencePiece `.model` file. The result has this project's special tokens and no language tags; the
    /// model's own control tokens (`<s>`, `</s>`, `<pad>`) are dropped. Add tags with [`Subwords::with_languages`].
    ///
    /// # Errors
    /// A file that is no SentencePiece model, or one of a kind that is not supported (word, character, whitespace as
    /// suffix or not escaped).
    pub fn load_sentencepiece(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).io_context("read", path)?;
        sentencepiece::parse(&bytes)
            .and_then(|spec| Self::from_pieces::<&str>(spec, &[]))
            .map_err(|e| Error::damaged(path, e.to_string()))
    }

    /// Puts a vocabulary of another program together with its segmenters.
    ///
    /// # Errors
    /// Languages that are not sorted, a name that is repeated, a segmenter of a kind that is not supported.
    pub fn import_vocabulary(vocabulary: ImportedVocabulary<'_>) -> Result<Self> {
        let ImportedVocabulary { languages, names, source_names, hidden, source, target } = vocabulary;
        if sorted_languages(languages) != languages {
            return Err(Error::subwords("the languages are not sorted, or one is repeated"));
        }
        let source = SegmenterForm::of_sentencepiece(source)?;
        let target = target.map(SegmenterForm::of_sentencepiece).transpose()?;
        Self::mapped(MappedForm { names, source_names, hidden, source, target }, languages.to_vec())
    }

    fn mapped(form: MappedForm, languages: Vec<String>) -> Result<Self> {
        let base = (SPECIALS.len() + languages.len()) as u32;
        Ok(Self::new(languages, Inner::Mapped(Box::new(Mapped::new(form, base)?))))
    }

    fn from_json(json: &Value) -> Result<Self> {
        let languages = tokenizer_json::languages(json)?;
        if tokenizer_json::is_mapped(json) {
            return Self::mapped(tokenizer_json::read_mapped(json)?, languages);
        }
        if tokenizer_json::is_foreign(json) {
            let foreign = Foreign::from_json(json.clone(), &languages)?;
            return Ok(Self::new(languages, Inner::Foreign(Box::new(foreign))));
        }
        Self::from_pieces(tokenizer_json::read(json, &languages)?, &languages)
    }

    /// The same model with tags for these languages instead; the ids of the pieces move accordingly.
    pub fn with_languages<S: AsRef<str>>(self, languages: &[S]) -> Result<Self> {
        let wanted = sorted_languages(languages);
        match self.inner {
            Inner::Pieces(model) => Self::from_pieces(model.spec().clone(), &wanted),
            Inner::Foreign(_) | Inner::Mapped(_) if wanted == self.languages => Ok(self),
            Inner::Mapped(_) => Err(Error::subwords(
                "the vocabulary of an imported model has its own languages; they cannot be changed",
            )),
            Inner::Foreign(foreign) => {
                let foreign = foreign.with_languages(&self.languages, &wanted)?;
                Ok(Self::new(wanted, Inner::Foreign(Box::new(foreign))))
            }
        }
    }

    /// The same model with tags for these languages too, for text that a trained model is to learn from.
    ///
    /// # Errors
    /// A language that the model knows by another code; a model that cuts the source otherwise than the target, which
    /// prepared text cannot.
    pub fn with_further_languages<S: AsRef<str>>(self, languages: &[S]) -> Result<Self> {
        let known = || self.languages.iter().map(String::as_str);
        for said in languages.iter().map(AsRef::as_ref) {
            if !self.tags.contains_key(said)
                && let Some(known) = known().find(|known| codes::same(said, known))
            {
                return Err(Error::subwords(format!(
                    "the language of the files' `{said}` is the model's `{known}`; rename them, as train.{known}-..."
                )));
            }
        }
        let wanted: Vec<&str> = known().chain(languages.iter().map(AsRef::as_ref)).collect();
        match &self.inner {
            Inner::Mapped(mapped) if mapped.cuts_apart() => Err(Error::subwords(
                "the model cuts the source otherwise than the target, which cannot be prepared yet",
            )),
            Inner::Mapped(mapped) => Self::mapped(mapped.form().clone(), sorted_languages(&wanted)),
            Inner::Pieces(_) | Inner::Foreign(_) => {
                let wanted = sorted_languages(&wanted);
                self.with_languages(&wanted)
            }
        }
    }

    /// Where each id of this model is in `older`, from which [`Subwords::with_further_languages`] made it; none for the
    /// tags of the further languages.
    ///
    /// # Errors
    /// In what else they differ.
    pub fn ids_in(&self, older: Self) -> Result<Vec<Option<u32>>, String> {
        let lacking: Vec<&str> =
            older.languages.iter().filter(|tag| !self.languages.contains(tag)).map(String::as_str).collect();
        if !lacking.is_empty() {
            let more = if lacking.len() > 5 { ", ..." } else { "" };
            return Err(format!("no tag for {}{more}", lacking[..lacking.len().min(5)].join(", ")));
        }
        let (first, first_older) = (self.special_count(), older.special_count());
        let others = |model: &Self, first: u32| (first..model.vocab_size() as u32).map(|id| model.piece(id)).collect();
        let (names, older_names): (Vec<String>, Vec<String>) = (others(self, first), others(&older, first_older));
        if names.len() != older_names.len() {
            return Err(format!("{} besides special tokens and tags, not {}", names.len(), older_names.len()));
        }
        if let Some((name, older)) = names.iter().zip(&older_names).find(|(name, older)| name != older) {
            return Err(format!("{name:?} in the place of {older:?}"));
        }
        let tags: Vec<Option<u32>> = self.languages.iter().map(|language| older.tag(language)).collect();
        if older.with_further_languages(&self.languages).is_ok_and(|grown| grown.to_json() != self.to_json()) {
            return Err("the same subwords, but other rules by which text is cut".to_owned());
        }
        let specials = (0..SPECIALS.len() as u32).map(Some);
        let others = (0..names.len() as u32).map(|id| Some(first_older + id));
        Ok(specials.chain(tags).chain(others).collect())
    }

    /// The model as the text of a `tokenizer.json`; the same model gives the same bytes. Hugging Face's libraries read
    /// it too and segment alike, except for corner cases (literal `<0x41>` or special tokens in text).
    pub fn to_json(&self) -> String {
        let json = match &self.inner {
            Inner::Pieces(model) => tokenizer_json::write(model.spec(), &self.languages),
            Inner::Foreign(foreign) => foreign.json().clone(),
            Inner::Mapped(mapped) => tokenizer_json::write_mapped(mapped, &self.languages),
        };
        format!("{json:#}\n")
    }

    /// SHA-256 of [`Subwords::to_json`] in hexadecimal, which tells the model from all others.
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| Digest::of(self.to_json()).hex())
    }

    /// [`Subwords::to_json`] for Hugging Face's libraries to encode sentences with, the end mark behind each; none for
    /// the vocabulary of another program, whose segmenters they do not find there.
    pub fn to_huggingface(&self) -> Option<Value> {
        let json = match &self.inner {
            Inner::Pieces(model) => tokenizer_json::write(model.spec(), &self.languages),
            Inner::Foreign(foreign) => foreign.json().clone(),
            Inner::Mapped(_) => return None,
        };
        Some(tokenizer_json::with_end_mark(json))
    }

    /// Writes [`Subwords::to_json`] to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, self.to_json()).io_context("write", path)?)
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).io_context("read", path)?;
    serde_json::from_slice(&text).map_err(|e| Error::damaged(path, format!("not JSON: {e}")))
}
