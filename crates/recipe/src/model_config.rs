//! What a model is made of: the contents of `config.json` in a model folder.
//!
//! ```
//! use strata_recipe::{Kind, ModelConfig};
//!
//! let config = ModelConfig { kind: Kind::Smoe, strata: vec![4, 12], ..ModelConfig::default() };
//! config.validate()?;
//! assert_eq!(config.name(), "SMoE-4-12");
//! assert_eq!(config.block_strata().visible(0), 0..16); // the first gate sees every expert,
//! assert_eq!(config.block_strata().visible(1), 4..16); // the second only its own stratum
//! # Ok::<(), strata_recipe::ConfigError>(())
//! ```

use serde::{Deserialize, Serialize};
use strata_routing::{self as routing, Strata, go_on_for_capacity, output_scale};

use crate::config_file::FORMAT_VERSION;
use crate::error::ConfigError;
use crate::network::{Network, Prompts, Side};
use crate::rules::{
    Exits, ExpertDropout, Initialization, Kind, Normalization, SecondChoice, Visible, is_default, is_one, one,
};

/// A model's shape and routing. Encoder and decoder share every value but their number of layers, and what
/// [`network.decoder`](crate::Decoder) says of the decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// [`FORMAT_VERSION`], whatever the version of the file was that this came from.
    pub format_version: u32,
    /// What the expert blocks are.
    pub kind: Kind,
    /// Experts in a block. With `strata` it is their sum, or 0 for "not said".
    #[serde(default)]
    pub experts: usize,
    /// Experts of each stratum (`smoe`) or of each MoE layer of the stack (`stacked`); empty otherwise.
    #[serde(default)]
    pub strata: Vec<usize>,
    /// Experts of each block, those of the encoder first, where blocks differ (`moe`, `switch`); `experts` is then the
    /// largest. Empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub block_experts: Vec<usize>,
    /// Experts that a token uses at each gate: 1 to 8; 1 or 2 in the paper.
    pub top_k: usize,
    /// Every `moe_every`-th layer of the encoder and of the decoder has an expert block; 2 means layers 2, 4, 6, ...
    pub moe_every: usize,
    /// Where an SMoE block normalizes. Models trained before the spelling was settled say `normalisation`.
    #[serde(alias = "normalisation")]
    pub normalization: Normalization,
    /// Tokens that an expert takes in training, as a multiple of `top_k * ceil(tokens / visible experts)`; none = no
    /// limit ("dropless"). There is never a limit at inference.
    #[serde(default)]
    pub capacity_factor: Option<f64>,
    /// How the second expert is chosen in training.
    pub second_choice: SecondChoice,
    /// Expert output masking: the probability that the output of one of a token's experts is zeroed in training, each
    /// by itself; 0 = off.
    pub eom: f64,
    /// Final output masking: the probability that all of a token's expert output is zeroed in training; 0 = off.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fom: f64,
    /// The experts that a gate sees (`smoe`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub visible: Visible,
    /// When a token leaves a block (`smoe`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub exits: Exits,
    /// The mean requested capacity of [`Exits::Random`]; 0 with other rules.
    #[serde(default, skip_serializing_if = "is_default")]
    pub random_capacity: f64,
    /// The mean requested capacity that offsets of the gates hold (loss-free; see [`strata_routing::adjust_offsets`]);
    /// 0 = no offsets.
    #[serde(default, skip_serializing_if = "is_default")]
    pub capacity_budget: f64,
    /// What the experts' output of every visit is multiplied by (`smoe`).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub visit_scale: f64,
    /// Whether each stratum learns that factor, starting from `visit_scale` (`smoe`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned_scale: bool,
    /// How weights start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initialization: Initialization,
    /// Where dropout acts on the output of experts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expert_dropout: ExpertDropout,
    /// The probability that the CMR gate of a token is set to 0 (shared FFN only) in training; gates that are kept are
    /// divided by the rest, so that their mean is the same as at inference.
    pub cmr_gate_dropout: f64,
    /// The share of experts that CMR aims at: its loss is `cmr_weight * |G - cmr_budget|`, where G is the mean gate
    /// over the tokens of all blocks together.
    pub cmr_budget: f64,
    /// The weight of CMR's budget loss.
    pub cmr_weight: f64,
    /// The weight (alpha) of the balance loss of every gate.
    pub balance_weight: f64,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Width of the hidden states, even.
    pub d_model: usize,
    /// Inner width of an FFN and of an expert.
    pub d_ffn: usize,
    /// Attention heads; divides `d_model`.
    pub heads: usize,
    /// Dropout on embeddings and on the output of every sub-layer.
    pub dropout: f64,
    /// Dropout on attention probabilities.
    pub attention_dropout: f64,
    /// Dropout behind the activation of an FFN or expert.
    pub activation_dropout: f64,
    /// Subwords, special tokens and language tags together: rows of the target's embedding, and of the source's.
    pub vocab_size: usize,
    /// The longest source or target in subwords, with tag and end mark.
    pub max_length: usize,
    /// How the layers are put together.
    #[serde(default)]
    pub network: Network,
    /// What stands around the text.
    #[serde(default)]
    pub prompts: Prompts,
}

