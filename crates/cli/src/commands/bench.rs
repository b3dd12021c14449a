//! `strata bench`: the speed of this machine at Strata's work.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use strata_recipe::Shape;
use strata_runtime::Precision;
use strata_runtime::bench::{DecodeOptions, decode};
use strata_train::bench::{Products, StepOptions, StepText, train_step};

use crate::terminal::Terminal;
use crate::{Outcome, bench_text, bench_training, print};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Time training steps on random tokens, or on a corpus, and print tokens per second as JSON
    #[command(after_help = "A step is forward, label-smoothed cross-entropy, backward and Adam. Examples:\n  \
                            strata bench train-step --strata 4,4 --batch 32 --length 32\n  \
                            strata bench train-step --strata '' --dropout 0     (dense)\n  \
                            strata bench train-step --data data/docs-prepared --tokens-per-batch 2048")]
    TrainStep(TrainStep),
    /// Time training steps at several shapes and print a table, beside another program if one is named
    #[command(
        after_help = "Best and median tokens per second, FLOP/s and their share of what the engine's f32 product does on this \
                            machine, peak memory, page faults. Example:\n  \
                            strata bench training --shapes A,B --rounds 3 --threads 2 --peer 'python3 step.py'"
    )]
    Training(bench_training::Arguments),
    /// Time translation with random weights and fixed lengths and print tokens per second as JSON, a line for each setting
    #[command(after_help = "Examples:\n  \
                            strata bench translate --int8\n  \
                            strata bench translate --strata 4,4 --batch 32,1 --beam 4")]
    Translate(Translate),
    /// Time translation of a file's lines with a model and print tokens per second as JSON, a line for each setting
    #[command(
        after_help = "Target subwords per second, without and with the cutting of text into subwords; with --batch 1 latencies. \
                            --tokens-per-batch does not count here. Example:\n  \
                            strata bench text runs/quickstart in.en --to de --batch 32,1 --int8"
    )]
    Text(bench_text::Arguments),
}

/// A report with the most memory that this process has had.
#[derive(Serialize)]
pub struct WithMemory<T> {
    #[serde(flatten)]
    report: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mb: Option<f64>,
}

impl<T> WithMemory<T> {
    /// With the memory up to now.
    pub fn of(report: T) -> Self {
        let peak_memory_mb = peak_memory(std::process::id()).map(|bytes| bytes as f64 / f64::from(1 << 20));
        Self { report, peak_memory_mb }
    }
}

/// The highest mark of a process's memory, in bytes; `None` where the system does not say.
pub fn peak_memory(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Checks the numbers of `--batch`.
///
/// # Errors
/// There is a 0.
pub fn at_least_one(batch: &[usize]) -> anyhow::Result<()> {
    anyhow::ensure!(batch.iter().all(|batch| *batch > 0), "--batch 0: choose at least 1");
    Ok(())
}

/// Sizes of a model that have the same defaults in all benchmarks.
#[derive(Debug, Args)]
struct Sizes {
    #[arg(long, default_value_t = 512)]
    d_model: usize,
    #[arg(long, default_value_t = 2048)]
    d_ffn: usize,
    #[arg(long, default_value_t = 8)]
    heads: usize,
    /// Every n-th layer has an expert block
    #[arg(long, default_value_t = 2)]
    moe_every: usize,
    #[arg(long, default_value_t = 2)]
    top_k: usize,
}

impl Sizes {
    /// With what each benchmark has its own defaults for.
    fn shape(&self, layers: usize, vocab: usize, strata: &str) -> anyhow::Result<Shape> {
        let Self { d_model, d_ffn, heads, moe_every, top_k } = *self;
        Ok(Shape { layers, d_model, d_ffn, heads, vocab, moe_every, top_k, strata: strata_of(strata)? })
    }
}

#[derive(Debug, Args)]
struct Translate {
    /// Layers of the encoder and of the decoder
    #[arg(long, default_value_t = 6)]
    layers: usize,
    #[command(flatten)]
    sizes: Sizes,
    #[arg(long, default_value_t = 32_000)]
    vocab: usize,
    /// Experts of each stratum, comma-separated; `8` is a vanilla MoE, '' is dense
    #[arg(long, default_value = "")]
    strata: String,
    #[arg(long, default_value_t = 64)]
    sentences: usize,
    /// Subwords of every source
    #[arg(long, default_value_t = 24)]
    source_length: usize,
    /// Subwords of every translation
    #[arg(long, default_value_t = 30)]
    target_length: usize,
    /// Sentences under way at a time, comma-separated for several settings
    #[arg(long, value_delimiter = ',', default_value = "32,1")]
    batch: Vec<usize>,
    #[arg(long, default_value_t = 4)]
    beam: usize,
    /// Batches side by side, each with its share of the threads and of --batch; 0 = as many as there are sentences enough for
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Compute with 8-bit integers
    #[arg(long)]
    int8: bool,
    /// Timed runs, after one that is not
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

fn strata_of(text: &str) -> anyhow::Result<Vec<usize>> {
    let count = |part: &str| {
        part.trim().parse().map_err(|_| anyhow::anyhow!("--strata {text}: `{part}` is not a number of experts"))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(count).collect()
}

fn translate(a: &Translate) -> anyhow::Result<()> {
    anyhow::ensure!((1..=1024).contains(&a.beam), "--beam {}: choose 1 to 1024", a.beam);
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
            precision: if a.int8 { Precision::Int8 } else { Precision::F32 },
            runs: a.runs,
        })?;
        print(&(serde_json::to_string(&WithMemory::of(report))? + "\n"))?;
    }
    Ok(())
}

#[derive(Debug, Args)]
struct TrainStep {
    /// Layers of the encoder and of the decoder
    #[arg(long, default_value_t = 3)]
    layers: usize,
    #[command(flatten)]
    sizes: Sizes,
    #[arg(long, default_value_t = 16_000)]
    vocab: usize,
    /// Sentence pairs of a step
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Subwords of every sentence
    #[arg(long, default_value_t = 32)]
    length: usize,
    /// Prepared folder whose training batches, with their own lengths, take the place of random ones; and its vocabulary
    #[arg(long, value_name = "DIR", conflicts_with_all = ["batch", "length", "vocab"])]
    data: Option<PathBuf>,
    /// Subwords of a batch of --data
    #[arg(long, default_value_t = 2048, requires = "data", value_name = "N")]
    tokens_per_batch: usize,
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

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &arguments.what {
        What::TrainStep(a) => train(a)?,
        What::Training(a) => return bench_training::run(a, terminal),
        What::Translate(a) => translate(a)?,
        What::Text(a) => return bench_text::run(a, terminal),
    }
    Ok(Outcome::Done)
}

fn train(a: &TrainStep) -> anyhow::Result<()> {
    let report = train_step(&StepOptions {
        shape: a.sizes.shape(a.layers, a.vocab, &a.strata)?,
        text: match &a.data {
            Some(prepared) => StepText::Corpus { prepared: prepared.clone(), tokens_per_batch: a.tokens_per_batch },
            None => StepText::Random { batch: a.batch, length: a.length },
        },
        steps: a.steps,
        dropout: a.dropout,
        attention_dropout: a.attention_dropout,
        device: a.device.clone(),
        products: if a.bf16 { Products::Bf16 } else { Products::F32 },
    })?;
    print(&(serde_json::to_string(&report)? + "\n"))
}
