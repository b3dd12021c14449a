//! Vocabularies of other programs: a list of names by id, and one or two segmenters whose pieces find their ids by
//! name. So the source may be cut by another model than the target, a piece may be missing from the vocabulary (it is
//! unknown then), and the vocabulary may have names that no segmenter makes but the model may write.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::charsmap::Charsmap;
use crate::error::{Error, Result};
use crate::normalize::SPACE_MARK;
use crate::pieces::{Algorithm, Normalizer, PieceModel, PieceSpec, byte_name};
use crate::sentencepiece::{self, Rules, Written, merges};
use crate::specials::UNKNOWN;
use crate::tokenizer_json::{decode_base64, encode_base64};

/// A vocabulary with its segmenters.
pub(crate) struct Mapped {
    form: MappedForm,
    source: Segmenter,
    target: Option<Segmenter>,
    /// The bytes that ids stand for.
    bytes: HashMap<u32, u8>,
    hidden: HashSet<u32>,
    /// Id of the first name.
    base: u32,
}

/// What is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MappedForm {
    /// Names by id, behind the special tokens and tags.
    pub names: Vec<String>,
    /// Names of the source's vocabulary, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_names: Option<Vec<String>>,
    /// Names that are no text, such as `<s>`.
    pub hidden: Vec<String>,
    pub source: SegmenterForm,
    /// The target's segmenter, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<SegmenterForm>,
}

/// A SentencePiece model as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SegmenterForm {
    bpe: bool,
    pieces: Vec<(String, f64)>,
    byte_fallback: bool,
    remove_extra_whitespaces: bool,
    dummy_prefix: bool,
    user_defined: Vec<String>,
    /// Base64.
    charsmap: String,
}

struct Segmenter {
    model: PieceModel,
    /// The ids of what the model makes: unknown, 256 bytes, its pieces.
    ids: Vec<u32>,
}

/// Local ids of a segmenter: unknown, then bytes, then pieces.
const BYTES: u32 = 1;
const PIECES: u32 = BYTES + 256;

impl SegmenterForm {
    /// The segmentation of a SentencePiece model.
    ///
    /// # Errors
    /// As [`sentencepiece::parse`].
    pub(crate) fn of_sentencepiece(bytes: &[u8]) -> Result<Self> {
        let spec = sentencepiece::parse(bytes)?;
        let Normalizer::Charsmap { rules, remove_extra_whitespaces } = &spec.normalizer else {
            return Err(Error::subwords("a SentencePiece model without its own rules"));
        };
        Ok(Self {
            bpe: spec.algorithm != Algorithm::Unigram,
            pieces: spec.pieces,
            byte_fallback: spec.byte_fallback,
            remove_extra_whitespaces: *remove_extra_whitespaces,
            dummy_prefix: spec.dummy_prefix,
            user_defined: spec.user_defined,
            charsmap: encode_base64(rules.blob()),
        })
    }

    /// The pieces, by the model's own order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().map(|(piece, _)| piece.as_str())
    }

    fn spec(&self) -> Result<PieceSpec> {
        let algorithm = if self.bpe { Algorithm::Bpe(merges(&self.pieces)) } else { Algorithm::Unigram };
        Ok(PieceSpec {
            algorithm,
            pieces: self.pieces.clone(),
            byte_fallback: self.byte_fallback,
            normalizer: Normalizer::Charsmap {
                rules: Charsmap::parse(&decode_base64(&self.charsmap)?)?,
                remove_extra_whitespaces: self.remove_extra_whitespaces,
            },
            dummy_prefix: self.dummy_prefix,
            classes: false,
            user_defined: self.user_defined.clone(),
        })
    }
}

impl Segmenter {
    fn new(form: &SegmenterForm, names: &[String], base: u32) -> Result<Self> {
        let known: HashMap<&str, u32> = names.iter().map(String::as_str).zip(base..).collect();
        let id = |name: &str| known.get(name).copied().unwrap_or(UNKNOWN);
        let bytes = (0..=255).map(|byte| id(&byte_name(byte)));
        let ids = [UNKNOWN].into_iter().chain(bytes).chain(form.pieces().map(id)).collect();
        Ok(Self { model: PieceModel::new(form.spec()?)?, ids })
    }

    fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let start = ids.len();
        self.model.encode(text, 0, BYTES, PIECES, ids);
        for id in &mut ids[start..] {
            *id = self.ids[*id as usize];
        }
    }
}

