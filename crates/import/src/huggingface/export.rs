//! Out again: a model folder as a folder of Hugging Face's that transformers loads: M2M100 or NLLB-MoE for models of
//! that architecture, Pegasus for the dense ones that Strata trains from the beginning.
//!
//! The same list says which tensor is which in both directions (`layers`). Ids go back into the order of fairseq; those
//! of Strata's own subwords stay, since transformers reads their `tokenizer.json`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::subword::{EOS, PAD, SPECIALS, UNKNOWN};
use strata_formats::Safetensors;
use strata_recipe::{Activation, EmbeddingScale, Kind, Mixer, ModelConfig, Network, Prompts};
use strata_store::model_folder::{TOKENIZER_FILE, WEIGHTS_FILE};
use strata_store::{Dtype, Existing, FolderWriter, ModelFolder, TensorSource, TensorSpec, write_tensors};

use super::fairseq::Fairseq;
use super::layers::{self, BART, NLLB_MOE};
use super::m2m100;
use crate::error::Error;
use crate::weights::{Origin, Weights};

/// Writes the model of `folder` as `output`, a folder that transformers loads: a dense model of M2M100's architecture
/// as `m2m_100`, one with experts as `nllb-moe`, a dense one of Strata's own as `pegasus`.
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
    let architecture = Architecture::of(&config).map_err(refused)?;
    // Nothing of it is written, but a folder without it is no model.
    Languages::load(&folder.file(LANGUAGES_FILE))?;
    let subwords = Subwords::load(&folder.file(TOKENIZER_FILE))?;
    let Text { rows, files, pieces } = architecture.text(&subwords).map_err(refused)?;
    let weights = Exported::new(folder, &config, architecture, rows)?;
    let mut out = FolderWriter::new(output)?;
    let described = [
        ("config.json", describe(&config, architecture)),
        ("generation_config.json", generation(&config, architecture)),
    ];
    for (name, value) in described.into_iter().chain(files) {
        out.write(name, format!("{value:#}\n").as_bytes())?;
    }
    if let Some(pieces) = pieces {
        out.write("sentencepiece.bpe.model", &pieces)?;
    }
    write_tensors(&mut out, "model.safetensors", &weights)?;
    Ok(out.commit(existing)?)
}

/// What transformers calls the architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Architecture {
    M2m100,
    NllbMoe,
    /// A Transformer as Strata's own: norms in front, last norms, one table, sinusoidal positions of the paper from 0.
    Pegasus,
}

/// What a tokenizer needs, and the rows of the table.
struct Text {
    /// This program's id of each of theirs.
    rows: Vec<u32>,
    files: Vec<(&'static str, Value)>,
    /// A SentencePiece model.
    pieces: Option<Vec<u8>>,
}

/// The id of padding in the order of fairseq.
const FAIRSEQ_PAD: usize = 1;

impl Architecture {
    /// The one that a model has; else what is another.
    fn of(config: &ModelConfig) -> Result<Self, String> {
        let network = &config.network;
        // What each of them has as an option.
        let with_options = |mut theirs: Network| {
            theirs.activation = network.activation;
            theirs.embeddings.scale = network.embeddings.scale;
            theirs.decoder = network.decoder;
            theirs
        };
        let like = |theirs| network.decoder.mixer == Mixer::Attention && *network == with_options(theirs);
        let own = like(Network::default());
        let other = |what: &str| {
            Err(format!(
                "the export to Hugging Face writes models of the architecture of M2M100 and NLLB-MoE, such as were \
                 imported, and dense ones of Strata's own; {what}"
            ))
        };
        if !own && !like(Network { gate_bias: network.gate_bias, ..m2m100::network(FAIRSEQ_PAD + 1) }) {
            return other("`network` in this one's config.json is of another");
        }
        if config.prompts != if own { Prompts::default() } else { m2m100::prompts() } {
            return other("`prompts` in this one's config.json are of another");
        }
        match config.kind {
            Kind::Dense if own => Ok(Self::Pegasus),
            Kind::Dense => Ok(Self::M2m100),
            _ if own => Err(format!(
                "transformers has no mixture of experts with the positions of {}. Of models trained from the beginning, \
                 dense ones are written; of mixtures, those made of an imported M2M100 or NLLB model, of kind moe with \
                 two experts for a token",
                config.name()
            )),
            Kind::Moe if config.top_k == 2 && config.block_experts.is_empty() => Ok(Self::NllbMoe),
            Kind::Moe => other("in NLLB-MoE, all blocks have equally many experts, and a token uses two"),
            _ => other(&format!(
                "NLLB-MoE's experts are of kind moe, two for a token, and this one is {}: train it as kind moe to write it",
                config.name()
            )),
        }
    }

