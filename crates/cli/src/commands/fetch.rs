//! `strata fetch`: a parallel corpus to learn from, or a trained model.

mod model;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use strata_corpus::synthetic::{self, dictionaries};
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
    Dictionaries(Dictionaries),
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
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = crate::flags::count)]
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

/// Words of known difficulty, for studies of depth and capacity; no download
#[derive(Debug, Args)]
#[command(
    after_help = "Each language has a random dictionary of the same base words. A word of N steps is an alias, in all \
                  languages, of a word of N - 1 steps; steps.tsv says which word takes how many."
)]
struct Dictionaries {
    /// Invented languages, 1 to 520
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = crate::flags::count)]
    languages: usize,
    /// Words of each number of steps
    #[arg(long, default_value_t = 250, value_name = "N", value_parser = crate::flags::count)]
    words: usize,
    /// The most look-ups that a word takes, 1 to 8
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = crate::flags::count)]
    steps: usize,
    /// Training pairs of each language
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    pairs: u64,
    /// Seed of dictionaries and sentences
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Folder for the corpus
    #[arg(short, long, default_value = "data/dictionaries", value_name = "PATH")]
    output: PathBuf,
    /// Replace an earlier synthetic corpus there
    #[arg(long)]
    overwrite: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// What `fetch synthetic` or `fetch dictionaries` wrote.
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
            synthetic_written(&summary, synthetic.json, &synthetic.output, "", terminal)?;
        }
        Wanted::Dictionaries(dictionaries) => {
            let options = dictionaries.options();
            let summary = dictionaries.write(&options, terminal).map_err(flags::of_corpus)?;
            let subwords = format!(" --subword-kind bpe --vocab-size {}", options.vocabulary());
            synthetic_written(&summary, dictionaries.json, &dictionaries.output, &subwords, terminal)?;
        }
    }
    Ok(Outcome::Done)
}

/// Ends the command: figures where they are asked for, else what to type next.
fn synthetic_written(
    summary: &synthetic::Summary,
    json: bool,
    output: &Path,
    subwords: &str,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    if json {
        return print_json(&Figures::of(summary));
    }
    terminal.say(&format!("next: strata prepare {}{subwords} --output DIR", output.display()));
    Ok(())
}

impl Synthetic {
    fn write(&self, terminal: &Terminal) -> strata_corpus::Result<synthetic::Summary> {
        make_room(&self.output, self.overwrite)?;
        let options = synthetic::Options { languages: self.languages, pairs: self.pairs, seed: self.seed };
        generate(&options, &self.output, terminal)
    }
}

impl Dictionaries {
    /// As the library takes it.
    fn options(&self) -> dictionaries::Options {
        let Self { languages, words, steps, pairs, seed, .. } = *self;
        dictionaries::Options { languages, words, steps, pairs, seed }
    }

    fn write(&self, options: &dictionaries::Options, terminal: &Terminal) -> strata_corpus::Result<synthetic::Summary> {
        make_room(&self.output, self.overwrite)?;
        let summary = dictionaries::generate(options, &self.output)?;
        say_generated(&summary, &self.output, terminal);
        Ok(summary)
    }
}

/// An earlier synthetic corpus is replaced if asked for, and nothing else is.
fn make_room(output: &Path, overwrite: bool) -> strata_corpus::Result<()> {
    match std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_some()) {
        true if overwrite => synthetic::remove(output),
        true => Err(strata_corpus::Error::Exists { path: output.to_path_buf() }),
        false => Ok(()),
    }
}

/// Writes the synthetic corpus, over an earlier one if there is one.
pub fn generate(
    options: &synthetic::Options,
    output: &Path,
    terminal: &Terminal,
) -> strata_corpus::Result<synthetic::Summary> {
    let summary = synthetic::generate(options, output)?;
    say_generated(&summary, output, terminal);
    Ok(summary)
}

fn say_generated(summary: &synthetic::Summary, output: &Path, terminal: &Terminal) {
    let of = |(tag, pairs): &(String, u64)| format!("{tag} {}", thousands(*pairs));
    let languages: Vec<String> = summary.languages.iter().map(of).collect();
    terminal.say(&labeled(
        "generated",
        &format!("{} pairs; valid and test {} each: {}", languages.join(", "), summary.held_out, output.display()),
    ));
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
