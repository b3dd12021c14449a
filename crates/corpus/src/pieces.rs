//! Segmentation of text into pieces, the SentencePiece way: spaces become U+2581, words are cut by a unigram or BPE
//! model, characters that no piece covers become UTF-8 bytes or unknown. Knows nothing of special tokens and their ids.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Vocab};
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_64};

use crate::charsmap::Charsmap;
use crate::error::{Error, Result};
use crate::normalize::{Form, SPACE_MARK};
use crate::viterbi::{Segment, Viterbi};

/// How a sentence is normalized before it is cut.
#[derive(Clone, Debug)]
pub(crate) enum Normalizer {
    /// This crate's normalization.
    Form(Form),
    /// A SentencePiece model's own rules.
    Charsmap {
        /// Characters to replace.
        rules: Charsmap,
        /// Whether runs of spaces become one and those at the ends go.
        remove_extra_whitespaces: bool,
    },
}

/// Within words, models trained here also cut between letters, punctuation, and single digits.
pub(crate) const CLASSES: &str = r"\u{2581}?(?:[^\u{2581}\p{P}\p{S}\p{N}]+|\p{N}|[\p{P}\p{S}&&[^\u{2581}]]+)|\u{2581}";

/// The algorithm that cuts a word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Algorithm {
    /// The most probable segmentation under a unigram model.
    Unigram,
    /// Byte-pair encoding with these merges (left and right piece), first to last.
    Bpe(Vec<(String, String)>),
}

/// Everything that defines a segmentation.
#[derive(Clone, Debug)]
pub(crate) struct PieceSpec {
    pub(crate) algorithm: Algorithm,
    /// Pieces with their scores (log probabilities of a unigram model; unused with BPE). No special tokens, no bytes.
    pub(crate) pieces: Vec<(String, f64)>,
    /// Whether uncovered characters become bytes.
    pub(crate) byte_fallback: bool,
    pub(crate) normalizer: Normalizer,
    /// Whether a space is put in front of the sentence.
    pub(crate) dummy_prefix: bool,
    /// Whether words are cut at [`CLASSES`] first.
    pub(crate) classes: bool,
    /// Strings that always are pieces and are never normalized.
    pub(crate) user_defined: Vec<String>,
}

/// A segmenter ready for use; safe to share between threads.
pub(crate) struct PieceModel {
    spec: PieceSpec,
    model: Cutter,
    classes: Option<Regex>,
    /// Whether no piece goes over a word's start, so that words can be cut one by one.
    by_word: bool,
    cache: WordCache,
}

enum Cutter {
    Unigram(Viterbi),
    /// The model, and the pieces that are user-defined symbols.
    Bpe(Box<BPE>, HashMap<String, u32>),
}

/// The name of the unknown piece inside the models: a noncharacter, which no text holds.
const UNKNOWN_NAME: &str = "\u{FDD0}";

impl PieceModel {
    /// Builds the segmenter.
    ///
    /// # Errors
    /// No pieces, a piece given twice, a merge of pieces that do not exist.
    pub(crate) fn new(spec: PieceSpec) -> Result<Self> {
        let mut names = HashMap::with_capacity(spec.pieces.len());
        for (i, (piece, score)) in spec.pieces.iter().enumerate() {
            if piece.is_empty() || !score.is_finite() || names.insert(piece.as_str(), i).is_some() {
                return Err(Error::subwords(format!(
                    "piece {i} ({piece:?}) is empty, repeated or has no finite score"
                )));
            }
        }
        if spec.pieces.is_empty() {
            return Err(Error::subwords("the model has no pieces"));
        }
        // The tokenizers crate's byte fallback is not used: it would also read a literal `<0x41>` in a text as a byte.
        let model = match &spec.algorithm {
            Algorithm::Unigram => Cutter::Unigram(Viterbi::new(&spec.pieces)),
            Algorithm::Bpe(merges) => {
                let mut vocab: Vocab =
                    spec.pieces.iter().enumerate().map(|(i, (piece, _))| (piece.clone(), i as u32 + 1)).collect();
                vocab.insert(UNKNOWN_NAME.to_string(), 0);
                let builder = BPE::builder()
                    .vocab_and_merges(vocab, merges.clone())
                    .unk_token(UNKNOWN_NAME.to_string())
                    .fuse_unk(true)
                    .cache_capacity(0);
                let symbols =
                    spec.user_defined.iter().filter_map(|s| Some((s.clone(), *names.get(s.as_str())? as u32)));
                Cutter::Bpe(Box::new(builder.build().map_err(Error::subwords)?), symbols.collect())
            }
        };
        // SentencePiece's unigram models sum over the whole sentence, which decides between equally probable cuts.
        let by_word = (spec.classes || spec.algorithm != Algorithm::Unigram)
            && !spec.pieces.iter().any(|(piece, _)| piece.chars().skip(1).any(|c| c == SPACE_MARK));
        let classes = spec.classes.then(|| Regex::new(CLASSES)).transpose().map_err(Error::subwords)?;
        Ok(Self { spec, model, classes, by_word, cache: WordCache::default() })
    }

