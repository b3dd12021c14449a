//! A dense model written as a CTranslate2 model folder (`TransformerSpec`, revision 7, binary version 6), so that the
//! same weights run in both programs.
//!
//! `model.bin` is, in little-endian: the binary version `u32`; the name of the specification (a string: `u16` length
//! with its closing zero, then the bytes); its revision `u32`; the number of variables `u32`; each variable (name, rank
//! `u8`, dimensions `u32`, type `u8`, size in bytes `u32`, values); the number of aliases `u32`; each alias (its name,
//! the name of the variable it stands for). Read and translated with the `ctranslate2` package 4.8.
//!
//! The decoder's first token is the target language's tag, so the model names no start token (`decoder_start_token` is
//! null) and the target prefix is the tag. CTranslate2 then has the prefix neither in its hypotheses nor in its scores.
//! Two of its defaults differ from this engine: it forbids the end mark as the first subword (`min_decoding_length`),
//! and it takes what is suppressed out before the softmax, which changes scores.
//!
//! ```python
//! translator = ctranslate2.Translator("exported", compute_type="float32")
//! results = translator.translate_batch(
//!     [["<2de>", *subwords, "</s>"]],
//!     target_prefix=[["<2de>"]],
//!     beam_size=5,
//!     min_decoding_length=0,
//! )
//! subwords = results[0].hypotheses[0]
//! ```

use std::path::{Path, PathBuf};

use serde_json::json;
use strata_recipe::{Kind, ModelConfig, Network, Prompts, sinusoidal};
use strata_store::{Existing, FileWriter, FolderWriter, ModelFolder, TensorFile};

use crate::error::Error;
use crate::packed::keep_the_model;

const BINARY_VERSION: u32 = 6;
const SPECIFICATION: &str = "TransformerSpec";
const REVISION: u32 = 7;

const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";
/// Named as the start of sentences, of which this model has none: nothing adds it.
const PADDING: &str = "<pad>";

/// A variable's values.
enum Values {
    /// Weights of these names one under another, with the shape of the whole.
    Weights(Vec<String>, Vec<usize>),
    /// Values made here.
    Floats(Vec<f32>, Vec<usize>),
    Byte(i8),
    Short(i16),
}

/// Writes the model of `folder` to `output` as a CTranslate2 model with f32 weights; `vocabulary` names the subwords by
/// id.
///
/// The tokens to translate are `<2xx> subwords </s>` with `xx` the target language, and the target prefix is the tag
/// again: the decoder's start token is left open for it.
///
/// # Errors
/// [`Error::Unsupported`] for a model with experts, which the format has no place for, and for a vocabulary of another
/// size or without the special subwords; [`Error::Packed`] if the export would replace the model itself; what the files
/// report.
pub fn write_ctranslate2(
    folder: &ModelFolder,
    vocabulary: &[String],
    output: &Path,
    existing: Existing,
) -> Result<PathBuf, Error> {
    let config = folder.model_config()?;
    if config.kind != Kind::Dense {
        return Err(Error::Unsupported(format!(
            "CTranslate2 has no Mixture-of-Experts Transformers: {} is a {}, only dense models can be exported to it",
            folder.path().display(),
            config.name()
        )));
    }
    let same_but_positions = Network { positions: config.network.positions, ..Network::default() };
    if config.network != same_but_positions || config.prompts != Prompts::default() {
        return Err(Error::Unsupported(format!(
            "{}: the export to CTranslate2 writes models of the architecture that Strata trains; `network` and `prompts` \
             in this one's config.json are of another",
            folder.path().display()
        )));
    }
    if vocabulary.len() != config.vocab_size {
        return Err(Error::Unsupported(format!(
            "{}: the model has {} subwords but its subword model {}",
            folder.path().display(),
            config.vocab_size,
            vocabulary.len()
        )));
    }
    if let Some(name) = [END, UNKNOWN, PADDING].into_iter().find(|name| !vocabulary.iter().any(|word| word == name)) {
        return Err(Error::Unsupported(format!(
            "{}: the subword model has no `{name}`, which CTranslate2 is to use",
            folder.path().display()
        )));
    }
    keep_the_model(folder, output)?;
    let weights = folder.weights()?;
    let mut out = FolderWriter::new(output)?;
    out.file("model.bin", |file| write_binary(file, &weights, &config))?;
    out.write("shared_vocabulary.json", &pretty(&json!(vocabulary)))?;
    out.write(
        "config.json",
        &pretty(&json!({
            "add_source_bos": false,
            "add_source_eos": false,
            "bos_token": PADDING,
            "decoder_start_token": null,
            "eos_token": END,
            "layer_norm_epsilon": null,
            "multi_query_attention": false,
            "unk_token": UNKNOWN,
        })),
    )?;
    Ok(out.commit(existing)?)
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    (format!("{value:#}\n")).into_bytes()
}

fn write_binary(file: &mut FileWriter, weights: &TensorFile, config: &ModelConfig) -> Result<(), strata_store::Error> {
    let (variables, aliases) = (variables(config), aliases());
    file.write_all(&BINARY_VERSION.to_le_bytes())?;
    string(file, SPECIFICATION)?;
    file.write_all(&REVISION.to_le_bytes())?;
    file.write_all(&(variables.len() as u32).to_le_bytes())?;
    for (name, values) in &variables {
        string(file, name)?;
        match values {
            Values::Weights(names, shape) => {
                header(file, shape, 0, 4 * shape.iter().product::<usize>())?;
                for name in names {
                    // Rows of the parts add up to the rows of the whole.
                    let mut part = shape.clone();
                    part[0] /= names.len();
                    file.write_all(bytemuck::cast_slice(&weights.f32(name, &part)?))?;
                }
            }
            Values::Floats(values, shape) => {
                header(file, shape, 0, 4 * values.len())?;
                file.write_all(bytemuck::cast_slice(values))?;
            }
            Values::Byte(value) => {
                header(file, &[], 1, 1)?;
                file.write_all(&value.to_le_bytes())?;
            }
            Values::Short(value) => {
                header(file, &[], 2, 2)?;
                file.write_all(&value.to_le_bytes())?;
            }
        }
    }
    file.write_all(&(aliases.len() as u32).to_le_bytes())?;
    for (alias, name) in aliases {
        string(file, alias)?;
        string(file, name)?;
    }
    Ok(())
}

