//! The cost of a model: parameters, forward FLOPs per token, memory.
//!
//! A *token* is one source token through the encoder and one target token through the decoder, and a multiply-add is
//! two operations. We count the products with the weights of attention, FFNs, experts and the output projection. Left
//! out, as in the published comparison of these models, are the gates (under 0.1 %), norms, activations and softmaxes,
//! and the products of queries, keys and values with each other, which depend on the sentence; [`Uncounted`] states the
//! first and the last. So a model differs from the dense one by exactly `blocks * (k * RC - 1) * 4 * d_model * d_ffn`.
//!
//! The absolute figures of the paper's dense models (167M and 506M where this counts 121M and 418M) come from an
//! accounting that it does not state. No sum of the products above and terms proportional to `d_model` (attention over
//! any length, embeddings counted as products any number of times) gives them: twice the first figure and the second
//! would then differ by 176M, but they differ by 172M. The nearest such sums miss them by 0.5 % in opposite directions,
//! and need attention over 2,100 positions, or over 1,200 together with the output projection, which no sentence of
//! that data has. Differences between models do not depend on it.

use std::ops::{Add, Mul};

use serde::Serialize;
use strata_routing::Strata;

use crate::error::ConfigError;
use crate::model_config::ModelConfig;
use crate::network::{Mixer, Network, Side};
use crate::rules::Kind;

pub use crate::cost_table::render;

/// One part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Part {
    /// Parameters: weights that gradients train, and the offsets of a capacity budget, which the budget moves.
    pub parameters: u64,
    /// Forward FLOPs per token, under uniform routing.
    pub flops_per_token: u64,
}

/// A model by parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parts {
    /// The tables of embeddings and the output layer; the FLOPs are the output layer's.
    pub embeddings: Part,
    /// Self- and cross-attention: the four projections with biases. The two maps of an SSRU count here too.
    pub attention: Part,
    /// The FFNs of the layers without an expert block.
    pub dense_ffn: Part,
    /// The experts of all blocks; a token runs `top_k` of them at each stratum that it visits.
    pub experts: Part,
    /// CMR's shared FFNs and its gates (the gates' FLOPs are not counted).
    pub cmr: Part,
    /// Gates and layer norms (FLOPs not counted).
    pub gates_and_norms: Part,
}

/// Work not counted in [`Cost::flops_per_token`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Uncounted {
    /// FLOPs per token of all gates under uniform routing.
    pub gates: u64,
    /// FLOPs per token and attended position of the products query-key and probability-value, all attentions together.
    pub attention_scores_per_position: u64,
}

/// What a model costs. Serializes to the JSON of `strata inspect`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// As [`ModelConfig::name`].
    pub name: String,
    /// Parameters in total.
    pub parameters: u64,
    /// Forward FLOPs per token when every gate chooses each visible expert equally often.
    pub flops_per_token: u64,
    /// The same with the measured requested capacity; none without a measurement.
    pub flops_per_token_measured: Option<u64>,
    /// Strata that a token visits in a block under uniform routing (RC).
    pub requested_capacity: f64,
    /// Measured RC of each expert block, encoder blocks first.
    pub requested_capacity_measured: Option<Vec<f64>>,
    /// By part.
    pub parts: Parts,
    /// What the FLOPs do not include.
    pub not_counted: Uncounted,
    /// Parameters of the dense model of the same sizes.
    pub dense_parameters: u64,
    /// FLOPs per token of the dense model of the same sizes.
    pub dense_flops_per_token: u64,
    /// Weights, gradients and Adam's two moments in f32, without activations.
    pub bytes_to_train: u64,
    /// Matrices in int8 with one f32 scale a row; gates, biases and norms in f32.
    pub bytes_to_serve: u64,
}

/// Sizes of a set of tensors. 128 bits, because a configuration is counted before it is validated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Size {
    /// Numbers in matrices that are quantized for serving.
    matrices: u128,
    /// Rows of these matrices.
    rows: u128,
    /// Numbers in gates, biases and norms.
    small: u128,
}

impl Size {
    fn linear(inputs: usize, outputs: usize) -> Size {
        let (inputs, outputs) = (inputs as u128, outputs as u128);
        Size { matrices: inputs * outputs, rows: outputs, small: outputs }
    }

    fn small(numbers: usize) -> Size {
        Size { small: numbers as u128, ..Size::default() }
    }

    fn parameters(self) -> u128 {
        self.matrices + self.small
    }
}

impl Add for Size {
    type Output = Size;
    fn add(self, other: Size) -> Size {
        Size { matrices: self.matrices + other.matrices, rows: self.rows + other.rows, small: self.small + other.small }
    }
}

impl Mul<usize> for Size {
    type Output = Size;
    fn mul(self, times: usize) -> Size {
        let times = times as u128;
        Size { matrices: self.matrices * times, rows: self.rows * times, small: self.small * times }
    }
}

