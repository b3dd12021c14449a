//! The sections of a recipe. Each key is written once, here: its type, what values it takes, its default and its
//! meaning; the struct fields, their documentation, the checks, `strata train --list-keys` and the comments of written
//! recipes come from it.

use serde::{Deserialize, Serialize};

use crate::config_file::FORMAT_VERSION;
use crate::error::{ConfigError, Error};
use crate::keys::{Key, Values};
use crate::model_config::ModelConfig;
use crate::rules::{Exits, ExpertDropout, Initialization, Kind, Normalization, SecondChoice, Visible};
use crate::search_options::SearchOptions;

/// Writes one section: the struct, and its rows of the table of keys.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident = $section:literal {
        $($field:ident: $type:ty = $default:literal, $values:expr, $meaning:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(#[doc = $meaning] pub $field: $type,)*
        }

        impl $name {
            pub(crate) const KEYS: &'static [Key] = &[
                $(Key {
                    name: concat!($section, ".", stringify!($field)),
                    values: $values,
                    default: $default,
                    meaning: $meaning,
                },)*
            ];
        }
    };
}

/// As many as fit any count that makes sense; the largest TOML integer is far above.
const MANY: u64 = 1_000_000_000_000;

section! {
    /// `[data]`: what is learned from.
    DataSection = "data" {
        prepared: String = r#""""#, Values::Text, "folder that `strata prepare` wrote, from where strata is run";
        languages: Vec<String> = "[]", Values::Texts, "languages to prepare, e.g. [\"de\", \"fr\"]; [] = all of the bitext";
        vocabulary: usize = "32000", Values::count(4, 1 << 24), "subwords to prepare, shared by all languages; tags included";
        subwords: Subwords = r#""unigram""#, Values::Choice(&["unigram", "bpe"]), "kind of subword model to prepare";
        directions: Vec<String> = "[]", Values::Texts, "directions to learn, e.g. [\"en-de\", \"de-en\"]; [] = all";
        temperature: f64 = "1.0", Values::Positive, "direction sampling: share ~ size^(1/temperature); 1 = as they are";
        tokens_per_batch: usize = "13000", Values::count(1, MANY), "subwords of a batch, the longer side of each pair";
        max_length: usize = "256", Values::count(3, 1 << 20), "pairs with a longer side are not learned from; subwords";
    }
}