fn string(file: &mut FileWriter, text: &str) -> Result<(), strata_store::Error> {
    file.write_all(&(text.len() as u16 + 1).to_le_bytes())?;
    file.write_all(text.as_bytes())?;
    Ok(file.write_all(&[0])?)
}

/// Rank, dimensions, type (0 f32, 1 i8, 2 i16) and size of a variable.
fn header(file: &mut FileWriter, shape: &[usize], kind: u8, bytes: usize) -> Result<(), strata_store::Error> {
    file.write_all(&[shape.len() as u8])?;
    for dimension in shape {
        file.write_all(&(*dimension as u32).to_le_bytes())?;
    }
    let Ok(bytes) = u32::try_from(bytes) else {
        let what = format!("{bytes} bytes in one variable; CTranslate2's format takes less than 4 GiB");
        return Err(strata_store::Error::Invalid(format!("cannot write {}: {what}", file.path().display())));
    };
    file.write_all(&[kind])?;
    Ok(file.write_all(&bytes.to_le_bytes())?)
}

/// Source, target and output share one table.
fn aliases() -> [(&'static str, &'static str); 3] {
    [
        ("decoder/projection/weight", "decoder/embeddings/weight"),
        ("encoder/embeddings_0/weight", "decoder/embeddings/weight"),
        ("encoder/position_encodings/encodings", "decoder/position_encodings/encodings"),
    ]
}

/// Every variable of the format with what it holds.
fn variables(config: &ModelConfig) -> Vec<(String, Values)> {
    let (d, f, v) = (config.d_model, config.d_ffn, config.vocab_size);
    let mut all: Vec<(String, Values)> = Vec::new();
    let mut add = |name: String, values: Values| all.push((name, values));
    let positions = config.max_length + 1;
    add("decoder/embeddings/weight".into(), Values::Weights(vec!["embedding.weight".into()], vec![v, d]));
    add(
        "decoder/position_encodings/encodings".into(),
        Values::Floats(sinusoidal(config.network.positions, positions, d), vec![positions, d]),
    );
    for (side, layers) in [("encoder", config.encoder_layers), ("decoder", config.decoder_layers)] {
        for (name, value) in [("activation", 0), ("pre_norm", 1), ("scale_embeddings", 1)] {
            add(format!("{side}/{name}"), Values::Byte(value));
        }
        add(format!("{side}/num_heads"), Values::Short(config.heads as i16));
        for layer in 0..layers {
            let (ours, theirs) = (format!("{side}.layers.{layer}"), format!("{side}/layer_{layer}"));
            let mut linear = |name: &str, parts: &[&str], outputs: usize, inputs: usize| {
                let of = |what: &str| parts.iter().map(|part| format!("{ours}.{part}.{what}")).collect();
                add(format!("{theirs}/{name}/weight"), Values::Weights(of("weight"), vec![outputs, inputs]));
                add(format!("{theirs}/{name}/bias"), Values::Weights(of("bias"), vec![outputs]));
            };
            let own = ["query", "key", "value"].map(|part| format!("self_attention.{part}"));
            linear("self_attention/linear_0", &own.each_ref().map(String::as_str), 3 * d, d);
            linear("self_attention/linear_1", &["self_attention.output"], d, d);
            if side == "decoder" {
                linear("attention/linear_0", &["cross_attention.query"], d, d);
                linear("attention/linear_1", &["cross_attention.key", "cross_attention.value"], 2 * d, d);
                linear("attention/linear_2", &["cross_attention.output"], d, d);
            }
            linear("ffn/linear_0", &["ffn.fc1"], f, d);
            linear("ffn/linear_1", &["ffn.fc2"], d, f);
            let mut norm = |name: &str, part: &str| {
                for (theirs_of, ours_of) in [("gamma", "weight"), ("beta", "bias")] {
                    let values = Values::Weights(vec![format!("{ours}.{part}.{ours_of}")], vec![d]);
                    add(format!("{theirs}/{name}/layer_norm/{theirs_of}"), values);
                }
            };
            norm("self_attention", "self_attention.norm");
            if side == "decoder" {
                norm("attention", "cross_attention.norm");
            }
            norm("ffn", "ffn.norm");
        }
        for (theirs, ours) in [("gamma", "weight"), ("beta", "bias")] {
            let values = Values::Weights(vec![format!("{side}.norm.{ours}")], vec![d]);
            add(format!("{side}/layer_norm/{theirs}"), values);
        }
    }
    for name in ["alibi", "alibi_use_positive_positions", "scale_alibi", "start_from_zero_embedding"] {
        add(format!("decoder/{name}"), Values::Byte(0));
    }
    add("decoder/alignment_heads".into(), Values::Short(1));
    add("decoder/alignment_layer".into(), Values::Short(-1));
    add("decoder/projection/bias".into(), Values::Floats(vec![0.0; v], vec![v]));
    add("encoder/embeddings_merge".into(), Values::Byte(0));
    add("encoder/multi_query_attention".into(), Values::Byte(0));
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