impl Mapped {
    /// A vocabulary whose names have the ids from `base` on.
    ///
    /// # Errors
    /// A name that is repeated, segmenters that do not work.
    pub(crate) fn new(form: MappedForm, base: u32) -> Result<Self> {
        for names in [Some(&form.names), form.source_names.as_ref()].into_iter().flatten() {
            let mut seen = HashSet::with_capacity(names.len());
            if let Some(name) = names.iter().find(|name| name.is_empty() || !seen.insert(name.as_str())) {
                return Err(Error::subwords(format!("the vocabulary has {name:?} twice, or a name that is empty")));
            }
        }
        let source = Segmenter::new(&form.source, form.source_names.as_ref().unwrap_or(&form.names), base)?;
        let target = match (&form.target, &form.source_names) {
            (None, None) => None,
            (target, _) => Some(Segmenter::new(target.as_ref().unwrap_or(&form.source), &form.names, base)?),
        };
        let ids: HashMap<&str, u32> = form.names.iter().map(String::as_str).zip(base..).collect();
        let fallback = form.target.as_ref().unwrap_or(&form.source).byte_fallback;
        let bytes = (0..=255u8).filter(|_| fallback).filter_map(|byte| Some((*ids.get(&*byte_name(byte))?, byte)));
        let bytes = bytes.collect();
        let hidden = form.hidden.iter().filter_map(|name| ids.get(name.as_str()).copied()).collect();
        Ok(Self { source, target, bytes, hidden, base, form })
    }

    pub(crate) fn form(&self) -> &MappedForm {
        &self.form
    }

    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        self.source.encode(text, ids);
    }

    pub(crate) fn encode_target(&self, text: &str, ids: &mut Vec<u32>) {
        self.target.as_ref().unwrap_or(&self.source).encode(text, ids);
    }

    /// The text of ids as bytes; `unknown` is what stands for unknown ones.
    pub(crate) fn decode(&self, ids: &[u32], unknown: &str) -> String {
        let mut bytes = Vec::with_capacity(ids.len() * 4);
        for id in ids {
            let name = id.checked_sub(self.base).and_then(|i| self.form.names.get(i as usize));
            match (name, self.bytes.get(id)) {
                _ if *id == UNKNOWN => bytes.extend(unknown.bytes()),
                (_, Some(byte)) => bytes.push(*byte),
                (Some(name), _) if !self.hidden.contains(id) => bytes.extend(name.replace(SPACE_MARK, " ").bytes()),
                _ => {}
            }
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        text.trim_start_matches(' ').to_owned()
    }

    /// The content of a SentencePiece `.model` file that cuts text as this does: its pieces are the names that are
    /// text, in their order, then those that the vocabulary lacks. None where the target is cut otherwise.
    pub(crate) fn to_sentencepiece(&self) -> Option<Vec<u8>> {
        if self.target.is_some() {
            return None;
        }
        let form = &self.form.source;
        let scores: HashMap<&str, f64> = form.pieces.iter().map(|(piece, score)| (piece.as_str(), *score)).collect();
        let user_defined: HashSet<&str> = form.user_defined.iter().map(String::as_str).collect();
        let bytes: HashSet<String> = (0..=255).map(byte_name).collect();
        let is_hidden: HashSet<&str> = self.form.hidden.iter().map(String::as_str).collect();
        let names = || self.form.names.iter().map(String::as_str).filter(|name| !is_hidden.contains(name));
        let known: HashSet<&str> = names().collect();
        let written = |name: &str| match scores.get(name) {
            _ if user_defined.contains(name) => Written::UserDefined,
            Some(score) => Written::Normal(*score),
            None if bytes.contains(name) => Written::Byte,
            None => Written::Control,
        };
        let lacking = form.pieces().filter(|piece| !known.contains(piece));
        let pieces = names().chain(lacking).map(|name| (name.to_owned(), written(name)));
        let rules = Rules {
            bpe: form.bpe,
            byte_fallback: form.byte_fallback,
            dummy_prefix: form.dummy_prefix,
            remove_extra_whitespaces: form.remove_extra_whitespaces,
            charsmap: &decode_base64(&form.charsmap).ok()?,
        };
        Some(sentencepiece::write(pieces, rules))
    }

    pub(crate) fn name(&self, id: u32) -> Option<&str> {
        self.form.names.get(id.checked_sub(self.base)? as usize).map(String::as_str)
    }

    /// Ids of names that are no text, ascending.
    pub(crate) fn hidden(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.hidden.iter().copied().collect();
        ids.sort_unstable();
        ids
    }

    pub(crate) fn is_byte(&self, id: u32) -> bool {
        self.bytes.contains_key(&id)
    }

    /// Whether the target is not cut as the source is.
    pub(crate) fn cuts_apart(&self) -> bool {
        self.target.is_some()
    }

    /// The names with their ids, for readers that know nothing else.
    pub(crate) fn ids(&self) -> BTreeMap<&str, u32> {
        self.form.names.iter().map(String::as_str).zip(self.base..).collect()
    }
}
