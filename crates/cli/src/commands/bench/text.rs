//! `strata bench text`: the speed of a model on a file's lines.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use strata_translate::Translator;

use crate::bench::{WithMemory, at_least_one};
use crate::terminal::Terminal;
use crate::translate::Search;
use crate::{Outcome, print};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// File of sentences, one a line
    file: PathBuf,
    /// Language to translate into
    #[arg(long, value_name = "LANG")]
    to: String,
    /// Sentences under way at a time, comma-separated for several settings; 1 is one after another
    #[arg(long, value_delimiter = ',', default_value = "32,1")]
    batch: Vec<usize>,
    #[command(flatten)]
    search: Search,
    /// Longest translation, in subwords, the end mark included [default: 2 x source + 20]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Timed runs, after one that is not
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// File for the translations
    #[arg(short, long)]
    output: Option<PathBuf>,
}

pub fn run(a: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    at_least_one(&a.batch)?;
    let mut options = a.search.options()?;
    options.more.max_length = a.max_length;
    let lines = crate::evaluate::lines(&a.file)?;
    ensure!(!lines.is_empty(), "{}: no line to translate", a.file.display());
    let translator = Translator::open(&a.model, &a.search.place.placement())?;
    for batch in &a.batch {
        terminal.progress(&format!("{} lines, {batch} at a time", lines.len()));
        let (speed, texts) = translator.speed(&lines, &a.to, &options, *batch, a.runs)?;
        terminal.progress("");
        print(&(serde_json::to_string(&WithMemory::of(speed))? + "\n"))?;
        if let Some(path) = &a.output {
            let text: String = texts.into_iter().map(|text| text + "\n").collect();
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(Outcome::Done)
}