/// The tensors of each part.
struct Sizes {
    embeddings: Size,
    attention: Size,
    dense_ffn: Size,
    experts: Size,
    cmr: Size,
    gates_and_norms: Size,
}

impl Sizes {
    fn of(config: &ModelConfig) -> Sizes {
        let ModelConfig { d_model, encoder_layers, decoder_layers, ref network, .. } = *config;
        let norm = Size::small(2 * d_model);
        let mut sizes = Sizes {
            embeddings: embeddings(config),
            attention: Size::linear(d_model, d_model) * (4 * attentions(config)),
            dense_ffn: Size::default(),
            experts: Size::default(),
            cmr: Size::default(),
            gates_and_norms: Size::default(),
        };
        // A norm for each attention or SSRU, and one at the end of the encoder and of the decoder.
        let mut norms = encoder_layers + 2 * decoder_layers + if network.layer_norm.last { 2 } else { 0 };
        if network.decoder.mixer == Mixer::Ssru {
            sizes.attention = sizes.attention + Size::linear(d_model, d_model) * (2 * decoder_layers);
        }
        for side in [Side::Encoder, Side::Decoder] {
            let layers = config.layers(side);
            let blocks = blocks(config, side);
            let ffn = ffn(config, side);
            // Each layer's last sub-layer has the norms of its block, or one.
            norms += layers - blocks.len() + blocks.len() * config.block_strata().norms();
            sizes.dense_ffn = sizes.dense_ffn + ffn * (layers - blocks.len());
            if config.kind == Kind::Cmr {
                sizes.cmr = sizes.cmr + (ffn + Size::small(d_model + 1)) * blocks.len();
            }
            let mut add = |strata: &Strata, times: usize| {
                let gates: usize = (0..strata.count()).map(|gate| strata.visible(gate).len()).sum();
                let gate = if network.gate_bias { d_model + 1 } else { d_model };
                // Factors of the strata that are learned, and the offsets of the gates.
                let scales = if config.learned_scale { strata.count() } else { 0 };
                let routing = scales + if config.capacity_budget > 0.0 { gates } else { 0 };
                sizes.experts = sizes.experts + ffn * strata.experts() * times;
                sizes.gates_and_norms =
                    sizes.gates_and_norms + (Size::small(gate) * gates + Size::small(routing)) * times;
            };
            if config.block_experts.is_empty() {
                add(&config.block_strata(), blocks.len());
            } else {
                blocks.for_each(|block| add(&config.strata_of_block(block), 1));
            }
        }
        sizes.gates_and_norms = sizes.gates_and_norms + norm * norms;
        sizes
    }

    fn total(&self) -> Size {
        self.embeddings + self.attention + self.dense_ffn + self.experts + self.cmr + self.gates_and_norms
    }
}

/// Encoder layers have one attention, decoder layers two, or one beside an SSRU.
fn attentions(config: &ModelConfig) -> usize {
    let of_decoder = if config.network.decoder.mixer == Mixer::Ssru { 1 } else { 2 };
    config.encoder_layers + of_decoder * config.decoder_layers
}

/// The tables of embeddings, and the bias of the output layer.
fn embeddings(config: &ModelConfig) -> Size {
    let ModelConfig { d_model, vocab_size, ref network, .. } = *config;
    let tables = network.embeddings.tables;
    let mut rows = vocab_size as u128;
    if tables.source_apart() {
        rows += config.source_vocab_size() as u128;
    }
    if tables.output_apart() {
        rows += vocab_size as u128;
    }
    let bias = if network.embeddings.output_bias { vocab_size } else { 0 };
    Size { matrices: rows * d_model as u128, rows, small: bias as u128 }
}

/// One FFN or expert of a side.
fn ffn(config: &ModelConfig, side: Side) -> Size {
    let (d_model, d_ffn) = (config.d_model, config.d_ffn_of(side));
    Size::linear(d_model, d_ffn) + Size::linear(d_ffn, d_model)
}

/// The expert blocks of a side, counted with encoder blocks first.
fn blocks(config: &ModelConfig, side: Side) -> std::ops::Range<usize> {
    let (encoder, decoder) = config.expert_blocks();
    match side {
        Side::Encoder => 0..encoder,
        Side::Decoder => encoder..encoder + decoder,
    }
}