section! {
    /// `[model]`: what learns. [`ModelConfig`] says more on each.
    ModelSection = "model" {
        kind: Kind = r#""smoe""#, Values::Choice(&["dense", "moe", "switch", "cmr", "stacked", "smoe"]), "what the expert blocks are";
        strata: Vec<usize> = "[]", Values::Counts, "experts of each stratum (smoe) or stacked layer; [] for other kinds";
        experts: usize = "0", Values::count(0, MANY), "experts of a block (moe, switch, cmr); smoe, stacked: 0 or the sum of strata";
        top_k: usize = "2", Values::count(0, MANY), "experts that a token uses at a gate, 1 to 8; switch: 1";
        moe_every: usize = "2", Values::count(0, MANY), "every n-th layer has an expert block; 2 = layers 2, 4, 6, ...";
        normalization: Normalization = r#""paper""#, Values::Choice(&["paper", "reference"]), "smoe: \"paper\" = a norm before each stratum, \"reference\" = as the authors' code";
        capacity_factor: f64 = "0.0", Values::NonNegative, "tokens that an expert takes in training = this x top_k x an even share; 0 = no limit";
        second_choice: SecondChoice = r#""argmax""#, Values::Choice(&["argmax", "gumbel"]), "second expert in training: the second best, or sampled";
        visible: Visible = r#""later""#, Values::Choice(&["later", "all"]), "smoe: experts that a gate sees: its own and later strata's, or all (one pool)";
        exits: Exits = r#""choice""#, Values::Choice(&["choice", "learned", "never", "random"]), "smoe: leave by the first choice; the same, taught what follows; never early; by chance";
        random_capacity: f64 = "0.0", Values::NonNegative, "exits = \"random\": strata that a token visits on average";
        capacity_budget: f64 = "0.0", Values::NonNegative, "smoe: strata visited on average, held by offsets of the gates; 0 = off";
        visit_scale: f64 = "1.0", Values::Positive, "smoe: factor on the experts' output of every visit";
        learned_scale: bool = "false", Values::Flag, "smoe: each stratum learns its factor, from visit_scale on";
        initialization: Initialization = r#""glorot""#, Values::Choice(&["glorot", "fairseq"]), "how weights start; \"fairseq\" = as the authors' code";
        expert_dropout: ExpertDropout = r#""sum""#, Values::Choice(&["sum", "each"]), "dropout on the experts' weighted sum, or on each expert's output (authors)";
        eom: f64 = "0.0", Values::Probability, "expert output masking: probability per token and expert; 0 = off";
        fom: f64 = "0.0", Values::Probability, "final output masking: probability per token; 0 = off";
        cmr_gate_dropout: f64 = "0.1", Values::Probability, "cmr: probability that a token gets the shared FFN only";
        cmr_budget: f64 = "0.8", Values::Share, "cmr: share of experts aimed at";
        cmr_weight: f64 = "0.01", Values::NonNegative, "cmr: weight of the loss |share - budget|";
        balance_weight: f64 = "0.01", Values::NonNegative, "weight of the loss that balances the experts of a gate";
        encoder_layers: usize = "6", Values::count(1, MANY), "layers of the encoder";
        decoder_layers: usize = "6", Values::count(1, MANY), "layers of the decoder";
        d_model: usize = "512", Values::count(1, MANY), "width of the hidden states";
        d_ffn: usize = "2048", Values::count(1, MANY), "inner width of an FFN and of each expert";
        heads: usize = "8", Values::count(1, MANY), "attention heads; divides d_model";
        dropout: f64 = "0.3", Values::Probability, "dropout on embeddings and on the output of each sub-layer";
        attention_dropout: f64 = "0.1", Values::Probability, "dropout on attention probabilities";
        activation_dropout: f64 = "0.0", Values::Probability, "dropout behind the ReLU of FFNs and experts";
        max_length: usize = "512", Values::count(3, 1 << 20), "longest source or target; subwords, tag and end mark included";
    }
}

