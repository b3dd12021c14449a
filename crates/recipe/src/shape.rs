//! The sizes of a model for benchmarks.

use crate::model_config::ModelConfig;
use crate::rules::Kind;

/// What benchmarks choose in a model; the rest is [`ModelConfig::default`]'s.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Layers of the encoder and of the decoder.
    pub layers: usize,
    /// Width.
    pub d_model: usize,
    /// Inner width of FFNs and experts.
    pub d_ffn: usize,
    /// Attention heads.
    pub heads: usize,
    /// Vocabulary.
    pub vocab: usize,
    /// Every n-th layer has an expert block.
    pub moe_every: usize,
    /// Experts per token and gate.
    pub top_k: usize,
    /// Experts per stratum; one stratum is a vanilla MoE (Switch where `top_k` is 1), none is dense.
    pub strata: Vec<usize>,
}

impl Shape {
    /// The model of these sizes, for sentences of up to `length` subwords.
    pub fn config(&self, length: usize) -> ModelConfig {
        let mut config = ModelConfig {
            encoder_layers: self.layers,
            decoder_layers: self.layers,
            d_model: self.d_model,
            d_ffn: self.d_ffn,
            heads: self.heads,
            vocab_size: self.vocab,
            moe_every: self.moe_every,
            top_k: self.top_k,
            max_length: length.max(3),
            ..ModelConfig::default()
        };
        match self.strata.as_slice() {
            [] => config.kind = Kind::Dense,
            [experts] => {
                config.kind = if self.top_k == 1 { Kind::Switch } else { Kind::Moe };
                config.experts = *experts;
            }
            strata => (config.kind, config.strata) = (Kind::Smoe, strata.to_vec()),
        }
        config
    }
}
