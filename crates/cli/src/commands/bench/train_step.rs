//! `strata bench train-step`: the speed of a training step.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use strata_recipe::ConfigError;
use strata_train::bench::{MatmulPrecision, StepOptions, StepText, train_step};

use crate::commands::bench::shape::Sizes;
use crate::output::print_json_line;
use crate::{Outcome, flags};

/// Time training steps on random tokens, or on a corpus; print tokens per second as JSON
#[derive(Debug, Args)]
#[command(after_help = "A step is forward, label-smoothed cross-entropy, backward and Adam.")]
pub struct Arguments {
    /// Prepared folder whose training batches, lengths and vocabulary replace random ones
    #[arg(conflicts_with_all = ["batch", "length", "vocab"])]
    data: Option<PathBuf>,
    /// Subwords of a batch of DATA [default: 2048]
    #[arg(long, value_name = "N")]
    tokens_per_batch: Option<usize>,
    /// Sentence pairs of a random batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,
    /// Subwords of every random sentence
    #[arg(long, default_value_t = 32, value_name = "N")]
    length: usize,
    /// Timed steps, after two warm-ups
    #[arg(long, default_value_t = 6, value_name = "N")]
    steps: usize,
    /// cpu, wgpu, cuda:0, ...
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
    /// Compute the products with weights in bfloat16
    #[arg(long)]
    bf16: bool,
    /// Layers of the encoder, and of the decoder
    #[arg(long, default_value_t = 3, value_name = "N", help_heading = "Model options")]
    layers: usize,
    /// Subwords of the vocabulary
    #[arg(long, default_value_t = 16_000, value_name = "N", help_heading = "Model options")]
    vocab: usize,
    /// Experts of each stratum, comma-separated; `8` is a vanilla MoE, an empty value is dense
    #[arg(long, default_value = "4,4", value_name = "NUMBERS", help_heading = "Model options")]
    strata: String,
    /// Dropout rate
    #[arg(long, default_value_t = 0.1, value_name = "P", help_heading = "Model options")]
    dropout: f64,
    /// Dropout rate of attention weights
    #[arg(long, default_value_t = 0.0, value_name = "P", help_heading = "Model options")]
    attention_dropout: f64,
    #[command(flatten)]
    sizes: Sizes,
}

/// The most subwords of a random batch: far more than any memory takes.
const MOST_SUBWORDS: usize = 1 << 24;

pub fn run(a: &Arguments) -> anyhow::Result<Outcome> {
    ensure!(
        a.data.is_some() || a.tokens_per_batch.is_none(),
        "--tokens-per-batch: it cuts the batches of DATA; name it"
    );
    ensure!(
        a.batch.saturating_mul(a.length) <= MOST_SUBWORDS,
        "--batch {} of --length {}: choose at most {MOST_SUBWORDS} subwords in all",
        a.batch,
        a.length
    );
    let report = train_step(&StepOptions {
        shape: a.sizes.shape(a.layers, a.vocab, &a.strata)?,
        text: match &a.data {
            Some(prepared) => {
                StepText::Corpus { prepared: prepared.clone(), tokens_per_batch: a.tokens_per_batch.unwrap_or(2048) }
            }
            None => StepText::Random { batch: a.batch, length: a.length },
        },
        steps: a.steps,
        dropout: a.dropout,
        attention_dropout: a.attention_dropout,
        device: a.device.clone(),
        products: if a.bf16 { MatmulPrecision::Bf16 } else { MatmulPrecision::F32 },
    })
    .map_err(in_flags)?;
    print_json_line(&report)?;
    Ok(Outcome::Done)
}

/// `steps = 0 is too small` as `--steps 0 is too small`.
fn in_flags(error: strata_train::Error) -> anyhow::Error {
    match error {
        strata_train::Error::TooSmall { name, .. } => {
            flags::of_config(&ConfigError { key: name, message: error.to_string() })
        }
        strata_train::Error::Config(error) => flags::of_config(&error),
        error => error.into(),
    }
}