    pub(crate) fn spec(&self) -> &PieceSpec {
        &self.spec
    }

    /// Calls `each` with the words of a text, normalized, each with its space mark in front.
    fn for_words(&self, text: &str, mut each: impl FnMut(&str)) {
        let prepared = self.spec.prepare(text);
        if !self.by_word {
            if !prepared.is_empty() {
                each(&prepared);
            }
            return;
        }
        let mut start = 0;
        for (i, _) in prepared.match_indices(SPACE_MARK).filter(|(i, _)| *i > 0) {
            each(&prepared[start..i]);
            start = i;
        }
        if start < prepared.len() {
            each(&prepared[start..]);
        }
    }

    /// Cuts one word, without cache.
    fn cut<'a>(&self, word: &'a str, each: &mut impl FnMut(Segment<'a>)) {
        match &self.classes {
            Some(classes) => classes.find_iter(word).for_each(|part| self.cut_part(part.as_str(), each)),
            None => self.cut_part(word, each),
        }
    }

    fn cut_part<'a>(&self, part: &'a str, each: &mut impl FnMut(Segment<'a>)) {
        let (model, symbols) = match &self.model {
            Cutter::Unigram(model) => return model.cut(part, each),
            Cutter::Bpe(model, symbols) => (model, symbols),
        };
        // BPE never merges across a user-defined symbol.
        let mut rest = part;
        while !symbols.is_empty() && !rest.is_empty() {
            let Some((at, length)) =
                rest.char_indices().find_map(|(i, _)| Some((i, self.spec.user_defined_at(&rest[i..])?)))
            else {
                break;
            };
            let (before, symbol) = rest[..at + length].split_at(at);
            merge(model, before, each);
            each(symbols.get(symbol).map_or(Segment::Unknown(symbol), |piece| Segment::Piece(*piece)));
            rest = &rest[at + length..];
        }
        merge(model, rest, each);
    }

    /// Appends the ids of a text. `unknown` is the id of unknown text, `bytes` the id of byte 0 with byte fallback,
    /// `base` the id of the first piece.
    pub(crate) fn encode(&self, text: &str, unknown: u32, bytes: u32, base: u32, ids: &mut Vec<u32>) {
        self.for_words(text, |word| {
            let hash = xxh3_64(word.as_bytes());
            if self.cache.get(hash, word, ids) {
                return;
            }
            let start = ids.len();
            self.cut(word, &mut |segment| match segment {
                Segment::Piece(piece) => ids.push(base + piece),
                Segment::Unknown(text) if self.spec.byte_fallback => {
                    ids.extend(text.bytes().map(|byte| bytes + u32::from(byte)));
                }
                Segment::Unknown(_) => ids.push(unknown),
            });
            self.cache.insert(hash, word, &ids[start..]);
        });
        if !self.spec.byte_fallback {
            ids.dedup_by(|a, b| *a == unknown && *b == unknown); // a run of unknown characters is one token
        }
    }

    /// The pieces of a text as strings: bytes as `<0xE4>`, unknown text as it is, runs of it joined.
    pub(crate) fn pieces(&self, text: &str) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut after_unknown = false;
        self.for_words(text, |word| {
            self.cut(word, &mut |segment| {
                let unknown = matches!(segment, Segment::Unknown(_)) && !self.spec.byte_fallback;
                match (segment, out.last_mut()) {
                    (Segment::Piece(piece), _) => out.push(self.spec.pieces[piece as usize].0.clone()),
                    (Segment::Unknown(text), _) if self.spec.byte_fallback => {
                        out.extend(text.bytes().map(byte_name));
                    }
                    (Segment::Unknown(text), Some(last)) if after_unknown => last.push_str(text),
                    (Segment::Unknown(text), _) => out.push(text.to_string()),
                }
                after_unknown = unknown;
            });
        });
        out
    }
}

