//! The small model of the tests of this crate and of the CPU engine.

use strata_recipe::ModelConfig;

/// A dense model of two layers on each side, without dropout.
pub fn small() -> ModelConfig {
    ModelConfig {
        encoder_layers: 2,
        decoder_layers: 2,
        d_model: 16,
        d_ffn: 24,
        heads: 2,
        vocab_size: 29,
        max_length: 24,
        dropout: 0.0,
        attention_dropout: 0.0,
        cmr_gate_dropout: 0.0,
        ..ModelConfig::default()
    }
}
