//! What the tests of several files share.

use strata_model::{Transformer, parse_device};
use strata_recipe::ModelConfig;

/// A model on the CPU that is as small as can be, with the experts of `config`.
pub fn tiny(config: ModelConfig, seed: u64) -> Transformer {
    let config = ModelConfig {
        moe_every: 1,
        encoder_layers: 1,
        decoder_layers: 1,
        d_model: 4,
        d_ffn: 6,
        heads: 2,
        vocab_size: 7,
        max_length: 8,
        ..config
    };
    Transformer::new(&config, seed, &parse_device("cpu").expect("the CPU").autodiff()).expect("a model")
}