/// Transformer-base without experts, 32k subwords: the `dense` model of the M4 recipe.
impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            format_version: FORMAT_VERSION,
            kind: Kind::Dense,
            experts: 0,
            strata: Vec::new(),
            block_experts: Vec::new(),
            top_k: 2,
            moe_every: 2,
            normalization: Normalization::Paper,
            capacity_factor: None,
            second_choice: SecondChoice::Argmax,
            eom: 0.0,
            fom: 0.0,
            visible: Visible::Later,
            exits: Exits::Choice,
            random_capacity: 0.0,
            capacity_budget: 0.0,
            visit_scale: 1.0,
            learned_scale: false,
            initialization: Initialization::Glorot,
            expert_dropout: ExpertDropout::Sum,
            cmr_gate_dropout: 0.1,
            cmr_budget: 0.8,
            cmr_weight: 0.01,
            balance_weight: 0.01,
            encoder_layers: 6,
            decoder_layers: 6,
            d_model: 512,
            d_ffn: 2048,
            heads: 8,
            dropout: 0.3,
            attention_dropout: 0.1,
            activation_dropout: 0.0,
            vocab_size: 32_000,
            max_length: 512,
            network: Network::default(),
            prompts: Prompts::default(),
        }
    }
}

impl ModelConfig {
    /// Checks every value and every pair of values that must agree.
    ///
    /// # Errors
    /// The first fault found, with the key at fault and what to do about it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        crate::validate::validate(self)
    }

    /// Checks the sizes alone: layers, widths, heads, subwords, the longest sentence, experts. For readers of other
    /// programs' files, which loop over sizes and make room for them before they know the rest.
    ///
    /// # Errors
    /// As [`ModelConfig::validate`].
    pub fn check_sizes(&self) -> Result<(), ConfigError> {
        crate::validate::sizes(self)
    }

    /// How one expert block is laid out: the strata of SMoE, the layers of a stack, one stratum of all experts for MoE,
    /// Switch and CMR, none for a dense model. Where blocks differ, the largest.
    pub fn block_strata(&self) -> Strata {
        self.strata_with(self.experts)
    }

    /// [`ModelConfig::block_strata`] of expert block `block`, encoder blocks first.
    pub fn strata_of_block(&self, block: usize) -> Strata {
        self.strata_with(self.block_experts.get(block).copied().unwrap_or(self.experts))
    }

    /// The expert block of a layer (from 0), counted with encoder blocks first; none for a layer with an FFN.
    pub fn block_at(&self, side: Side, layer: usize) -> Option<usize> {
        let before = match side {
            Side::Encoder => 0,
            Side::Decoder => self.expert_blocks().0,
        };
        self.is_expert_layer(layer).then(|| before + (layer + 1) / self.moe_every - 1)
    }

    /// Layers of a side.
    pub fn layers(&self, side: Side) -> usize {
        match side {
            Side::Encoder => self.encoder_layers,
            Side::Decoder => self.decoder_layers,
        }
    }

    /// Inner width of the FFNs and experts of a side.
    pub fn d_ffn_of(&self, side: Side) -> usize {
        match side {
            Side::Encoder => self.d_ffn,
            Side::Decoder => self.network.decoder.d_ffn.unwrap_or(self.d_ffn),
        }
    }

    /// Attention heads of a side; in the decoder those of self- and of cross-attention.
    pub fn heads_of(&self, side: Side) -> usize {
        match side {
            Side::Encoder => self.heads,
            Side::Decoder => self.network.decoder.heads.unwrap_or(self.heads),
        }
    }

    /// Rows of the source's table of embeddings.
    pub fn source_vocab_size(&self) -> usize {
        self.network.embeddings.source_vocab_size.unwrap_or(self.vocab_size)
    }

    fn strata_with(&self, experts: usize) -> Strata {
        match self.kind {
            Kind::Dense => Strata::none(),
            Kind::Moe | Kind::Switch | Kind::Cmr => Strata::single(experts),
            Kind::Stacked => Strata::stacked(&self.strata),
            Kind::Smoe => {
                let exits = match self.exits {
                    Exits::Choice | Exits::Learned => routing::Exits::FirstChoice,
                    Exits::Never => routing::Exits::Never,
                    Exits::Random => {
                        routing::Exits::Random { go_on: go_on_for_capacity(self.strata.len(), self.random_capacity) }
                    }
                };
                let visible = match self.visible {
                    Visible::Later => routing::Visible::Later,
                    Visible::All => routing::Visible::All,
                };
                Strata::stratified(&self.strata, self.normalization.into()).with_visible(visible).with_exits(exits)
            }
        }
    }

    /// What the experts' combined output is multiplied by at inference, for the share of it that training masks.
    pub fn inference_scale(&self) -> f32 {
        output_scale(self.eom) * output_scale(self.fom)
    }

    /// Whether layer `layer` (from 0) has an expert block instead of an FFN; the same for encoder and decoder.
    pub fn is_expert_layer(&self, layer: usize) -> bool {
        self.kind != Kind::Dense && self.moe_every > 0 && (layer + 1).is_multiple_of(self.moe_every)
    }

    /// Expert blocks of the encoder and of the decoder.
    pub fn expert_blocks(&self) -> (usize, usize) {
        let blocks = |layers| if self.kind == Kind::Dense || self.moe_every == 0 { 0 } else { layers / self.moe_every };
        (blocks(self.encoder_layers), blocks(self.decoder_layers))
    }

    /// What people call this model: `dense`, `MoE-8`, `Switch-8`, `CMR-8`, `stacked 2x4`, `SMoE-4-12`, with what else
    /// tells its routing from others': `, top-1`, `, one pool`, `+ EOM`, ...
    pub fn name(&self) -> String {
        let mut name = match self.kind {
            Kind::Dense => "dense".to_owned(),
            Kind::Moe => format!("MoE-{}", self.experts),
            Kind::Switch => format!("Switch-{}", self.experts),
            Kind::Cmr => format!("CMR-{}", self.experts),
            Kind::Stacked => {
                format!("stacked {}x{}", self.strata.len(), self.strata.first().copied().unwrap_or(0))
            }
            Kind::Smoe => self.strata.iter().fold("SMoE".to_owned(), |name, experts| format!("{name}-{experts}")),
        };
        let k = self.top_k;
        if k != 2 && !matches!(self.kind, Kind::Dense | Kind::Switch) {
            name.push_str(&format!(", top-{k}"));
        }
        for (applies, words) in [
            (self.visible == Visible::All, ", one pool"),
            (self.exits == Exits::Learned, ", learned exits"),
            (self.exits == Exits::Never, ", fixed visits"),
            (self.exits == Exits::Random, ", random exits"),
            (self.learned_scale, ", learned scales"),
            (self.capacity_budget > 0.0, ", budget"),
            (self.eom > 0.0, " + EOM"),
            (self.fom > 0.0, " + FOM"),
        ] {
            if applies {
                name.push_str(words);
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use strata_routing::Norms;

    use super::*;

    fn smoe(strata: &[usize]) -> ModelConfig {
        ModelConfig { kind: Kind::Smoe, strata: strata.to_vec(), ..ModelConfig::default() }
    }

    fn moe(kind: Kind, experts: usize) -> ModelConfig {
        ModelConfig { kind, experts, ..ModelConfig::default() }
    }

    #[test]
    fn names_are_those_of_the_field() {
        assert_eq!(ModelConfig::default().name(), "dense");
        assert_eq!(moe(Kind::Moe, 8).name(), "MoE-8");
        assert_eq!(ModelConfig { eom: 0.1, ..moe(Kind::Moe, 8) }.name(), "MoE-8 + EOM");
        assert_eq!(ModelConfig { top_k: 1, ..moe(Kind::Switch, 8) }.name(), "Switch-8");
        assert_eq!(moe(Kind::Cmr, 8).name(), "CMR-8");
        assert_eq!(ModelConfig { kind: Kind::Stacked, ..smoe(&[4, 4]) }.name(), "stacked 2x4");
        assert_eq!(ModelConfig { kind: Kind::Stacked, ..smoe(&[2, 2, 2, 2]) }.name(), "stacked 4x2");
        assert_eq!(smoe(&[4, 12]).name(), "SMoE-4-12");
        assert_eq!(ModelConfig { top_k: 1, eom: 0.1, ..smoe(&[4, 4]) }.name(), "SMoE-4-4, top-1 + EOM");
        let pool = ModelConfig { visible: Visible::All, exits: Exits::Learned, top_k: 4, ..smoe(&[8, 8]) };
        assert_eq!(pool.name(), "SMoE-8-8, top-4, one pool, learned exits");
    }

    #[test]
    fn expert_layers_are_2_4_6() {
        let config = smoe(&[4, 4]);
        let layers: Vec<usize> = (0..6).filter(|&layer| config.is_expert_layer(layer)).map(|layer| layer + 1).collect();
        assert_eq!(layers, [2, 4, 6]);
        assert_eq!(config.expert_blocks(), (3, 3));
        assert!(!ModelConfig::default().is_expert_layer(1));
        assert_eq!(ModelConfig { encoder_layers: 3, decoder_layers: 1, ..config }.expert_blocks(), (1, 0));
    }

    #[test]
    fn each_kind_of_block_has_its_strata() {
        assert_eq!(smoe(&[8, 4, 2]).block_strata(), Strata::stratified(&[8, 4, 2], Norms::OnArrival));
        let reference = ModelConfig { normalization: Normalization::Reference, ..smoe(&[2, 2]) };
        assert_eq!(reference.block_strata(), Strata::stratified(&[2, 2], Norms::OnLeaving));
        let stacked = ModelConfig { kind: Kind::Stacked, ..smoe(&[4, 4]) };
        assert_eq!(stacked.block_strata(), Strata::stacked(&[4, 4]));
        for kind in [Kind::Moe, Kind::Switch, Kind::Cmr] {
            assert_eq!(moe(kind, 8).block_strata(), Strata::single(8));
        }
        assert_eq!(ModelConfig::default().block_strata(), Strata::none());
        let random = ModelConfig { exits: Exits::Random, random_capacity: 1.25, ..smoe(&[4, 4]) };
        assert!((random.block_strata().uniform_requested_capacity() - 1.25).abs() < 1e-9);
        let fixed = ModelConfig { exits: Exits::Never, ..smoe(&[4, 4]) };
        assert_eq!(fixed.block_strata().uniform_requested_capacity(), 2.0);
    }
}
