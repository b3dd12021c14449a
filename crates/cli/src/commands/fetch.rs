//! `strata fetch`: a parallel corpus to learn from, or a trained model.

mod model;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use strata_corpus::synthetic;
use strata_fetch::{Event, Options, Stage, Summary, fetch_docs};
use strata_files::thousands;

use crate::output::{print, print_json};
use crate::terminal::{Terminal, bar, duration, labeled, short};
use crate::{Outcome, flags};

/// Get a parallel corpus or a trained model
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    wanted: Wanted,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    Docs(Docs),
    Model(model::Arguments),
    Synthetic(Synthetic),
}

/// Real text, English with up to 46 languages, from the documentation packages of Debian and Ubuntu
#[derive(Debug, Args)]
#[command(after_help = "Downloads about 100 MB with `apt-get download`, without root.")]
struct Docs {
    /// Languages to pair with English, comma-separated, such as de,pt_BR; an unknown one lists all [default: fifteen]
    #[arg(long, value_delimiter = ',', value_name = "LANGS")]
    languages: Vec<String>,
    /// Folder for the corpus
    #[arg(short, long, default_value = "data/docs", value_name = "PATH")]
    output: PathBuf,
    /// Folder that keeps downloaded packages [default: ~/.cache/strata/docs]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Use the .deb files of this folder instead of downloading
    #[arg(long, value_name = "DIR")]
    packages: Option<PathBuf>,
    /// Look for newer packages even if the corpus is complete
    #[arg(long)]
    refresh: bool,
    /// Also write the held-back part (held.*), for a last test that nobody has tuned on
    #[arg(long)]
    held: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Sentences from a small grammar in up to four invented languages; no download
#[derive(Debug, Args)]
struct Synthetic {
    /// Invented languages, 1 to 4
    #[arg(long, default_value_t = 4, value_name = "N")]
    languages: usize,
    /// Training pairs of the largest language
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pairs: u64,
    /// Seed of the sentences
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Folder for the corpus
    #[arg(short, long, default_value = "data/synthetic", value_name = "PATH")]
    output: PathBuf,
    /// Replace an earlier synthetic corpus there
    #[arg(long)]
    overwrite: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// What `fetch synthetic` wrote.
#[derive(Serialize)]
struct Figures<'a> {
    languages: Vec<Training<'a>>,
    /// Pairs of `valid` and of `test`, for each language.
    held_out: u64,
}

#[derive(Serialize)]
struct Training<'a> {
    language: &'a str,
    train: u64,
}

impl<'a> Figures<'a> {
    fn of(summary: &'a synthetic::Summary) -> Self {
        let of = |(language, train): &'a (String, u64)| Training { language, train: *train };
        Self { languages: summary.languages.iter().map(of).collect(), held_out: summary.held_out }
    }
}

impl Docs {
    /// As the library takes it.
    fn options(&self) -> anyhow::Result<Options> {
        let cache = self.cache.clone().or_else(strata_fetch::default_cache);
        let mut options = Options::new(&self.output, cache.context("there is no home folder: name one with --cache")?);
        if !self.languages.is_empty() {
            options.languages.clone_from(&self.languages);
        }
        options.packages.clone_from(&self.packages);
        (options.refresh, options.held) = (self.refresh, self.held);
        Ok(options)
    }
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &arguments.wanted {
        Wanted::Docs(docs) => {
            let summary = fetch(&docs.options()?, terminal)?;
            if docs.json {
                print_json(&summary)?;
            } else {
                print(&table(&summary))?;
                terminal.say(&format!("next: strata prepare {} --output DIR", docs.output.display()));
            }
        }
        Wanted::Model(model) => return model::run(model, terminal),
        Wanted::Synthetic(synthetic) => {
            let summary = synthetic.write(terminal).map_err(flags::of_corpus)?;
            if synthetic.json {
                print_json(&Figures::of(&summary))?;
            } else {
                terminal.say(&format!("next: strata prepare {} --output DIR", synthetic.output.display()));
            }
        }
    }
    Ok(Outcome::Done)
}

