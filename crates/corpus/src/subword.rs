//! The subword model: text to ids and back, the same for training, translation and evaluation.
//!
//! Wherever the model comes from (trained here, a SentencePiece file, any `tokenizer.json`), the first ids are the
//! same: [`PAD`], [`EOS`], [`UNKNOWN`], then one target-language tag `<2xx>` per language in sorted order. They are
//! never found in text: a sentence with a literal `<2de>` or `</s>` is cut into ordinary pieces.
//!
//! A model trained here or read from SentencePiece decodes exactly what was encoded, for normalized text.

mod sources;

use std::collections::HashMap;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::alphabet::Alphabet;
use crate::foreign::Foreign;
use crate::mapped::Mapped;
use crate::normalize::SPACE_MARK;
use crate::pieces::{Algorithm, Normalizer, PieceModel, byte_name};
pub use crate::specials::{EOS, PAD, SPECIALS, UNKNOWN};
pub use sources::{ImportedVocabulary, sentencepiece_names};

/// What stands for [`UNKNOWN`] in decoded text (U+2047, as in SentencePiece).
const UNKNOWN_SURFACE: &str = "\u{2047}";

/// A subword model with its special tokens. `Send + Sync`: share one between threads.
pub struct Subwords {
    languages: Vec<String>,
    tags: HashMap<String, u32>,
    inner: Inner,
    /// Made when it is first asked for.
    alphabet: OnceLock<Alphabet>,
    /// Made when it is first asked for.
    digest: OnceLock<String>,
}

enum Inner {
    Pieces(Box<PieceModel>),
    Foreign(Box<Foreign>),
    Mapped(Box<Mapped>),
}

impl std::fmt::Debug for Subwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subwords({} subwords, languages {:?})", self.vocab_size(), self.languages)
    }
}

impl Subwords {
    fn new(languages: Vec<String>, inner: Inner) -> Self {
        let tags = languages.iter().cloned().zip(SPECIALS.len() as u32..).collect();
        Self { languages, tags, inner, alphabet: OnceLock::new(), digest: OnceLock::new() }
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

    /// The content of a SentencePiece `.model` file that cuts text as an imported vocabulary does, its pieces in the
    /// order of their ids behind `<unk>`, `<s>` and `</s>`; none for other models, and for those that cut the target
    /// otherwise than the source.
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

    /// Whether a character, behind a space or not, is in the vocabulary, but so rare that the model has hardly seen it.
    pub fn is_rare(&self, c: char, behind_space: bool) -> bool {
        matches!(self.inner, Inner::Pieces(_)) && self.alphabet().is_rare(c, behind_space)
    }

    /// Whether a word is cut so that a character is left alone which the model has hardly seen. It may know the same
    /// character well as a part of longer pieces.
    pub fn leaves_rare(&self, word: &str) -> bool {
        let Inner::Pieces(model) = &self.inner else { return false };
        model.pieces(word).iter().any(|piece| self.alphabet().is_rare_piece(piece))
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
            Inner::Pieces(model) if model.spec().algorithm == Algorithm::Unigram => {
                Alphabet::weighted(&model.spec().pieces)
            }
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
