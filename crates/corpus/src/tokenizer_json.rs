//! The `tokenizer.json` of this project's own models: a file that Hugging Face's libraries can read, with a section
//! `strata` that holds what those have no field for.
//!
//! The section is in `model`: Hugging Face's readers ignore unknown keys there, but refuse them at the top.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::charsmap::Charsmap;
use crate::error::{Error, Result};
use crate::mapped::{Mapped, MappedForm};
use crate::normalize::{Form, SPACE_MARK};
use crate::pieces::{Algorithm, CLASSES, Normalizer, PieceSpec, byte_name};
use crate::specials::{EOS, SPECIALS, UNKNOWN, special_names};

/// Version of the `strata` section; the second has `vocabulary`.
const VERSION: u32 = 2;
/// The version of sections without `vocabulary`.
const WITHOUT_VOCABULARY: u32 = 1;

/// The section `strata`.
#[derive(Serialize, Deserialize)]
struct Section {
    version: u32,
    languages: Vec<String>,
    /// Present if [`crate::pieces`] cuts the text; absent if Hugging Face's pipeline does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pieces: Option<PieceSection>,
    /// A vocabulary of another program with its segmenters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vocabulary: Option<MappedForm>,
}

#[derive(Serialize, Deserialize)]
struct PieceSection {
    /// This crate's normalization; if absent, the model's own rules apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<Form>,
    remove_extra_whitespaces: bool,
    dummy_prefix: bool,
    byte_fallback: bool,
    classes: bool,
    user_defined: Vec<String>,
    /// A SentencePiece model's rules, base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    charsmap: String,
}

/// The section, if there is one.
fn found(json: &Value) -> Option<&Value> {
    json["model"].get("strata")
}

/// Whether the file has this project's layout.
pub(crate) fn is_ours(json: &Value) -> bool {
    found(json).is_some()
}

/// Whether the file has this project's layout but Hugging Face's pipeline cuts its text.
pub(crate) fn is_foreign(json: &Value) -> bool {
    found(json).is_some_and(|section| section.get("pieces").is_none() && !is_mapped(json))
}

/// Whether the file has a vocabulary of another program with its segmenters.
pub(crate) fn is_mapped(json: &Value) -> bool {
    found(json).is_some_and(|section| section.get("vocabulary").is_some())
}

/// The vocabulary of a file of which [`is_mapped`] is true.
pub(crate) fn read_mapped(json: &Value) -> Result<MappedForm> {
    section(json)?.vocabulary.ok_or_else(|| Error::subwords("section `strata` has no vocabulary"))
}

/// The file of a vocabulary: to readers that know nothing of segmenters, a list of words.
pub(crate) fn write_mapped(mapped: &Mapped, languages: &[String]) -> Value {
    let specials = special_names(languages);
    let added: Vec<Value> = specials.iter().enumerate().map(|(id, name)| added_token(id, name, true)).collect();
    let mut vocab: Map<String, Value> =
        mapped.ids().into_iter().map(|(name, id)| (name.to_owned(), json!(id))).collect();
    vocab.extend(specials.iter().enumerate().map(|(id, name)| (name.clone(), json!(id))));
    let vocabulary = Some(mapped.form().clone());
    let section = Section { version: VERSION, languages: languages.to_vec(), pieces: None, vocabulary };
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {
            "type": "WordLevel", "vocab": vocab, "unk_token": SPECIALS[UNKNOWN as usize], "strata": section,
        },
    })
}

/// The file with the end mark behind each text that Hugging Face's libraries encode.
pub(crate) fn with_end_mark(mut json: Value) -> Value {
    let end = SPECIALS[EOS as usize];
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let mark = json!({"SpecialToken": {"id": end, "type_id": 0}});
    json["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [text("A"), mark],
        "pair": [text("A"), mark, text("B"), mark],
        "special_tokens": {end: {"id": end, "ids": [EOS], "tokens": [end]}},
    });
    json
}

pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// # Errors
/// Text that is not base64.
pub(crate) fn decode_base64(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Error::subwords("the normalization rules are not base64"))
}

fn section(json: &Value) -> Result<Section> {
    let section: Section = Section::deserialize(found(json).unwrap_or(&Value::Null))
        .map_err(|e| Error::subwords(format!("section `strata` is not understood: {e}")))?;
    if section.version > VERSION {
        let reason = format!("written by a newer strata (layout {}, this one reads {VERSION})", section.version);
        return Err(Error::subwords(reason));
    }
    Ok(section)
}

/// The languages of the tags.
pub(crate) fn languages(json: &Value) -> Result<Vec<String>> {
    Ok(section(json)?.languages)
}

/// The section `strata` of a foreign model.
pub(crate) fn foreign_section(languages: &[String]) -> Value {
    json!(Section { version: WITHOUT_VOCABULARY, languages: languages.to_vec(), pieces: None, vocabulary: None })
}

/// An entry of `added_tokens`.
pub(crate) fn added_token(id: usize, content: &str, special: bool) -> Value {
    json!({
        "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": special,
    })
}

