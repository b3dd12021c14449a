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

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use strata_routing::{Exits, Norms, Strata, View, go_on_for_capacity, output_scale};

use crate::error::{ConfigError, Error};
use crate::network::{Network, Prompts, Side};
use crate::rules::{ExitRule, ExpertDropout, Initialization, Visible, is_default, is_one, one};

/// The version of `config.json` that this crate writes; it reads every version up to this one.
///
/// Version 1 had neither `block_experts`, `network` nor `prompts`: their defaults are what it meant.
pub const FORMAT_VERSION: u32 = 2;

/// What stands in the place of the FFN in every `moe_every`-th layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The FFN itself: a Transformer without experts.
    Dense,
    /// One gate over all experts, the `top_k` best for each token (GShard).
    Moe,
    /// One gate, the single best expert, weighted by its own probability.
    Switch,
    /// Conditional MoE routing: a sigmoid gate per token mixes a shared FFN and a MoE.
    Cmr,
    /// Several MoE layers one after another, without a norm or a residual between them.
    Stacked,
    /// Stratified MoE: a token moves on to the strata behind that of its first choice.
    Smoe,
}

/// Where an SMoE block normalizes (`smoe`; the other kinds have one pre-norm either way). With one stratum the paper's
/// order is a plain pre-norm MoE, and the authors' is an MoE with a norm on leaving, the control that tells what this
/// norm alone gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalization {
    /// As the paper writes it: a norm in front of each stratum, un-normalized residuals: L norms.
    Paper,
    /// As the authors' code computes it: a norm on leaving each stratum, which is also the next residual: L + 1 norms.
    Reference,
}

