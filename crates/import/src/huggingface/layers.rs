//! The names of layers in models of the BART family, and what they are called here.

use strata_recipe::{ModelConfig, Side};

use crate::weights::Weights;

/// How a model names the parts that differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// Attention of the decoder to the source, and its norm.
    pub cross: &'static str,
    /// In front of `fc1` and `fc2`.
    pub ffn: &'static str,
    /// The norm of an FFN.
    pub ffn_norm: &'static str,
}

/// M2M100, Marian.
pub(super) const BART: Names = Names { cross: "encoder_attn", ffn: "", ffn_norm: "final_layer_norm" };
/// NLLB-MoE.
pub(super) const NLLB_MOE: Names = Names { cross: "cross_attention", ffn: "ffn.", ffn_norm: "ff_layer_norm" };

/// Adds all layers of both sides; the output of experts is multiplied by `expert_scale`.
pub(super) fn add(weights: &mut Weights, config: &ModelConfig, names: Names, expert_scale: f32) {
    for (side, path) in [(Side::Encoder, "encoder"), (Side::Decoder, "decoder")] {
        for layer in 0..config.layers(side) {
            let (ours, theirs) = (format!("{path}.layers.{layer}"), format!("model.{path}.layers.{layer}"));
            attention(weights, config, &ours, "self_attention", &theirs, "self_attn");
            if side == Side::Decoder {
                attention(weights, config, &ours, "cross_attention", &theirs, names.cross);
            }
            feed_forward(weights, config, (side, layer), [&ours, &theirs], names, expert_scale);
        }
        if config.network.layer_norm.last {
            norm(weights, config.d_model, &format!("{path}.norm"), &format!("model.{path}.layer_norm"));
        }
    }
}

fn norm(weights: &mut Weights, d: usize, ours: &str, theirs: &str) {
    for kind in ["weight", "bias"] {
        weights.copy(format!("{ours}.{kind}"), format!("{theirs}.{kind}"), &[d]);
    }
}

fn linear(weights: &mut Weights, ours: &str, theirs: &str, [outputs, inputs]: [usize; 2], scale: f32) {
    weights.scaled(format!("{ours}.weight"), format!("{theirs}.weight"), &[outputs, inputs], scale);
    weights.scaled(format!("{ours}.bias"), format!("{theirs}.bias"), &[outputs], scale);
}

fn attention(weights: &mut Weights, config: &ModelConfig, ours: &str, name: &str, theirs: &str, their_name: &str) {
    let d = config.d_model;
    for (map, their_map) in [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", "out_proj")] {
        linear(weights, &format!("{ours}.{name}.{map}"), &format!("{theirs}.{their_name}.{their_map}"), [d, d], 1.0);
    }
    norm(weights, d, &format!("{ours}.{name}.norm"), &format!("{theirs}.{their_name}_layer_norm"));
}

fn feed_forward(
    weights: &mut Weights,
    config: &ModelConfig,
    (side, layer): (Side, usize),
    [ours, theirs]: [&str; 2],
    names: Names,
    expert_scale: f32,
) {
    let (d, inner) = (config.d_model, config.d_ffn_of(side));
    let mut ffn = |ours: &str, theirs: &str, scale: f32| {
        linear(weights, &format!("{ours}.fc1"), &format!("{theirs}fc1"), [inner, d], 1.0);
        linear(weights, &format!("{ours}.fc2"), &format!("{theirs}fc2"), [d, inner], scale);
    };
    let Some(block) = config.block_at(side, layer) else {
        ffn(&format!("{ours}.ffn"), &format!("{theirs}.{}", names.ffn), 1.0);
        return norm(weights, d, &format!("{ours}.ffn.norm"), &format!("{theirs}.{}", names.ffn_norm));
    };
    let experts = config.strata_of_block(block).experts();
    for expert in 0..experts {
        let (ours, theirs) =
            (format!("{ours}.block.experts.{expert}"), format!("{theirs}.ffn.experts.expert_{expert}."));
        ffn(&ours, &theirs, expert_scale);
    }
    norm(weights, d, &format!("{ours}.block.norm.0"), &format!("{theirs}.{}", names.ffn_norm));
    let gate = format!("{theirs}.ffn.router.classifier");
    weights.copy(format!("{ours}.block.gate.0.weight"), format!("{gate}.weight"), &[experts, d]);
    if config.network.gate_bias {
        weights.copy(format!("{ours}.block.gate.0.bias"), format!("{gate}.bias"), &[experts]);
    }
}