/// Cuts a stretch of text by BPE.
fn merge<'a>(model: &BPE, text: &'a str, each: &mut impl FnMut(Segment<'a>)) {
    // BPE does not fail once it has an unknown token; if it did, the text would be unknown, not lost.
    let Ok(tokens) = model.tokenize(text) else { return each(Segment::Unknown(text)) };
    for token in tokens {
        match token.id.checked_sub(1) {
            Some(piece) => each(Segment::Piece(piece)),
            None => each(Segment::Unknown(text.get(token.offsets.0..token.offsets.1).unwrap_or(text))),
        }
    }
}

/// `<0xE4>`: the name of a byte piece.
pub(crate) fn byte_name(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

impl PieceSpec {
    /// Normalizes a text and marks its spaces: "Hi  you" -> "▁Hi▁you".
    fn prepare(&self, text: &str) -> String {
        match &self.normalizer {
            Normalizer::Form(form) => {
                let text = form.normalize(text);
                let mut out = String::with_capacity(text.len() + 16);
                for (i, word) in text.split(' ').filter(|w| !w.is_empty()).enumerate() {
                    if i > 0 || self.dummy_prefix {
                        out.push(SPACE_MARK);
                    }
                    out.push_str(word);
                }
                out
            }
            Normalizer::Charsmap { rules, remove_extra_whitespaces } => {
                self.prepare_by_rules(text, rules, *remove_extra_whitespaces)
            }
        }
    }

    /// As SentencePiece's `Normalizer::Normalize`.
    fn prepare_by_rules(&self, text: &str, rules: &Charsmap, remove_extra: bool) -> String {
        let mut rest = text;
        if remove_extra {
            while !rest.is_empty() {
                let (length, replacement) = self.next_rule(rest, rules);
                if replacement != " " {
                    break;
                }
                rest = &rest[length..];
            }
        }
        let mut out = String::with_capacity(text.len() + 16);
        if rest.is_empty() {
            return out;
        }
        if self.dummy_prefix {
            out.push(SPACE_MARK);
        }
        let mut after_space = remove_extra;
        while !rest.is_empty() {
            let (length, replacement) = self.next_rule(rest, rules);
            rest = &rest[length..];
            let kept = if after_space { replacement.trim_start_matches(' ') } else { replacement };
            if !kept.is_empty() {
                out.extend(kept.chars().map(|c| if c == ' ' { SPACE_MARK } else { c }));
                after_space = kept.ends_with(' ');
            }
            after_space &= remove_extra;
        }
        if remove_extra {
            out.truncate(out.trim_end_matches(SPACE_MARK).len());
        }
        out
    }

    /// How many bytes are replaced at the start of a text, and by what.
    fn next_rule<'a>(&self, text: &'a str, rules: &'a Charsmap) -> (usize, &'a str) {
        if let Some(length) = self.user_defined_at(text) {
            return (length, &text[..length]);
        }
        rules.longest(text).unwrap_or_else(|| {
            let length = text.chars().next().map_or(0, char::len_utf8);
            (length, &text[..length])
        })
    }

    /// The length in bytes of the longest user-defined symbol that the text starts with.
    fn user_defined_at(&self, text: &str) -> Option<usize> {
        self.user_defined.iter().filter(|symbol| text.starts_with(symbol.as_str())).map(String::len).max()
    }
}

/// Ids of words seen before, shared by all threads. Bounded: a full shard is emptied, and the words of the current text
/// soon fill it again.
struct WordCache {
    shards: Vec<Mutex<Shard>>,
}

type Shard = HashMap<Box<str>, Box<[u32]>, Xxh3DefaultBuilder>;

const SHARDS: usize = 64;
const WORDS_PER_SHARD: usize = 4096;
/// Longer words (sentences in scripts without spaces) rarely occur twice.
const LONGEST_CACHED_BYTES: usize = 64;

impl Default for WordCache {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl WordCache {
    fn shard(&self, hash: u64) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[hash as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, hash: u64, word: &str, ids: &mut Vec<u32>) -> bool {
        if word.len() > LONGEST_CACHED_BYTES {
            return false;
        }
        self.shard(hash).get(word).inspect(|known| ids.extend_from_slice(known)).is_some()
    }

    fn insert(&self, hash: u64, word: &str, ids: &[u32]) {
        if word.len() > LONGEST_CACHED_BYTES {
            return;
        }
        let mut shard = self.shard(hash);
        if shard.len() >= WORDS_PER_SHARD {
            shard.clear();
        }
        shard.insert(word.into(), ids.into());
    }
}
