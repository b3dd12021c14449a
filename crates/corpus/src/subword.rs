//! The subword model: text to ids and back, the same for training, translation and evaluation.
//!
//! Wherever the model comes from (trained here, a SentencePiece file, any `tokenizer.json`), the first ids are the
//! same: [`PAD`], [`EOS`], [`UNKNOWN`], then one target-language tag `<2xx>` per language in sorted order. They are
//! never found in text: a sentence with a literal `<2de>` or `</s>` is cut into ordinary pieces.
//!
//! A model trained here or read from SentencePiece decodes exactly what was encoded, for normalized text.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::OnceLock;

use rayon::prelude::*;
use serde_json::Value;
use strata_files::IoContext;
use strata_files::names::TOKENIZER_FILE;

use crate::alphabet::Alphabet;
use crate::codes;
use crate::error::{Error, Result};
use crate::foreign::Foreign;
use crate::mapped::{Mapped, MappedForm, SegmenterForm};
use crate::normalize::SPACE_MARK;
use crate::pieces::{Normalizer, PieceModel, PieceSpec, byte_name};
use crate::specials::special_names;
pub use crate::specials::{EOS, PAD, SPECIALS, UNKNOWN};
use crate::{sentencepiece, tokenizer_json};

/// What stands for [`UNKNOWN`] in decoded text (U+2047, as in SentencePiece).
const UNKNOWN_SURFACE: &str = "\u{2047}";

/// A subword model with its special tokens. `Send + Sync`: share one between threads.
pub struct Subwords {
    languages: Vec<String>,
    tags: HashMap<String, u32>,
    inner: Inner,
    /// Made when it is first asked for.
    alphabet: OnceLock<Alphabet>,
}

enum Inner {
    Pieces(Box<PieceModel>),
    Foreign(Box<Foreign>),
    Mapped(Box<Mapped>),
}

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

