//! Tokenizers from elsewhere (`tokenizer.json` of any Hugging Face model), run by the tokenizers crate, with their ids
//! moved behind this project's special tokens.
//!
//! Their own control tokens, truncation, padding and templates are dropped: this project adds tags and end marks
//! itself. Inside, special tokens have names that no text can hold, so that none is ever found in a text.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::error::{Error, Result};
use crate::pieces::byte_name;
use crate::specials::{SPECIALS, UNKNOWN, special_names};
use crate::tokenizer_json::{added_token, foreign_section};

/// First of the noncharacters that name special tokens inside.
const HIDDEN: char = '\u{FDD0}';

pub(crate) struct Foreign {
    /// The file, special tokens under their real names.
    json: Value,
    tokenizer: Tokenizer,
    /// Ids of `<0x00>`..`<0xFF>`, where the model falls back to them.
    bytes: HashSet<u32>,
}

/// The pieces of a `model.vocab`, by id.
fn vocabulary(model: &Value) -> Result<Vec<(String, f64)>> {
    let unreadable = || Error::subwords("`model.vocab` is missing or not understood");
    if model["vocab"].is_array() {
        return Vec::deserialize(&model["vocab"]).map_err(|_| unreadable());
    }
    let ids = BTreeMap::<String, u32>::deserialize(&model["vocab"]).map_err(|_| unreadable())?;
    let mut pieces: Vec<(u32, String)> = ids.into_iter().map(|(piece, id)| (id, piece)).collect();
    pieces.sort();
    Ok(pieces.into_iter().map(|(_, piece)| (piece, 0.0)).collect())
}

/// Puts a vocabulary into a model in the form that its type has.
fn set_vocabulary(model: &mut Value, pieces: &[(String, f64)]) {
    model["vocab"] = if model["type"] == "Unigram" {
        json!(pieces)
    } else {
        Value::Object(pieces.iter().enumerate().map(|(id, (piece, _))| (piece.clone(), json!(id))).collect())
    };
}

impl Foreign {
    /// Takes a `tokenizer.json` that another program wrote.
    pub(crate) fn import(mut json: Value, languages: &[String]) -> Result<Self> {
        let kind = json["model"]["type"].as_str().unwrap_or("");
        if !["Unigram", "BPE", "WordPiece", "WordLevel"].contains(&kind) {
            let reason = format!("`model.type` is {kind:?}; expected Unigram, BPE, WordPiece or WordLevel");
            return Err(Error::subwords(reason));
        }
        let added = json["added_tokens"].as_array().cloned().unwrap_or_default();
        let content = |token: &Value| token["content"].as_str().unwrap_or("").to_string();
        let (control, plain): (Vec<&Value>, Vec<&Value>) = added.iter().partition(|t| t["special"] == true);
        let specials = special_names(languages);
        let mut dropped: HashSet<String> = control.into_iter().map(content).chain(specials.clone()).collect();
        let model = &mut json["model"];
        let mut pieces = vocabulary(model)?;
        if let Some(unknown) = model["unk_id"].as_u64() {
            dropped.extend(pieces.get(unknown as usize).map(|(piece, _)| piece.clone()));
        }
        dropped.extend(model["unk_token"].as_str().map(str::to_string));
        pieces.retain(|(piece, _)| !dropped.contains(piece));
        if pieces.is_empty() {
            return Err(Error::subwords("the model has no pieces besides special tokens"));
        }
        let all: Vec<_> = specials.iter().map(|name| (name.clone(), 0.0)).chain(pieces).collect();
        set_vocabulary(model, &all);
        if model["type"] == "Unigram" {
            model["unk_id"] = json!(UNKNOWN);
        } else {
            model["unk_token"] = json!(SPECIALS[UNKNOWN as usize]);
        }
        let mut tokens: Vec<Value> =
            specials.iter().enumerate().map(|(id, name)| added_token(id, name, true)).collect();
        let mut next = all.len();
        for token in plain {
            let mut token = token.clone();
            let known = all.iter().position(|(piece, _)| *piece == content(&token));
            token["id"] = json!(known.unwrap_or(next));
            next += usize::from(known.is_none());
            tokens.push(token);
        }
        json["added_tokens"] = json!(tokens);
        for key in ["truncation", "padding", "post_processor"] {
            json[key] = Value::Null;
        }
        json["model"]["strata"] = foreign_section(languages);
        Self::from_json(json, languages)
    }

    /// Takes a file that [`Foreign::import`] made.
    pub(crate) fn from_json(json: Value, languages: &[String]) -> Result<Self> {
        let specials = special_names(languages);
        let hidden: Vec<String> = (0..specials.len()).map(|id| format!("{HIDDEN}{id}")).collect();
        let mut inside = json.clone();
        if let Some(tokens) = inside["added_tokens"].as_array_mut() {
            tokens.retain(|token| token["special"] != true);
        }
        let mut pieces = vocabulary(&json["model"])?;
        if pieces.len() < specials.len() || pieces.iter().zip(&specials).any(|((piece, _), name)| piece != name) {
            return Err(Error::subwords("the special tokens of `model.vocab` are not in their order"));
        }
        for ((piece, _), name) in pieces.iter_mut().zip(&hidden) {
            piece.clone_from(name);
        }
        set_vocabulary(&mut inside["model"], &pieces);
        if !inside["model"]["unk_token"].is_null() {
            inside["model"]["unk_token"] = json!(hidden[UNKNOWN as usize]);
        }
        let tokenizer = Tokenizer::from_str(&inside.to_string())
            .map_err(|e| Error::subwords(format!("not a tokenizer.json that is understood: {e}")))?;
        let fallback = json["model"]["byte_fallback"] == true;
        let ids = (0..=255).filter(|_| fallback).filter_map(|byte| tokenizer.token_to_id(&byte_name(byte)));
        let bytes = ids.collect();
        Ok(Self { json, tokenizer, bytes })
    }

    /// The same tokenizer with tags for other languages.
    pub(crate) fn with_languages(&self, old: &[String], new: &[String]) -> Result<Self> {
        let mut json = self.json.clone();
        let tags = special_names(old);
        if let Some(tokens) = json["added_tokens"].as_array_mut() {
            tokens.retain(|token| token["special"] != true);
        }
        let mut pieces = vocabulary(&json["model"])?;
        pieces.drain(SPECIALS.len()..tags.len());
        set_vocabulary(&mut json["model"], &pieces);
        Self::import(json, new)
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let text = text.replace(|c| ('\u{FDD0}'..='\u{FDEF}').contains(&c), "\u{FFFD}");
        match self.tokenizer.encode_fast(text, false) {
            Ok(encoding) => ids.extend_from_slice(encoding.get_ids()),
            // Only a broken pipeline fails: one without an unknown token, or whose regular expression gives up.
            Err(_) => ids.push(UNKNOWN),
        }
    }

    pub(crate) fn decode(&self, ids: &[u32], specials: u32) -> String {
        let ids: Vec<u32> = ids.iter().copied().filter(|id| *id >= specials).collect();
        self.tokenizer.decode(&ids, false).unwrap_or_default()
    }

    pub(crate) fn piece(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    pub(crate) fn is_byte(&self, id: u32) -> bool {
        self.bytes.contains(&id)
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }
}
