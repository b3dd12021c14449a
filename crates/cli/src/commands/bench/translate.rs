//! `strata bench translate`: the speed of decoding with random weights.

use clap::Args;
use strata_recipe::SearchOptions;
use strata_runtime::Precision;
use strata_runtime::bench::{DecodeOptions, decode};

use crate::Outcome;
use crate::commands::bench::shape::{Sizes, at_least_one};
use crate::memory::WithMemory;
use crate::output::print_json_line;
use crate::search_args::{self, precision};

/// Time translation with random weights and fixed lengths; print tokens per second as JSON, a line for each setting
#[derive(Debug, Args)]
pub struct Arguments {
    /// Sentences to translate
    #[arg(long, default_value_t = 64, value_name = "N")]
    sentences: usize,
    /// Subwords of every source
    #[arg(long, default_value_t = 24, value_name = "N")]
    source_length: usize,
    /// Subwords of every translation
    #[arg(long, default_value_t = 30, value_name = "N")]
    target_length: usize,
    /// Sentences translated at a time, comma-separated for several settings
    #[arg(long, value_delimiter = ',', default_value = "32,1", value_name = "N")]
    batch: Vec<usize>,
    /// Hypotheses of beam search; 1 is greedy search
    #[arg(long, default_value_t = 4, value_name = "N")]
    beam: usize,
    /// Batches at a time, each with its share of the threads and of --batch [default: automatic]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    workers: usize,
    /// Numbers that weights are held in
    #[arg(long, value_parser = precision(), default_value = "f32", value_name = "PRECISION")]
    precision: Precision,
    /// Timed runs, after one warm-up
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: usize,
    /// Layers of the encoder, and of the decoder
    #[arg(long, default_value_t = 6, value_name = "N", help_heading = "Model options")]
    layers: usize,
    /// Subwords of the vocabulary
    #[arg(long, default_value_t = 32_000, value_name = "N", help_heading = "Model options")]
    vocab: usize,
    /// Experts of each stratum, comma-separated; `8` is a vanilla MoE, an empty value is dense [default: dense]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NUMBERS", help_heading = "Model options")]
    strata: String,
    #[command(flatten)]
    sizes: Sizes,
}

pub fn run(a: &Arguments) -> anyhow::Result<Outcome> {
    search_args::check(&SearchOptions { beam: a.beam, ..SearchOptions::default() })?;
    anyhow::ensure!(
        a.source_length > 0 && a.target_length > 0 && a.sentences > 0,
        "lengths and sentences must be above 0"
    );
    at_least_one(&a.batch)?;
    for batch in &a.batch {
        let report = decode(&DecodeOptions {
            shape: a.sizes.shape(a.layers, a.vocab, &a.strata)?,
            sentences: if *batch == 1 { a.sentences.min(8) } else { a.sentences },
            source_length: a.source_length,
            target_length: a.target_length,
            batch: *batch,
            beam: a.beam,
            workers: a.workers,
            precision: a.precision,
            runs: a.runs,
        })?;
        print_json_line(&WithMemory::of(report))?;
    }
    Ok(Outcome::Done)
}