impl std::fmt::Debug for Subwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subwords({} subwords, languages {:?})", self.vocab_size(), self.languages)
    }
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
    fn new(languages: Vec<String>, inner: Inner) -> Self {
        let tags = languages.iter().cloned().zip(SPECIALS.len() as u32..).collect();
        Self { languages, tags, inner, alphabet: OnceLock::new() }
    }

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
            return Err(format!("{} beside special tokens and tags, not {}", names.len(), older_names.len()));
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

    /// Writes [`Subwords::to_json`] to a file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(std::fs::write(path, self.to_json()).io_context("write", path)?)
    }

    /// The ids of a sentence, without tag and end mark. Normalizes first.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        match &self.inner {
            Inner::Pieces(model) => model.encode(text, UNKNOWN, self.byte_base(), self.piece_base(), &mut ids),
            Inner::Foreign(foreign) => foreign.encode(text, &mut ids),
            Inner::Mapped(mapped) => mapped.encode(text, &mut ids),
        }
        ids
    }

    /// The ids of a sentence of the target, which imported models may cut otherwise than the source.
    pub fn encode_target(&self, text: &str) -> Vec<u32> {
        let Inner::Mapped(mapped) = &self.inner else { return self.encode(text) };
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        mapped.encode_target(text, &mut ids);
        ids
    }

    /// The ids of many sentences, in order, computed on all threads.
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Vec<Vec<u32>> {
        texts.par_iter().with_min_len(16).map(|text| self.encode(text.as_ref())).collect()
    }

    /// The pieces of a sentence as strings, as SentencePiece prints them: spaces as U+2581, bytes as `<0xE4>`, text
    /// without a piece as it is.
    pub fn pieces(&self, text: &str) -> Vec<String> {
        match &self.inner {
            Inner::Pieces(model) => model.pieces(text),
            Inner::Foreign(_) | Inner::Mapped(_) => self.encode(text).into_iter().map(|id| self.piece(id)).collect(),
        }
    }

    /// The text of ids. Special tokens are left out, unknown ones become U+2047, bytes that form no UTF-8 U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let model = match &self.inner {
            Inner::Pieces(model) => model,
            Inner::Foreign(foreign) => return foreign.decode(ids, self.special_count()),
            Inner::Mapped(mapped) => return mapped.decode(ids, UNKNOWN_SURFACE),
        };
        let spec = model.spec();
        let mut bytes: Vec<u8> = Vec::with_capacity(ids.len() * 4);
        for &id in ids {
            if id == UNKNOWN {
                bytes.extend(UNKNOWN_SURFACE.bytes());
            } else if let Some(piece) = id.checked_sub(self.piece_base()) {
                if let Some((piece, _)) = spec.pieces.get(piece as usize) {
                    bytes.extend(piece.replace(SPACE_MARK, " ").bytes());
                }
            } else if spec.byte_fallback && id >= self.byte_base() {
                bytes.push((id - self.byte_base()) as u8);
            }
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        match (&spec.normalizer, text.strip_prefix(' ')) {
            (Normalizer::Charsmap { remove_extra_whitespaces: true, .. }, _) => {
                text.trim_start_matches(' ').to_string()
            }
            (_, Some(rest)) if spec.dummy_prefix => rest.to_string(),
            _ => text,
        }
    }

    /// The name of an id: a special token, a byte such as `<0xE4>`, or a piece; `<unk>` beyond the vocabulary.
    pub fn piece(&self, id: u32) -> String {
        if let Some(language) = id.checked_sub(SPECIALS.len() as u32).and_then(|i| self.languages.get(i as usize)) {
            return format!("<2{language}>");
        }
        if let Some(name) = SPECIALS.get(id as usize) {
            return name.to_string();
        }
        let found = match &self.inner {
            Inner::Foreign(foreign) => foreign.piece(id),
            Inner::Mapped(mapped) => mapped.name(id).map(str::to_owned),
            Inner::Pieces(model) => match id.checked_sub(self.piece_base()) {
                Some(piece) => model.spec().pieces.get(piece as usize).map(|(piece, _)| piece.clone()),
                None => Some(byte_name((id - self.byte_base()) as u8)),
            },
        };
        found.unwrap_or_else(|| SPECIALS[UNKNOWN as usize].to_string())
    }

    /// The content of a SentencePiece `.model` file that cuts text as an imported vocabulary does, its pieces in the order
    /// of their ids behind `<unk>`, `<s>` and `</s>`; none for other models, and for those that cut the target otherwise
    /// than the source.
    pub fn to_sentencepiece(&self) -> Option<Vec<u8>> {
        match &self.inner {
            Inner::Mapped(mapped) => mapped.to_sentencepiece(),
            Inner::Pieces(_) | Inner::Foreign(_) => None,
        }
    }

    /// The id of the tag that asks for a translation into a language.
    pub fn tag(&self, language: &str) -> Option<u32> {
        self.tags.get(language).copied()
    }

    /// The number of ids, special tokens included.
    pub fn vocab_size(&self) -> usize {
        match &self.inner {
            Inner::Pieces(model) => self.piece_base() as usize + model.spec().pieces.len(),
            Inner::Foreign(foreign) => foreign.vocab_size(),
            Inner::Mapped(mapped) => self.special_count() as usize + mapped.form().names.len(),
        }
    }

    /// The languages with a tag, sorted.
    pub fn languages(&self) -> &[String] {
        &self.languages
    }

    /// The ids that no translation has: padding, unknown, tags, and the control tokens of imported models; not the end
    /// mark.
    pub fn control_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..self.special_count()).filter(|id| *id != EOS).collect();
        if let Inner::Mapped(mapped) = &self.inner {
            ids.extend(mapped.hidden());
        }
        ids
    }

    /// Whether the id stands for one byte of a character that no piece covers.
    pub fn is_byte(&self, id: u32) -> bool {
        match &self.inner {
            Inner::Pieces(_) => (self.byte_base()..self.piece_base()).contains(&id),
            Inner::Foreign(foreign) => foreign.is_byte(id),
            Inner::Mapped(mapped) => mapped.is_byte(id),
        }
    }

    /// Whether the model has pieces for a character (a grapheme cluster), in a script that it knows more than a few
    /// words of. What it does not know becomes bytes or unknown, of which translations make nothing that can be read.
    pub fn knows(&self, character: &str) -> bool {
        let Inner::Pieces(_) = &self.inner else { return self.has_pieces(character) };
        let alphabet = self.alphabet();
        let has_script = character.chars().all(|c| alphabet.has_script(c));
        has_script && (character.chars().all(|c| alphabet.has(c)) || self.has_pieces(character))
    }

    /// Whether the letter is of a script that the model knows more than a few words of.
    pub fn knows_script(&self, letter: char) -> bool {
        !matches!(self.inner, Inner::Pieces(_)) || self.alphabet().has_script(letter)
    }

    /// Normalization may make known what is not in the vocabulary as it is written.
    fn has_pieces(&self, text: &str) -> bool {
        !self.encode(text).into_iter().any(|id| id == UNKNOWN || self.is_byte(id))
    }

    fn alphabet(&self) -> &Alphabet {
        self.alphabet.get_or_init(|| match &self.inner {
            Inner::Pieces(model) => Alphabet::new(model.spec().pieces.iter().map(|(piece, _)| piece.as_str())),
            Inner::Foreign(_) | Inner::Mapped(_) => Alphabet::default(),
        })
    }

    fn special_count(&self) -> u32 {
        (SPECIALS.len() + self.languages.len()) as u32
    }

    /// Id of byte 0 with byte fallback.
    fn byte_base(&self) -> u32 {
        self.special_count()
    }

    /// Id of the first ordinary piece.
    fn piece_base(&self) -> u32 {
        let bytes = match &self.inner {
            Inner::Pieces(model) if model.spec().byte_fallback => 256,
            _ => 0,
        };
        self.special_count() + bytes
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).io_context("read", path)?;
    serde_json::from_slice(&text).map_err(|e| Error::damaged(path, format!("not JSON: {e}")))
}
