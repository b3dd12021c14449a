//! `strata bench text`: the speed of a model on a file's lines.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use strata_translate::{Placement, Translator};

use crate::Outcome;
use crate::commands::bench::shape::at_least_one;
use crate::memory::WithMemory;
use crate::output::print_json_line;
use crate::search_args::SearchArgs;
use crate::terminal::Terminal;
use crate::text_files;

/// Time translation of a file's lines with a model; print tokens per second as JSON, a line for each setting
#[derive(Debug, Args)]
#[command(
    after_help = "Prints target subwords per second, with and without the time for cutting text into subwords; with \
                  --batch 1 also latencies."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// File of sentences, one a line
    file: PathBuf,
    /// Language of the text, for models that read it from a tag
    #[arg(long, value_name = "LANG")]
    from: Option<String>,
    /// Language to translate into
    #[arg(long, value_name = "LANG")]
    to: String,
    /// Sentences translated at a time, comma-separated for several settings; 1 is one after another
    #[arg(long, value_delimiter = ',', default_value = "32,1", value_name = "N")]
    batch: Vec<usize>,
    /// Timed runs, after one warm-up
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: usize,
    /// File for the translations
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    search: SearchArgs,
}

pub fn run(a: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    at_least_one(&a.batch)?;
    ensure!(a.runs > 0, "--runs 0: choose at least 1");
    ensure!(a.search.tokens_per_batch.is_none(), "--tokens-per-batch has no effect here; --batch gives the sentences");
    let options = a.search.options()?;
    let lines = text_files::lines(&a.file)?;
    ensure!(!lines.is_empty(), "{}: no line to translate", a.file.display());
    let translator = Translator::open(&a.model, &Placement::from(&a.search.place))?;
    for batch in &a.batch {
        terminal.progress(&format!("{} lines, {batch} at a time", lines.len()));
        let (speed, texts) = translator.speed(&lines, a.from.as_deref(), &a.to, &options, *batch, a.runs)?;
        terminal.progress("");
        print_json_line(&WithMemory::of(speed))?;
        if let Some(path) = &a.output {
            let text: String = texts.into_iter().map(|text| text + "\n").collect();
            strata_files::write_output(path, text.as_bytes())?;
        }
    }
    Ok(Outcome::Done)
}
