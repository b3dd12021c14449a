//! Out again: a model folder as a folder of Hugging Face's M2M100 or NLLB-MoE, which transformers loads.
//!
//! The same list says which tensor is which in both directions (`layers`). Ids go back into the order of fairseq.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use strata_corpus::Subwords;
use strata_formats::Safetensors;
use strata_recipe::{Activation, EmbeddingScale, Kind, Mixer, ModelConfig};
use strata_store::model_folder::{TOKENIZER_FILE, WEIGHTS_FILE};
use strata_store::{Dtype, Existing, FolderWriter, ModelFolder, TensorSource, TensorSpec, write_tensors};

use super::fairseq::Fairseq;
use super::layers::{self, BART, NLLB_MOE};
use super::m2m100;
use crate::error::Error;
use crate::weights::{Origin, Weights};

/// Writes the model of `folder` as `output`, a folder that transformers loads: a dense model of M2M100's architecture
/// as
/// `m2m_100`, one with experts as `nllb-moe`.
///
/// # Errors
/// [`Error::NotExported`] for a model of an architecture that is not theirs, and for an output that is the model
/// itself; what the files report.
pub fn export_huggingface(folder: &ModelFolder, output: &Path, existing: Existing) -> Result<PathBuf, Error> {
    let refused = |what: String| Error::NotExported { path: folder.path().to_path_buf(), what };
    if folder.is_at(output) {
        let what = "the export would replace the model that it is made from; choose another output";
        return Err(refused(what.to_owned()));
    }
    let config = folder.model_config()?;
    check(&config).map_err(refused)?;
    let ids = Fairseq::of(&Subwords::load(&folder.file(TOKENIZER_FILE))?).map_err(refused)?;
    let weights = Exported::new(folder, &config, &ids)?;
    let mut out = FolderWriter::new(output)?;
    for (name, value) in [("config.json", describe(&config)), ("generation_config.json", generation(&config))]
        .into_iter()
        .chain(ids.files())
    {
        out.write(name, format!("{value:#}\n").as_bytes())?;
    }
    out.write("sentencepiece.bpe.model", &ids.pieces)?;
    write_tensors(&mut out, "model.safetensors", &weights)?;
    Ok(out.commit(existing)?)
}

/// Whether transformers has the architecture; if not, what is another.
fn check(config: &ModelConfig) -> Result<(), String> {
    let other = |what: String| {
        Err(format!(
            "the export to Hugging Face writes models of the architecture of M2M100 and NLLB-MoE, such as were imported; \
             {what}"
        ))
    };
    let mut theirs = m2m100::network(config.network.positions.first);
    theirs.activation = config.network.activation;
    theirs.embeddings.scale = config.network.embeddings.scale;
    theirs.decoder = config.network.decoder;
    theirs.gate_bias = config.network.gate_bias;
    // Positions begin behind the id of padding.
    if config.network != theirs || theirs.decoder.mixer != Mixer::Attention || theirs.positions.first != PAD + 1 {
        return other("`network` in this one's config.json is of another".to_owned());
    }
    if config.prompts != m2m100::prompts() {
        return other("`prompts` in this one's config.json are of another".to_owned());
    }
    match config.kind {
        Kind::Dense => Ok(()),
        Kind::Moe if config.top_k == 2 && config.block_experts.is_empty() => Ok(()),
        Kind::Moe => other("in those, all blocks have equally many experts, and a token uses two".to_owned()),
        _ => other(format!("those are dense or have experts of the kind moe, this one is {}", config.name())),
    }
}

/// The id of padding in the order of fairseq.
const PAD: usize = 1;