/// The file of a model.
pub(crate) fn write(spec: &PieceSpec, languages: &[String]) -> Value {
    let specials = special_names(languages);
    let mut added: Vec<Value> = specials.iter().enumerate().map(|(id, name)| added_token(id, name, true)).collect();
    let bytes: Vec<String> = if spec.byte_fallback { (0..=255).map(byte_name).collect() } else { Vec::new() };
    let base = specials.len() + bytes.len();
    for symbol in &spec.user_defined {
        if let Some(i) = spec.pieces.iter().position(|(piece, _)| piece == symbol) {
            added.push(added_token(base + i, symbol, false));
        }
    }
    let before = specials.iter().chain(&bytes).map(|name| (name.as_str(), 0.0));
    let all: Vec<(&str, f64)> =
        before.chain(spec.pieces.iter().map(|(piece, score)| (piece.as_str(), *score))).collect();
    let mut model = match &spec.algorithm {
        Algorithm::Unigram => {
            json!({"type": "Unigram", "unk_id": UNKNOWN, "vocab": all, "byte_fallback": spec.byte_fallback})
        }
        Algorithm::Bpe(merges) => json!({
            "type": "BPE", "dropout": null, "unk_token": SPECIALS[UNKNOWN as usize], "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": spec.byte_fallback, "ignore_merges": false,
            "vocab": all.iter().enumerate().map(|(id, (name, _))| (name.to_string(), json!(id)))
                .collect::<serde_json::Map<_, _>>(),
            "merges": merges,
        }),
    };
    let (form, remove_extra, charsmap) = match &spec.normalizer {
        Normalizer::Form(form) => (Some(*form), true, String::new()),
        Normalizer::Charsmap { rules, remove_extra_whitespaces } => {
            (None, *remove_extra_whitespaces, STANDARD.encode(rules.blob()))
        }
    };
    let section = Section {
        version: WITHOUT_VOCABULARY,
        languages: languages.to_vec(),
        vocabulary: None,
        pieces: Some(PieceSection {
            form,
            remove_extra_whitespaces: remove_extra,
            dummy_prefix: spec.dummy_prefix,
            byte_fallback: spec.byte_fallback,
            classes: spec.classes,
            user_defined: spec.user_defined.clone(),
            charsmap: charsmap.clone(),
        }),
    };
    model["strata"] = json!(section);
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": normalizer(form, remove_extra, &charsmap), "pre_tokenizer": pre_tokenizer(spec),
        "post_processor": null, "decoder": decoder(spec), "model": model,
    })
}

fn normalizer(form: Option<Form>, remove_extra: bool, charsmap: &str) -> Value {
    if let Some(form) = form {
        return form.to_json();
    }
    let mut steps = Vec::new();
    if !charsmap.is_empty() {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": charsmap}));
    }
    if remove_extra {
        steps.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
        steps.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
    }
    json!({"type": "Sequence", "normalizers": steps})
}

fn pre_tokenizer(spec: &PieceSpec) -> Value {
    let scheme = if spec.dummy_prefix { "always" } else { "never" };
    let by_word = !spec.pieces.iter().any(|(piece, _)| piece.chars().skip(1).any(|c| c == SPACE_MARK));
    let mark = SPACE_MARK.to_string();
    let metaspace = json!({"type": "Metaspace", "replacement": mark, "prepend_scheme": scheme, "split": by_word});
    if !spec.classes {
        return metaspace;
    }
    let pattern = CLASSES.replace(r"\u{2581}", &mark);
    let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    json!({"type": "Sequence", "pretokenizers": [metaspace, split]})
}

fn decoder(spec: &PieceSpec) -> Value {
    let replace = json!({"type": "Replace", "pattern": {"String": SPACE_MARK.to_string()}, "content": " "});
    let mut steps = vec![replace, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if spec.dummy_prefix {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

/// The model of a file that [`write`] made.
pub(crate) fn read(json: &Value, languages: &[String]) -> Result<PieceSpec> {
    let damaged = |what: &str| Error::subwords(format!("{what} is missing or not understood"));
    let section = section(json)?.pieces.ok_or_else(|| damaged("section `strata.pieces`"))?;
    let model = &json["model"];
    let (algorithm, all) = match model["type"].as_str() {
        Some("Unigram") => {
            let vocab = Vec::<(String, f64)>::deserialize(&model["vocab"]).map_err(|_| damaged("`model.vocab`"))?;
            (Algorithm::Unigram, vocab)
        }
        Some("BPE") => {
            let ids = std::collections::BTreeMap::<String, usize>::deserialize(&model["vocab"])
                .map_err(|_| damaged("`model.vocab`"))?;
            let mut vocab = vec![(String::new(), 0.0); ids.len()];
            for (piece, id) in ids {
                vocab.get_mut(id).ok_or_else(|| damaged("`model.vocab` has gaps: it"))?.0 = piece;
            }
            let merges = Vec::deserialize(&model["merges"]).map_err(|_| damaged("`model.merges`"))?;
            (Algorithm::Bpe(merges), vocab)
        }
        _ => return Err(damaged("`model.type`")),
    };
    let mut before = special_names(languages);
    if section.byte_fallback {
        before.extend((0..=255).map(byte_name));
    }
    if all.len() < before.len() || all.iter().zip(&before).any(|((piece, _), name)| piece != name) {
        return Err(damaged("the order of the special tokens in `model.vocab`"));
    }
    let normalizer = match section.form {
        Some(form) => Normalizer::Form(form),
        None => {
            let blob = STANDARD.decode(&section.charsmap).map_err(|_| damaged("`strata.pieces.charsmap`"))?;
            let remove_extra_whitespaces = section.remove_extra_whitespaces;
            Normalizer::Charsmap { rules: Charsmap::parse(&blob)?, remove_extra_whitespaces }
        }
    };
    Ok(PieceSpec {
        algorithm,
        pieces: all[before.len()..].to_vec(),
        byte_fallback: section.byte_fallback,
        normalizer,
        dummy_prefix: section.dummy_prefix,
        classes: section.classes,
        user_defined: section.user_defined,
    })
}
