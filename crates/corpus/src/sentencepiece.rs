//! SentencePiece `.model` files: unigram and BPE models segment text here exactly as SentencePiece itself does.
//!
//! The file is a protocol buffer (`sentencepiece_model.proto` of the SentencePiece project); only the fields that
//! decide a segmentation are read.

use std::collections::HashMap;

use prost::Message;

use crate::charsmap::Charsmap;
use crate::error::{Error, Result};
use crate::pieces::{Algorithm, Normalizer, PieceSpec, byte_name};

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

#[derive(Clone, PartialEq, Message)]
struct PieceProto {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerProto {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24", default = "false")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35", default = "false")]
    byte_fallback: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerProto {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    escape_whitespaces: Option<bool>,
}

// SentencePiece.Type
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;
const BYTE: i32 = 6;
// TrainerSpec.ModelType
const UNIGRAM: i32 = 1;
const BPE: i32 = 2;

/// The names of all pieces by id.
///
/// # Errors
/// Bytes that are no SentencePiece model.
pub(crate) fn names(bytes: &[u8]) -> Result<Vec<String>> {
    let model = ModelProto::decode(bytes).map_err(|e| Error::subwords(format!("not a SentencePiece model: {e}")))?;
    Ok(model.pieces.into_iter().map(|proto| proto.piece.unwrap_or_default()).collect())
}

/// The segmentation that the content of a `.model` file defines, without the model's control tokens.
///
/// # Errors
/// Bytes that are no SentencePiece model, or one of a kind that is not supported.
pub(crate) fn parse(bytes: &[u8]) -> Result<PieceSpec> {
    let model = ModelProto::decode(bytes).map_err(|e| Error::subwords(format!("not a SentencePiece model: {e}")))?;
    if model.pieces.is_empty() {
        return Err(Error::subwords("not a SentencePiece model: it has no pieces"));
    }
    // Every writer puts these last: a file without them was cut off.
    let (Some(trainer), Some(normalizer)) = (model.trainer, model.normalizer) else {
        return Err(Error::subwords("not a whole SentencePiece model: its end is missing"));
    };
    if trainer.treat_whitespace_as_suffix() || !normalizer.escape_whitespaces() {
        return Err(Error::subwords(
            "SentencePiece models trained with treat_whitespace_as_suffix or without escape_whitespaces are not \
             supported",
        ));
    }
    let is_bpe = match trainer.model_type() {
        UNIGRAM => false,
        BPE => true,
        other => {
            let reason = format!("SentencePiece model type {other}; only unigram (1) and BPE (2) are supported");
            return Err(Error::subwords(reason));
        }
    };
    let scores = model.pieces.iter().filter(|p| p.kind() == NORMAL).map(PieceProto::score);
    let best = scores.fold(f32::MIN, f32::max);
    let (mut pieces, mut user_defined) = (Vec::new(), Vec::new());
    for proto in &model.pieces {
        let piece = proto.piece().to_string();
        match proto.kind() {
            NORMAL => pieces.push((piece, f64::from(proto.score()))),
            // SentencePiece makes a user-defined symbol win against any segmentation of the same bytes.
            USER_DEFINED => {
                pieces.push((piece.clone(), f64::from(piece.len() as f32 * best - 0.1)));
                user_defined.push(piece);
            }
            UNUSED if is_bpe => return Err(Error::subwords("BPE models with unused pieces are not supported")),
            _ => {} // unknown, control, unused and byte pieces are never matched in text
        }
    }
    let bytes_found = model.pieces.iter().filter(|p| p.kind() == BYTE).count();
    let all_bytes = (0..=255).all(|b| model.pieces.iter().any(|p| p.kind() == BYTE && p.piece() == byte_name(b)));
    if trainer.byte_fallback() && !all_bytes {
        return Err(Error::subwords(format!("byte fallback is on but only {bytes_found} of 256 byte pieces exist")));
    }
    let algorithm = if is_bpe { Algorithm::Bpe(merges(&pieces)) } else { Algorithm::Unigram };
    Ok(PieceSpec {
        algorithm,
        pieces,
        byte_fallback: trainer.byte_fallback(),
        normalizer: Normalizer::Charsmap {
            rules: Charsmap::parse(normalizer.precompiled_charsmap())?,
            remove_extra_whitespaces: normalizer.remove_extra_whitespaces(),
        },
        dummy_prefix: normalizer.add_dummy_prefix(),
        classes: false,
        user_defined,
    })
}

/// A piece of a model that is written.
pub(crate) enum Written {
    /// Matched in text, with its score.
    Normal(f64),
    /// Matched in text before all others.
    UserDefined,
    /// Stands for a byte.
    Byte,
    /// Never matched.
    Control,
}

/// The content of a `.model` file with `pieces` behind `<unk>`, `<s>` and `</s>`, which segments as a model of that
/// kind and those rules does.
pub(crate) fn write(pieces: impl Iterator<Item = (String, Written)>, rules: Rules<'_>) -> Vec<u8> {
    let proto = |piece: String, score: f64, kind: i32| PieceProto {
        piece: Some(piece),
        score: Some(score as f32),
        kind: Some(kind),
    };
    let special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)];
    let special = special.map(|(name, kind)| proto(name.to_owned(), 0.0, kind));
    let others = pieces.map(|(name, written)| match written {
        Written::Normal(score) => proto(name, score, NORMAL),
        Written::UserDefined => proto(name, 0.0, USER_DEFINED),
        Written::Byte => proto(name, 0.0, BYTE),
        Written::Control => proto(name, 0.0, CONTROL),
    });
    let model = ModelProto {
        pieces: special.into_iter().chain(others).collect(),
        trainer: Some(TrainerProto {
            model_type: Some(if rules.bpe { BPE } else { UNIGRAM }),
            treat_whitespace_as_suffix: None,
            byte_fallback: Some(rules.byte_fallback),
        }),
        normalizer: Some(NormalizerProto {
            precompiled_charsmap: Some(rules.charsmap.to_vec()),
            add_dummy_prefix: Some(rules.dummy_prefix),
            remove_extra_whitespaces: Some(rules.remove_extra_whitespaces),
            escape_whitespaces: Some(true),
        }),
    };
    model.encode_to_vec()
}

/// How a model that is written cuts text.
pub(crate) struct Rules<'a> {
    pub bpe: bool,
    pub byte_fallback: bool,
    pub dummy_prefix: bool,
    pub remove_extra_whitespaces: bool,
    pub charsmap: &'a [u8],
}

/// The merges that a SentencePiece BPE model implies: every way to make a piece out of two others, best piece first.
pub(crate) fn merges(pieces: &[(String, f64)]) -> Vec<(String, String)> {
    let known: HashMap<&str, f64> = pieces.iter().map(|(piece, score)| (piece.as_str(), *score)).collect();
    let mut merges: Vec<(f64, &str, &str)> = Vec::new();
    for (piece, score) in pieces {
        for (i, _) in piece.char_indices().skip(1) {
            let (left, right) = piece.split_at(i);
            if known.contains_key(left) && known.contains_key(right) {
                merges.push((*score, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0));
    merges.into_iter().map(|(_, left, right)| (left.to_string(), right.to_string())).collect()
}