/// The options of the architecture.
fn describe(config: &ModelConfig) -> Value {
    let mixture = config.kind == Kind::Moe;
    let (kind, class) = if mixture { ("nllb-moe", "NllbMoe") } else { ("m2m_100", "M2M100") };
    let mut options = json!({
        "model_type": kind,
        "architectures": [format!("{class}ForConditionalGeneration")],
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "num_hidden_layers": config.encoder_layers,
        "encoder_ffn_dim": config.d_ffn,
        "decoder_ffn_dim": config.network.decoder.d_ffn.unwrap_or(config.d_ffn),
        "encoder_attention_heads": config.heads,
        "decoder_attention_heads": config.network.decoder.heads.unwrap_or(config.heads),
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
        "max_position_embeddings": config.max_length,
        "activation_function": activation(config.network.activation),
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "scale_embedding": config.network.embeddings.scale == EmbeddingScale::SqrtD,
        "is_encoder_decoder": true,
        "tie_word_embeddings": true,
        "bos_token_id": 0,
        "pad_token_id": PAD,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "torch_dtype": "float32",
    });
    if mixture {
        let of_experts = json!({
            "num_experts": config.experts,
            "encoder_sparse_step": config.moe_every,
            "decoder_sparse_step": config.moe_every,
            "router_bias": config.network.gate_bias,
            "router_dtype": "float32",
            "second_expert_policy": "all",
            "normalize_router_prob_before_dropping": false,
            "moe_eval_capacity_token_fraction": 1.0,
            "moe_token_dropout": 1.0 - f64::from(config.inference_scale()),
        });
        if let (Some(options), Value::Object(further)) = (options.as_object_mut(), of_experts) {
            options.extend(further);
        }
    }
    options
}

/// How transformers is to generate.
fn generation(config: &ModelConfig) -> Value {
    json!({
        "bos_token_id": 0,
        "pad_token_id": PAD,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "max_length": config.max_length.min(200),
    })
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::Swish => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::GeluSigmoid => "quick_gelu",
    }
}

/// The weights under their names, each read when it is written.
struct Exported<'a> {
    /// What each of theirs is, and this model's tensors.
    weights: Weights,
    /// Rows and columns of the table.
    table: [usize; 2],
    ids: &'a Fairseq,
}

/// The name of the one table.
const TABLE: &str = "model.shared.weight";

impl<'a> Exported<'a> {
    fn new(folder: &ModelFolder, config: &ModelConfig, ids: &'a Fairseq) -> Result<Self, Error> {
        let mut weights = Weights::new(Box::new(Safetensors::open(&folder.file(WEIGHTS_FILE))?));
        layers::add(&mut weights, config, if config.kind == Kind::Moe { NLLB_MOE } else { BART }, 1.0);
        let table = [config.vocab_size, config.d_model];
        for weight in &weights.list {
            weights.tensors.expect(&weight.name, &weight.shape)?;
        }
        weights.tensors.expect("embedding.weight", &table)?;
        if ids.rows.len() != config.vocab_size {
            let what = format!("{} ids, but the table has {} rows", ids.rows.len(), config.vocab_size);
            return Err(Error::mismatch(folder.path(), what));
        }
        Ok(Self { weights, table, ids })
    }
}

impl TensorSource for Exported<'_> {
    fn specs(&self) -> Vec<TensorSpec> {
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.to_owned(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
        };
        let layers = self.weights.list.iter().map(|weight| match &weight.origin {
            Origin::Whole { name, .. } => spec(name, &weight.shape),
            _ => spec(&weight.name, &weight.shape),
        });
        layers.chain([spec(TABLE, &self.table)]).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, strata_store::Error> {
        let read = |name: &str| {
            let bytes = self.weights.tensors.bytes(name);
            bytes.map_err(|error| strata_store::Error::Invalid(error.to_string()))
        };
        if let Some(weight) = self.weights.list.get(index) {
            return read(&weight.name);
        }
        let (table, row) = (read("embedding.weight")?, self.table[1] * size_of::<f32>());
        let rows = self.ids.rows.iter().map(|ours| &table[*ours as usize * row..][..row]);
        Ok(Cow::Owned(rows.flatten().copied().collect()))
    }
}