section! {
    /// `[train]`: how it learns.
    TrainSection = "train" {
        output: String = r#""""#, Values::Text, "the run's folder; \"\" = runs/RECIPE-VARIANT";
        updates: u64 = "100000", Values::count(1, MANY), "optimizer steps in all";
        init: String = r#""""#, Values::Text, "model, run or checkpoint to start from; \"\" = random weights";
        upcycle: bool = "false", Values::Flag, "init is a dense model: its FFNs become the experts of this one";
        upcycle_noise: f64 = "0.0", Values::NonNegative, "noise on the copied experts, as a share of the size of their weights; 0 = none";
        seed: u64 = "1", Values::count(0, MANY), "seed of weights, dropout, sampling and order";
        learning_rate: f64 = "8e-4", Values::Positive, "peak learning rate, at the end of the warm-up";
        schedule: Schedule = r#""inverse-sqrt""#, Values::Choice(&["inverse-sqrt", "linear", "cosine", "constant"]), "learning rate after the warm-up; linear, cosine: to 0";
        warmup: u64 = "8000", Values::count(0, MANY), "updates of linear warm-up; 0 = none";
        warmup_init_lr: f64 = "1e-7", Values::NonNegative, "learning rate at the start of the warm-up";
        adam_beta1: f64 = "0.9", Values::Probability, "Adam: decay of the mean gradient";
        adam_beta2: f64 = "0.98", Values::Probability, "Adam: decay of the mean squared gradient";
        adam_eps: f64 = "1e-6", Values::Positive, "Adam: added to the root of the mean squared gradient";
        weight_decay: f64 = "0.0", Values::NonNegative, "decoupled weight decay; 0 = off";
        label_smoothing: f64 = "0.1", Values::Probability, "share of the target spread over the vocabulary";
        clip_norm: f64 = "0.0", Values::NonNegative, "largest gradient norm; 0 = no clipping";
        accumulate: usize = "1", Values::count(1, 1 << 20), "batches whose gradients are summed for one update";
        expert_parallel: usize = "1", Values::count(1, 1 << 20), "ranks over which the experts of each block are spread; divides the ranks; 1 = every rank has all";
        precision: Precision = r#""f32""#, Values::Choice(&["f32", "bf16"]), "operands of products with weights; bf16 is refused by devices without it";
        device: String = r#""cpu""#, Values::Text, "cpu, wgpu, cuda:0, ...";
        threads: usize = "0", Values::count(0, 4096), "CPU threads; 0 = all. Bit-identical resuming needs the same number";
        log_every: u64 = "50", Values::count(1, MANY), "updates from one line of the log to the next";
        validate_every: u64 = "500", Values::count(1, MANY), "updates from one validation loss to the next";
        validate_sentences: usize = "0", Values::count(0, MANY), "validation pairs per direction, spread over all; 0 = all";
        validate_bleu_every: u64 = "0", Values::count(0, MANY), "updates from one validation BLEU to the next; 0 = never";
        validate_bleu_sentences: usize = "100", Values::count(1, MANY), "sentences per direction that are translated for it";
        checkpoint_every: u64 = "500", Values::count(1, MANY), "updates from one checkpoint to the next";
        keep_last: usize = "3", Values::count(1, 10_000), "newest checkpoints kept, besides that of the best validation loss and those to average";
        average_last: usize = "0", Values::count(0, 10_000), "checkpoints, one every checkpoint_every updates, averaged at the end; 0 = none";
        budget_rate: f64 = "1e-3", Values::Positive, "step of the offsets that hold model.capacity_budget, per update";
        average_decay: f64 = "0.0", Values::Probability, "decay of a running mean of the weights, one more model at the end; 0 = none";
        patience: u64 = "0", Values::count(0, MANY), "validations without a better loss before training stops; 0 = never stop early";
    }
}

impl ModelSection {
    /// The section that describes a model: that of which [`Recipe::model_config_like`] makes that model.
    pub fn of(config: &ModelConfig) -> Self {
        let config = config.clone();
        Self {
            kind: config.kind,
            strata: config.strata,
            experts: config.experts,
            top_k: config.top_k,
            moe_every: config.moe_every,
            normalization: config.normalization,
            capacity_factor: config.capacity_factor.unwrap_or(0.0),
            second_choice: config.second_choice,
            visible: config.visible,
            exits: config.exits,
            random_capacity: config.random_capacity,
            capacity_budget: config.capacity_budget,
            visit_scale: config.visit_scale,
            learned_scale: config.learned_scale,
            initialization: config.initialization,
            expert_dropout: config.expert_dropout,
            eom: config.eom,
            fom: config.fom,
            cmr_gate_dropout: config.cmr_gate_dropout,
            cmr_budget: config.cmr_budget,
            cmr_weight: config.cmr_weight,
            balance_weight: config.balance_weight,
            encoder_layers: config.encoder_layers,
            decoder_layers: config.decoder_layers,
            d_model: config.d_model,
            d_ffn: config.d_ffn,
            heads: config.heads,
            dropout: config.dropout,
            attention_dropout: config.attention_dropout,
            activation_dropout: config.activation_dropout,
            max_length: config.max_length,
        }
    }
}

impl TrainSection {
    /// Whether a run ends with one more model, of averaged weights.
    pub fn averages(&self) -> bool {
        self.average_last > 0 || self.average_decay > 0.0
    }
}

/// `[translate]`: how the trained model is tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranslateSection {
    /// How to search.
    #[serde(flatten)]
    pub search: SearchOptions,
    /// Source subwords translated together.
    pub tokens_per_batch: usize,
}

impl TranslateSection {
    /// What the section has besides [`SearchOptions::KEYS`].
    pub(crate) const KEYS: &'static [Key] = &[Key {
        name: "translate.tokens_per_batch",
        values: Values::count(1, MANY),
        default: "4096",
        meaning: "source subwords translated together",
    }];
}

