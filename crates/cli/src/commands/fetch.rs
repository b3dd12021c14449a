//! `strata fetch`: a parallel corpus to learn from.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use strata_fetch::{Event, Options, Stage, Summary, fetch_docs};
use strata_files::thousands;

use crate::Outcome;
use crate::output::{print, print_json};
use crate::terminal::{Terminal, bar, duration, labeled, short};

/// Get a parallel corpus
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    corpus: Corpus,
}

#[derive(Debug, Subcommand)]
enum Corpus {
    Docs(Docs),
    Synthetic(Synthetic),
}

/// Real text, English with up to 46 languages, from the documentation packages of Debian and Ubuntu
#[derive(Debug, Args)]
#[command(after_help = "Downloads about 100 MB with `apt-get download`, without root.")]
struct Docs {
    /// Languages to pair with English, comma-separated [default: fifteen]
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
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match &arguments.corpus {
        Corpus::Docs(docs) => {
            let cache = docs.cache.clone().or_else(strata_fetch::default_cache);
            let mut options =
                Options::new(&docs.output, cache.context("there is no home folder: name one with --cache")?);
            if !docs.languages.is_empty() {
                options.languages.clone_from(&docs.languages);
            }
            options.packages.clone_from(&docs.packages);
            (options.refresh, options.held) = (docs.refresh, docs.held);
            let summary = fetch(&options, terminal)?;
            if docs.json {
                print_json(&summary)?;
            } else {
                print(&table(&summary))?;
                terminal.say(&format!("next: strata prepare {} --output DIR", docs.output.display()));
            }
        }
        Corpus::Synthetic(synthetic) => {
            let Synthetic { languages, pairs, seed, output } = synthetic;
            generate(*languages, *pairs, *seed, output, terminal)?;
            terminal.say(&format!("next: strata prepare {} --output DIR", output.display()));
        }
    }
    Ok(Outcome::Done)
}

/// Writes the synthetic corpus.
pub fn generate(languages: usize, pairs: u64, seed: u64, output: &Path, terminal: &Terminal) -> anyhow::Result<()> {
    let options = strata_corpus::synthetic::Options { languages, pairs, seed };
    let summary = strata_corpus::synthetic::generate(&options, output)?;
    let of = |(tag, pairs): &(String, u64)| format!("{tag} {}", thousands(*pairs));
    let languages: Vec<String> = summary.languages.iter().map(of).collect();
    terminal.say(&labeled(
        "generated",
        &format!("{} pairs; valid and test {} each: {}", languages.join(", "), summary.held_out, output.display()),
    ));
    Ok(())
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
