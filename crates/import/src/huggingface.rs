//! Folders of Hugging Face: `config.json` with a `model_type`, weights, and subword models.

mod export;
mod fairseq;
mod layers;
mod m2m100;
mod marian;
mod tokenizer;

use std::path::Path;

pub use export::export_huggingface;

use strata_recipe::{Activation, ModelConfig};

use crate::Options;
use crate::error::Error;
use crate::options;
use crate::plan::{self, Plan};

/// Whether a folder is one of these.
pub(crate) fn is_at(folder: &Path) -> bool {
    let config = folder.join("config.json");
    options::Options::read(&config).is_ok_and(|options| options.text("model_type").is_some())
}

/// Reads everything but the weights.
///
/// # Errors
/// An architecture or option that is not supported, files that are missing or do not belong together.
pub(crate) fn plan(folder: &Path, wanted: &Options) -> Result<Plan, Error> {
    let config = options::Options::read(&folder.join("config.json"))?;
    match config.text("model_type") {
        Some("m2m_100" | "nllb-moe") => m2m100::plan(folder, &config),
        Some("marian") => marian::plan(folder, &config, wanted),
        _ => Err(config.unsupported("model_type", "\"m2m_100\" (M2M100, NLLB-200), \"nllb-moe\", \"marian\"")),
    }
}

/// The sizes that all of these models name alike, checked.
fn sizes(config: &options::Options) -> Result<ModelConfig, Error> {
    let mut model = ModelConfig {
        encoder_layers: config.number("encoder_layers")?,
        decoder_layers: config.number("decoder_layers")?,
        d_model: config.number("d_model")?,
        d_ffn: config.number("encoder_ffn_dim")?,
        heads: config.number("encoder_attention_heads")?,
        vocab_size: config.number("vocab_size")?,
        max_length: config.number("max_position_embeddings")?,
        dropout: config.real("dropout", 0.1)?,
        attention_dropout: config.real("attention_dropout", 0.0)?,
        activation_dropout: config.real("activation_dropout", 0.0)?,
        ..ModelConfig::default()
    };
    let other = |value, of_encoder| (value != of_encoder).then_some(value);
    model.network.decoder.d_ffn = other(config.number("decoder_ffn_dim")?, model.d_ffn);
    model.network.decoder.heads = other(config.number("decoder_attention_heads")?, model.heads);
    model.network.activation = match config.text("activation_function") {
        Some("relu") => Activation::Relu,
        Some("swish" | "silu") => Activation::Swish,
        Some("gelu") => Activation::Gelu,
        Some("gelu_new" | "gelu_pytorch_tanh") => Activation::GeluTanh,
        Some("quick_gelu") => Activation::GeluSigmoid,
        _ => {
            let known = "relu, swish, silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu";
            return Err(config.unsupported("activation_function", known));
        }
    };
    check_sizes(config, &model)?;
    Ok(model)
}

/// Checks the sizes of a configuration.
///
/// # Errors
/// A size that no model has.
fn check_sizes(config: &options::Options, model: &ModelConfig) -> Result<(), Error> {
    let names = [
        ("d_ffn", "encoder_ffn_dim"),
        ("network.decoder.d_ffn", "decoder_ffn_dim"),
        ("heads", "encoder_attention_heads"),
        ("network.decoder.heads", "decoder_attention_heads"),
        ("max_length", "max_position_embeddings"),
        ("moe_every", "encoder_sparse_step"),
        ("experts", "num_experts"),
    ];
    plan::check_sizes(model, config.path(), &names)
}