impl Cost {
    /// Counts a model. `rc` is the measured requested capacity of each expert block, encoder blocks first (strata
    /// visited a token; for a stacked MoE the number of its layers).
    ///
    /// # Errors
    /// A configuration that [`ModelConfig::validate`] refuses, or (key `rc`) a measurement with another number of
    /// blocks than the model has or with a value that is not between 1 and the number of strata.
    pub fn of(config: &ModelConfig, rc: Option<&[f64]>) -> Result<Cost, ConfigError> {
        config.validate()?;
        if let Some(rc) = rc {
            check_measurement(config, rc)?;
        }
        let sizes = Sizes::of(config);
        let strata = config.block_strata();
        let requested_capacity = strata.uniform_requested_capacity();
        // The experts of all blocks, with so many strata visited in each.
        let experts = |visits: &dyn Fn(usize) -> f64| {
            let of_side = |side| {
                // One expert, or FFN: two products of d_model x d_ffn.
                let ffn = 4.0 * config.d_model as f64 * config.d_ffn_of(side) as f64;
                config.top_k as f64 * blocks(config, side).map(visits).sum::<f64>() * ffn
            };
            (of_side(Side::Encoder) + of_side(Side::Decoder)).round() as u64
        };
        let all_blocks = 0..blocks(config, Side::Decoder).end;
        let gates = all_blocks.map(|block| gate_outputs(&config.strata_of_block(block))).sum::<f64>();

        let counted = |size: Size, flops: u64| Part { parameters: size.parameters() as u64, flops_per_token: flops };
        let products = |size: Size| counted(size, 2 * size.matrices as u64);
        let parts = Parts {
            embeddings: counted(sizes.embeddings, (2 * config.vocab_size * config.d_model) as u64),
            attention: products(sizes.attention),
            dense_ffn: products(sizes.dense_ffn),
            experts: counted(sizes.experts, experts(&|_| requested_capacity)),
            cmr: products(sizes.cmr),
            gates_and_norms: counted(sizes.gates_and_norms, 0),
        };
        let flops_per_token = parts.all().iter().map(|part| part.flops_per_token).sum();
        let without_experts = flops_per_token - parts.experts.flops_per_token;
        let total = sizes.total();
        let dense = (config.kind != Kind::Dense).then(|| Cost::of(&dense(config), None)).transpose()?;
        let parameters = total.parameters() as u64;
        Ok(Cost {
            name: config.name(),
            parameters,
            flops_per_token,
            flops_per_token_measured: rc.map(|rc| without_experts + experts(&|block| rc[block])),
            requested_capacity,
            requested_capacity_measured: rc.map(<[f64]>::to_vec),
            parts,
            not_counted: Uncounted {
                gates: (2.0 * config.d_model as f64 * gates).round() as u64,
                attention_scores_per_position: (4 * config.d_model * attentions(config)) as u64,
            },
            dense_parameters: dense.as_ref().map_or(parameters, |dense| dense.parameters),
            dense_flops_per_token: dense.as_ref().map_or(flops_per_token, |dense| dense.flops_per_token),
            bytes_to_train: 16 * parameters,
            bytes_to_serve: (total.matrices + 4 * total.rows + 4 * total.small) as u64,
        })
    }

    /// Only the number of parameters, of a configuration that may be invalid.
    pub(crate) fn parameters_of(config: &ModelConfig) -> u128 {
        Sizes::of(config).total().parameters()
    }
}

impl Parts {
    /// All parts, in the order of a table.
    pub fn all(&self) -> [Part; 6] {
        [self.embeddings, self.attention, self.dense_ffn, self.experts, self.cmr, self.gates_and_norms]
    }
}

/// Outputs of a block's gates for one token under uniform routing.
fn gate_outputs(strata: &Strata) -> f64 {
    strata.uniform_visits().iter().enumerate().map(|(i, visit)| visit * strata.visible(i).len() as f64).sum()
}

/// The dense model of the same sizes.
fn dense(config: &ModelConfig) -> ModelConfig {
    let &ModelConfig { encoder_layers, decoder_layers, d_model, d_ffn, heads, vocab_size, max_length, .. } = config;
    let network = Network { gate_bias: false, ..config.network };
    let sizes =
        ModelConfig { encoder_layers, decoder_layers, d_model, d_ffn, heads, vocab_size, ..ModelConfig::default() };
    ModelConfig { max_length, network, ..sizes }
}

fn check_measurement(config: &ModelConfig, rc: &[f64]) -> Result<(), ConfigError> {
    let blocks = blocks(config, Side::Decoder).end;
    let strata = config.block_strata().count();
    let fault = |message| Err(ConfigError { key: "rc", message });
    if rc.len() != blocks {
        return fault(format!("requested capacity was measured for {} blocks, the model has {blocks}", rc.len()));
    }
    // Means of many tokens carry rounding errors.
    let possible = 1.0 - 1e-6..=strata as f64 + 1e-6;
    match rc.iter().position(|rc| !possible.contains(rc)) {
        Some(at) => fault(format!(
            "a requested capacity of {} in block {} is not between 1 and {strata}, the number of strata",
            rc[at],
            at + 1
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
