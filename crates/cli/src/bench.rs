//! `strata bench`: the speed of this machine at Strata's work.

use clap::{Args, Subcommand};
use strata_train::bench::{Products, StepOptions, train_step};

use crate::{Outcome, print};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time training steps on random tokens and print tokens per second as JSON
    #[command(after_help = "A step is forward, label-smoothed cross-entropy, backward and Adam. Examples:\n  \
                            strata bench train-step --strata 4,4 --batch 32 --length 32\n  \
                            strata bench train-step --strata '' --dropout 0     (dense)")]
    TrainStep(TrainStep),
}

#[derive(Debug, Args)]
struct TrainStep {
    /// Layers of the encoder and of the decoder
    #[arg(long, default_value_t = 3)]
    layers: usize,
    #[arg(long, default_value_t = 512)]
    d_model: usize,
    #[arg(long, default_value_t = 2048)]
    d_ffn: usize,
    #[arg(long, default_value_t = 8)]
    heads: usize,
    #[arg(long, default_value_t = 16_000)]
    vocab: usize,
    /// Every n-th layer has an expert block
    #[arg(long, default_value_t = 2)]
    moe_every: usize,
    #[arg(long, default_value_t = 2)]
    top_k: usize,
    /// Sentence pairs of a step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Subwords of every sentence
    #[arg(long, default_value_t = 32)]
    length: usize,
    /// Timed steps, after two that are not
    #[arg(long, default_value_t = 6)]
    steps: usize,
    /// Experts of each stratum, comma-separated; `8` is a vanilla MoE, '' is dense
    #[arg(long, default_value = "4,4")]
    strata: String,
    #[arg(long, default_value_t = 0.1)]
    dropout: f64,
    #[arg(long, default_value_t = 0.0)]
    attention_dropout: f64,
    /// cpu, wgpu, cuda:0, ...
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Compute the products with weights in bfloat16
    #[arg(long)]
    bf16: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let What::TrainStep(a) = &arguments.what;
    let count = |text: &str| {
        text.trim().parse().map_err(|_| anyhow::anyhow!("--strata {}: `{text}` is not a number of experts", a.strata))
    };
    let strata = a.strata.split(',').filter(|text| !text.trim().is_empty()).map(count).collect::<Result<_, _>>()?;
    let report = train_step(&StepOptions {
        layers: a.layers,
        d_model: a.d_model,
        d_ffn: a.d_ffn,
        heads: a.heads,
        vocab: a.vocab,
        moe_every: a.moe_every,
        top_k: a.top_k,
        batch: a.batch,
        length: a.length,
        steps: a.steps,
        strata,
        dropout: a.dropout,
        attention_dropout: a.attention_dropout,
        device: a.device.clone(),
        products: if a.bf16 { Products::Bf16 } else { Products::F32 },
    })?;
    print(&(serde_json::to_string(&report)? + "\n"))?;
    Ok(Outcome::Done)
}
