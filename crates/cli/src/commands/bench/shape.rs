//! The shape of a model that a benchmark makes up: options that have the same meaning in all of them.

use clap::Args;
use strata_recipe::Shape;

/// Sizes with the same defaults in all benchmarks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model options")]
pub struct Sizes {
    /// Width of the model
    #[arg(long, default_value_t = 512, value_name = "N")]
    d_model: usize,
    /// Width of an expert, and of a dense feed-forward layer
    #[arg(long, default_value_t = 2048, value_name = "N")]
    d_ffn: usize,
    /// Attention heads
    #[arg(long, default_value_t = 8, value_name = "N")]
    heads: usize,
    /// Every n-th layer has an expert block
    #[arg(long, default_value_t = 2, value_name = "N")]
    moe_every: usize,
    /// Experts of a token
    #[arg(long, default_value_t = 2, value_name = "N")]
    top_k: usize,
}

impl Sizes {
    /// The shape, with what each benchmark has its own defaults for. `strata` is `4,4`, `8` for a vanilla MoE, or empty
    /// for a dense model.
    ///
    /// # Errors
    /// `strata` is not a list of numbers.
    pub fn shape(&self, layers: usize, vocab: usize, strata: &str) -> anyhow::Result<Shape> {
        let Self { d_model, d_ffn, heads, moe_every, top_k } = *self;
        Ok(Shape { layers, d_model, d_ffn, heads, vocab, moe_every, top_k, strata: experts(strata)? })
    }
}

fn experts(strata: &str) -> anyhow::Result<Vec<usize>> {
    let count = |part: &str| {
        part.trim().parse().map_err(|_| anyhow::anyhow!("--strata {strata}: `{part}` is not a number of experts"))
    };
    strata.split(',').filter(|part| !part.trim().is_empty()).map(count).collect()
}

/// Checks the numbers of `--batch`.
///
/// # Errors
/// One of them is 0.
pub fn at_least_one(batch: &[usize]) -> anyhow::Result<()> {
    anyhow::ensure!(batch.iter().all(|batch| *batch > 0), "--batch 0: choose at least 1");
    Ok(())
}