impl Synthetic {
    fn write(&self, terminal: &Terminal) -> strata_corpus::Result<synthetic::Summary> {
        let output = &self.output;
        if std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some()) {
            if !self.overwrite {
                return Err(strata_corpus::Error::Exists { path: output.clone() });
            }
            synthetic::remove(output)?;
        }
        generate(
            &synthetic::Options { languages: self.languages, pairs: self.pairs, seed: self.seed },
            output,
            terminal,
        )
    }
}

/// Writes the synthetic corpus, over an earlier one if there is one.
pub fn generate(
    options: &synthetic::Options,
    output: &Path,
    terminal: &Terminal,
) -> strata_corpus::Result<synthetic::Summary> {
    let summary = synthetic::generate(options, output)?;
    let of = |(tag, pairs): &(String, u64)| format!("{tag} {}", thousands(*pairs));
    let languages: Vec<String> = summary.languages.iter().map(of).collect();
    terminal.say(&labeled(
        "generated",
        &format!("{} pairs; valid and test {} each: {}", languages.join(", "), summary.held_out, output.display()),
    ));
    Ok(summary)
}

/// Fetches the documentation corpus with progress on the terminal.
pub fn fetch(options: &Options, terminal: &Terminal) -> anyhow::Result<Summary> {
    let mut downloaded = false;
    let summary = fetch_docs(options, &mut |event| match event {
        Event::Stage { stage: Stage::Lists } => terminal.say(&labeled("fetching", "asking apt for the packages")),
        Event::Stage { stage: Stage::Extract } => terminal.progress(&labeled("extracting", "")),
        Event::Download { packages_done, packages, bytes_done, bytes } => {
            let what = format!("{packages} packages, {}", short(bytes as f64, "B"));
            terminal.progress(&labeled("fetching", &format!("{what}  {}", bar(bytes_done, bytes))));
            if packages_done == packages && !downloaded {
                downloaded = true;
                terminal.say(&labeled("fetching", &format!("{what} (kept in {})", options.cache.display())));
            }
        }
        Event::Retry { attempt, reason } => terminal.warn(&format!("attempt {attempt} at the download: {reason}")),
        Event::Missing { package, languages, .. } => {
            terminal.warn(&format!("this release has no package {package}: less text for {}", languages.join(", ")));
        }
        Event::Extracted { language, pairs, languages_done, languages } => {
            terminal.progress(&labeled("extracting", &format!("{languages_done} of {languages} languages")));
            terminal.detail(&labeled("", &format!("{language}: {} pairs", thousands(pairs as u64))));
        }
        Event::NoText { language } => terminal.warn(&format!("there is no text in {language}")),
        Event::Stage { .. } => {}
    })?;
    let corpus = &summary.corpus;
    let pairs: usize = corpus.languages.iter().map(|l| l.train).sum();
    let done = if summary.up_to_date { "already complete".to_string() } else { duration(summary.corpus_seconds) };
    let what = format!("{} languages, {} training pairs; {done}", corpus.languages.len(), thousands(pairs as u64));
    terminal.say(&labeled("extracting", &what));
    Ok(summary)
}

fn table(summary: &Summary) -> String {
    let mut text = format!("{:<8} {:>9} {:>7} {:>7} {:>9}\n", "language", "train", "valid", "test", "words/en");
    for language in &summary.corpus.languages {
        let [train, valid, test] = [language.train, language.valid, language.test].map(|n| thousands(n as u64));
        text += &format!("{:<8} {train:>9} {valid:>7} {test:>7} {:>9.1}\n", language.language, language.english_words);
    }
    text + &format!("{}  (MANIFEST.json there names packages, versions, digests, licenses)\n", summary.output.display())
}