/// A kind of subword model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subwords {
    /// Unigram language model, as SentencePiece's default.
    Unigram,
    /// Byte-pair encoding.
    Bpe,
}

/// The learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// `learning_rate * sqrt(warmup / update)`.
    InverseSqrt,
    /// Down to 0 at the last update, in equal steps.
    Linear,
    /// Down to 0 at the last update, along half a cosine.
    Cosine,
    /// `learning_rate`.
    Constant,
}

/// The numbers that training computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit "brain" floating point, with f32 weights and sums.
    Bf16,
}

/// A recipe with its variant chosen and every key given a value. [`Recipe::load`] makes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What is learned from.
    pub data: DataSection,
    /// What learns.
    pub model: ModelSection,
    /// How it learns.
    pub train: TrainSection,
    /// How the trained model is tested.
    pub translate: TranslateSection,
}

impl Recipe {
    /// The configuration of this recipe's model for a vocabulary of `vocab_size`, checked.
    ///
    /// # Errors
    /// As [`ModelConfig::validate`].
    pub fn model_config(&self, vocab_size: usize) -> Result<ModelConfig, ConfigError> {
        // Recipes train today's model; what others differ in comes with the weights that training starts from.
        self.model_config_like(&ModelConfig::default(), vocab_size)
    }

    /// [`Recipe::model_config`] with all that a recipe has no keys for as `model` has it: `network`, `prompts` and
    /// `block_experts`.
    ///
    /// # Errors
    /// As [`ModelConfig::validate`].
    pub fn model_config_like(&self, model: &ModelConfig, vocab_size: usize) -> Result<ModelConfig, ConfigError> {
        let ModelConfig { network, ref prompts, ref block_experts, .. } = *model;
        let model = self.model.clone();
        let mut config = ModelConfig {
            format_version: FORMAT_VERSION,
            kind: model.kind,
            // So that a variant can be dense by changing `kind` alone.
            experts: if model.kind == Kind::Dense { 0 } else { model.experts },
            strata: model.strata,
            block_experts: block_experts.clone(),
            top_k: model.top_k,
            moe_every: model.moe_every,
            normalization: model.normalization,
            capacity_factor: (model.capacity_factor != 0.0).then_some(model.capacity_factor),
            second_choice: model.second_choice,
            visible: model.visible,
            exits: model.exits,
            random_capacity: model.random_capacity,
            capacity_budget: model.capacity_budget,
            visit_scale: model.visit_scale,
            learned_scale: model.learned_scale,
            initialization: model.initialization,
            expert_dropout: model.expert_dropout,
            eom: model.eom,
            fom: model.fom,
            cmr_gate_dropout: model.cmr_gate_dropout,
            cmr_budget: model.cmr_budget,
            cmr_weight: model.cmr_weight,
            balance_weight: model.balance_weight,
            encoder_layers: model.encoder_layers,
            decoder_layers: model.decoder_layers,
            d_model: model.d_model,
            d_ffn: model.d_ffn,
            heads: model.heads,
            dropout: model.dropout,
            attention_dropout: model.attention_dropout,
            activation_dropout: model.activation_dropout,
            vocab_size,
            max_length: model.max_length,
            network,
            prompts: prompts.clone(),
        };
        config.validate()?;
        config.experts = config.block_strata().experts();
        Ok(config)
    }

    /// [`Recipe::model_config`] with the vocabulary that the recipe asks for, before data is prepared.
    ///
    /// # Errors
    /// As [`ModelConfig::validate`].
    pub fn planned_model_config(&self) -> Result<ModelConfig, ConfigError> {
        self.model_config(self.data.vocabulary)
    }

    /// Reads a recipe, chooses a variant and overrides single keys.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Io`] if the file cannot be read, otherwise as [`crate::RecipeFile::resolve`].
    pub fn load(
        path: &std::path::Path,
        variant: Option<&str>,
        overrides: &[(String, String)],
    ) -> Result<Recipe, Error> {
        crate::recipe_file::RecipeFile::open(path)?.resolve(variant, overrides)
    }
}