    /// The ids and files of a model's subwords; else why its tokenizer cannot have them.
    fn text(self, subwords: &Subwords) -> Result<Text, String> {
        if self != Self::Pegasus {
            let ids = Fairseq::of(subwords)?;
            return Ok(Text { files: ids.files(), rows: ids.rows, pieces: Some(ids.pieces) });
        }
        let json = subwords.to_huggingface().ok_or(
            "its subwords are those of an imported model, which transformers' tokenizers read with models of that \
             architecture only",
        )?;
        let [pad, end, unknown] = [PAD, EOS, UNKNOWN].map(|id| SPECIALS[id as usize]);
        let tags: Vec<String> = subwords.languages().iter().map(|tag| format!("<2{tag}>")).collect();
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", "attention_mask"],
            "pad_token": pad, "eos_token": end, "unk_token": unknown,
            "additional_special_tokens": tags,
            "clean_up_tokenization_spaces": false,
        });
        let rows = (0..subwords.vocab_size() as u32).collect();
        Ok(Text { rows, files: vec![("tokenizer.json", json), ("tokenizer_config.json", config)], pieces: None })
    }

    /// The ids that transformers wants to know: the first, padding, the end mark, what the decoder begins with. Models
    /// of Strata's own begin with the tag of the language, which only the caller knows.
    fn ids(self) -> Map<String, Value> {
        let ids = match self {
            Self::Pegasus => json!({ "pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": null }),
            Self::M2m100 | Self::NllbMoe => json!({
                "bos_token_id": 0, "pad_token_id": FAIRSEQ_PAD, "eos_token_id": 2, "decoder_start_token_id": 2,
            }),
        };
        into_map(ids)
    }
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The options of the architecture.
fn describe(config: &ModelConfig, architecture: Architecture) -> Value {
    let (kind, class) = match architecture {
        Architecture::M2m100 => ("m2m_100", "M2M100"),
        Architecture::NllbMoe => ("nllb-moe", "NllbMoe"),
        Architecture::Pegasus => ("pegasus", "Pegasus"),
    };
    let mut options = into_map(json!({
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
        "torch_dtype": "float32",
    }));
    options.extend(architecture.ids());
    if architecture == Architecture::NllbMoe {
        options.extend(into_map(json!({
            "num_experts": config.experts,
            "encoder_sparse_step": config.moe_every,
            "decoder_sparse_step": config.moe_every,
            "router_bias": config.network.gate_bias,
            "router_dtype": "float32",
            "second_expert_policy": "all",
            "normalize_router_prob_before_dropping": false,
            "moe_eval_capacity_token_fraction": 1.0,
            "moe_token_dropout": 1.0 - f64::from(config.inference_scale()),
        })));
    }
    Value::Object(options)
}

/// How transformers is to generate.
fn generation(config: &ModelConfig, architecture: Architecture) -> Value {
    let mut options = architecture.ids();
    options.insert("max_length".to_owned(), json!(config.max_length.min(200)));
    Value::Object(options)
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
struct Exported {
    /// What each of theirs is, and this model's tensors.
    weights: Weights,
    /// Rows and columns of the table.
    table: [usize; 2],
    /// This program's id of each row.
    rows: Vec<u32>,
    /// Rows of the table of positions, where the architecture keeps one on each side.
    positions: Option<usize>,
}

/// The name of the one table.
const TABLE: &str = "model.shared.weight";
/// The names of the tables of positions.
const POSITIONS: [&str; 2] = ["model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"];

/// Positions of the paper, `[count, d]`: all sines, then all cosines.
fn positions(count: usize, d: usize) -> Vec<u8> {
    let value = |place: usize, i: usize| {
        let pair = i % (d / 2);
        let angle = place as f64 / 10000_f64.powf(2.0 * pair as f64 / d as f64);
        if i < d / 2 { angle.sin() } else { angle.cos() }
    };
    (0..count * d).flat_map(|at| (value(at / d, at % d) as f32).to_le_bytes()).collect()
}

impl Exported {
    fn new(
        folder: &ModelFolder,
        config: &ModelConfig,
        architecture: Architecture,
        rows: Vec<u32>,
    ) -> Result<Self, Error> {
        let mut weights = Weights::new(Box::new(Safetensors::open(&folder.file(WEIGHTS_FILE))?), config)?;
        let names = if architecture == Architecture::NllbMoe { NLLB_MOE } else { BART };
        layers::add(&mut weights, config, names, 1.0);
        let table = [config.vocab_size, config.d_model];
        for weight in &weights.list {
            weights.tensors.expect(&weight.name, &weight.shape)?;
        }
        weights.tensors.expect("embedding.weight", &table)?;
        if rows.len() != config.vocab_size {
            let what = format!("{} ids, but the table has {} rows", rows.len(), config.vocab_size);
            return Err(Error::mismatch(folder.path(), what));
        }
        let positions = (architecture == Architecture::Pegasus).then_some(config.max_length);
        Ok(Self { weights, table, rows, positions })
    }
}

impl TensorSource for Exported {
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
        let positions =
            self.positions.into_iter().flat_map(|rows| POSITIONS.map(|name| spec(name, &[rows, self.table[1]])));
        layers.chain([spec(TABLE, &self.table)]).chain(positions).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, strata_store::Error> {
        let read = |name: &str| {
            let bytes = self.weights.tensors.bytes(name);
            bytes.map_err(|error| strata_store::Error::Invalid(error.to_string()))
        };
        if let Some(weight) = self.weights.list.get(index) {
            return read(&weight.name);
        }
        if let Some(rows) = self.positions
            && index > self.weights.list.len()
        {
            return Ok(Cow::Owned(positions(rows, self.table[1])));
        }
        let (table, row) = (read("embedding.weight")?, self.table[1] * size_of::<f32>());
        let rows = self.rows.iter().map(|ours| &table[*ours as usize * row..][..row]);
        Ok(Cow::Owned(rows.flatten().copied().collect()))
    }
}