/// How the second expert of a token is chosen in training (inference always takes the arg-max).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondChoice {
    /// The second most probable expert.
    Argmax,
    /// Sampled: the arg-max, without the first choice, of logits with Gumbel noise.
    Gumbel,
}

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
    pub exits: ExitRule,
    /// The mean requested capacity of [`ExitRule::Random`]; 0 with other rules.
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
            exits: ExitRule::Choice,
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
                    ExitRule::Choice | ExitRule::Learned => Exits::FirstChoice,
                    ExitRule::Never => Exits::Never,
                    ExitRule::Random => {
                        Exits::Random { go_on: go_on_for_capacity(self.strata.len(), self.random_capacity) }
                    }
                };
                let view = match self.visible {
                    Visible::Later => View::Later,
                    Visible::All => View::All,
                };
                Strata::stratified(&self.strata, self.normalization.into()).with_view(view).with_exits(exits)
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
            (self.exits == ExitRule::Learned, ", learned exits"),
            (self.exits == ExitRule::Never, ", fixed visits"),
            (self.exits == ExitRule::Random, ", random exits"),
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

    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Io`] if the file cannot be read, otherwise as [`ModelConfig::from_json`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::unreadable(path.display().to_string(), source))?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// Parses and checks the text of a `config.json`; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::FormatVersion`] for a file of a later version, [`Error::Json`] for text that is not a configuration,
    /// [`Error::Config`] for values that cannot be.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, Error> {
        /// Only the version, so that a later format is named as such before its unknown fields are.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let json = |source| Error::Json { origin: origin.to_owned(), source };
        let version: Version = serde_json::from_str(text).map_err(json)?;
        if version.format_version == 0 || version.format_version > FORMAT_VERSION {
            return Err(Error::FormatVersion {
                origin: origin.to_owned(),
                found: version.format_version,
                known: FORMAT_VERSION,
            });
        }
        let mut config: ModelConfig = serde_json::from_str(text).map_err(json)?;
        config.format_version = FORMAT_VERSION;
        config.validate().map_err(|source| Error::Config { origin: origin.to_owned(), source })?;
        Ok(config)
    }

    /// The text of `config.json`, indented, with a final newline.
    pub fn to_json(&self) -> String {
        // A struct of plain fields always serialises; non-finite numbers become null and are refused when read.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl From<Normalization> for Norms {
    fn from(variant: Normalization) -> Norms {
        match variant {
            Normalization::Paper => Norms::OnArrival,
            Normalization::Reference => Norms::OnLeaving,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Dense => "dense",
            Kind::Moe => "moe",
            Kind::Switch => "switch",
            Kind::Cmr => "cmr",
            Kind::Stacked => "stacked",
            Kind::Smoe => "smoe",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Mark;

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
        let pool = ModelConfig { visible: Visible::All, exits: ExitRule::Learned, top_k: 4, ..smoe(&[8, 8]) };
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
        let random = ModelConfig { exits: ExitRule::Random, random_capacity: 1.25, ..smoe(&[4, 4]) };
        assert!((random.block_strata().uniform_requested_capacity() - 1.25).abs() < 1e-9);
        let fixed = ModelConfig { exits: ExitRule::Never, ..smoe(&[4, 4]) };
        assert_eq!(fixed.block_strata().uniform_requested_capacity(), 2.0);
    }

    /// Files of models that the paper's rules make are as they were before there were others.
    #[test]
    fn rules_beyond_the_paper_are_written_only_where_they_hold() {
        let plain = smoe(&[4, 4]).to_json();
        for field in [
            "fom",
            "visible",
            "exits",
            "random",
            "budget\"",
            "visit_scale",
            "learned_scale",
            "initialization",
            "expert_dropout",
        ] {
            assert!(!plain.contains(field) || field == "budget\"" && plain.matches(field).count() == 1, "{field}");
        }
        let other = ModelConfig {
            visible: Visible::All,
            exits: ExitRule::Learned,
            capacity_budget: 1.25,
            visit_scale: 0.5,
            learned_scale: true,
            initialization: Initialization::Fairseq,
            expert_dropout: ExpertDropout::Each,
            fom: 0.1,
            ..smoe(&[4, 4])
        };
        assert_eq!(ModelConfig::from_json(&other.to_json(), "config.json").unwrap(), other);
    }

    #[test]
    fn json_round_trip() {
        let config = ModelConfig { capacity_factor: Some(1.0), eom: 0.1, ..smoe(&[4, 12]) };
        assert_eq!(ModelConfig::from_json(&config.to_json(), "config.json").unwrap(), config);
    }

    #[test]
    fn a_file_of_version_1_is_the_model_that_it_was() {
        let text = r#"{
            "format_version": 1, "kind": "smoe", "experts": 8, "strata": [4, 4], "top_k": 2, "moe_every": 2,
            "normalisation": "reference", "capacity_factor": null, "second_choice": "argmax", "eom": 0.0,
            "cmr_gate_dropout": 0.1, "cmr_budget": 0.8, "cmr_weight": 0.01, "balance_weight": 0.01,
            "encoder_layers": 6, "decoder_layers": 6, "d_model": 512, "d_ffn": 2048, "heads": 8, "dropout": 0.3,
            "attention_dropout": 0.1, "activation_dropout": 0.0, "vocab_size": 32000, "max_length": 512
        }"#;
        let config = ModelConfig::from_json(text, "config.json").unwrap();
        let same = ModelConfig { experts: 8, normalization: Normalization::Reference, ..smoe(&[4, 4]) };
        assert_eq!(config, same);
        assert_eq!(config.format_version, 2);
        assert_eq!((config.network, config.prompts), (Network::default(), Prompts::default()));
    }

    #[test]
    fn what_other_architectures_say_comes_back() {
        let text = moe(Kind::Moe, 8).to_json();
        let network = r#""network": {
            "positions": {"frequencies": "tensor2tensor", "first": 2},
            "layer_norm": {"place": "post", "last": false, "epsilon": 1e-6}, "activation": "gelu-sigmoid",
            "embeddings": {"tables": "source-apart", "scale": "one", "output_bias": true, "source_vocab_size": 70},
            "decoder": {"mixer": "ssru", "d_ffn": 1024, "heads": 4}, "gate_bias": true
        }, "block_experts": [8, 4, 2, 8, 8, 3],
        "prompts": {"source_front": ["source"], "source_end": ["end"], "decoder": ["end", {"subword": 7}, "target"]}"#;
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        value.extend(serde_json::from_str::<serde_json::Map<_, _>>(&format!("{{{network}}}")).unwrap());
        let text = serde_json::to_string(&value).unwrap();
        let config = ModelConfig::from_json(&text, "config.json").unwrap();
        assert_eq!(ModelConfig::from_json(&config.to_json(), "config.json").unwrap(), config);
        let network = &config.network;
        assert_eq!((network.positions.first, network.layer_norm.last, network.gate_bias), (2, false, true));
        assert_eq!(config.prompts.decoder, [Mark::End, Mark::Subword(7), Mark::Target]);
        assert!(config.prompts.has(Mark::Source) && !config.prompts.has(Mark::Zero));
        let of = |side| (config.layers(side), config.d_ffn_of(side), config.heads_of(side));
        assert_eq!((of(Side::Encoder), of(Side::Decoder)), ((6, 2048, 8), (6, 1024, 4)));
        assert_eq!(config.source_vocab_size(), 70);
        let block = |side, layer| config.block_at(side, layer).map(|block| config.strata_of_block(block).experts());
        assert_eq!([1, 3, 5].map(|layer| block(Side::Encoder, layer)), [Some(8), Some(4), Some(2)]);
        assert_eq!([1, 3, 5].map(|layer| block(Side::Decoder, layer)), [Some(8), Some(8), Some(3)]);
        assert_eq!(block(Side::Decoder, 2), None);
        let wrong = text.replace("\"epsilon\"", "\"epsilom\"");
        let error = ModelConfig::from_json(&wrong, "config.json").unwrap_err().to_string();
        assert!(error.contains("epsilom"), "{error}");
    }

    #[test]
    fn a_later_format_an_unknown_field_and_a_bad_value_are_named() {
        let text = smoe(&[4, 4]).to_json();
        let message = |text: String| ModelConfig::from_json(&text, "m/config.json").unwrap_err().to_string();
        let later = message(text.replace("\"format_version\": 2", "\"format_version\": 7, \"new\": 3"));
        assert!(later.contains("m/config.json") && later.contains('7') && later.contains("newer"), "{later}");
        let unknown = message(text.replace("\"heads\"", "\"hedas\""));
        assert!(unknown.contains("hedas") && unknown.contains("line"), "{unknown}");
        let heads = message(text.replace("\"heads\": 8", "\"heads\": 7"));
        assert!(heads.contains("m/config.json") && heads.contains("heads = 7") && heads.contains("512"), "{heads}");
        assert!(message("{".into()).contains("m/config.json"));
    }
}
