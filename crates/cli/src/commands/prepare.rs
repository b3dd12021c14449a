//! `strata prepare`: raw bitext to a prepared folder.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use strata_corpus::filter::Limits;
use strata_corpus::language::LanguageFilter;
use strata_corpus::normalize::Form;
use strata_corpus::prepare::{Directions, Event, Options, prepare};
use strata_corpus::report::Report;
use strata_corpus::trainer::Kind;
use strata_files::names::TOKENIZER_FILE;
use strata_files::thousands;
use strata_store::resolve_model;

use crate::output::{print, print_json};
use crate::terminal::{Terminal, labeled, short};
use crate::{Outcome, flags};

/// Prepare bitext for training: clean it, learn subwords, encode
#[derive(Debug, Args)]
#[command(
    after_help = "Input files are train.SRC-TGT.SRC beside train.SRC-TGT.TGT (also valid.* or dev.*, and test.*), \
                  train.SRC-TGT.tsv with two columns, CORPUS.SRC-TGT.LANG as in OPUS, or train.SRC beside train.TGT \
                  in a folder of two languages; each also .gz, .zst, .xz or .bz2, in UTF-8 or UTF-16. Files that are \
                  not used are named with the reason."
)]
pub struct Arguments {
    /// Folder of the bitext
    bitext: PathBuf,
    /// Prepared folder to write
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// Replace an existing prepared folder
    #[arg(long)]
    overwrite: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    subwords: Subwords,
}

/// Which pairs are kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter options")]
struct Filter {
    /// Only pairs between these languages, comma-separated, such as en,de,fr [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LANGS")]
    languages: Vec<String>,
    /// Only these directions, comma-separated, such as en-de,de-en [default: both of each pair]
    #[arg(long, value_delimiter = ',', value_name = "DIRECTIONS")]
    directions: Vec<String>,
    /// Unicode normalization
    #[arg(long, value_enum, default_value_t = Normalization::Nfc, value_name = "FORM")]
    normalization: Normalization,
    /// Longest side of a training pair, in subwords
    #[arg(long, default_value_t = Limits::default().max_subwords, value_name = "N", value_parser = crate::flags::count)]
    max_subwords: usize,
    /// Highest ratio of the two sides' lengths in characters
    #[arg(long, default_value_t = Limits::default().max_character_ratio, value_name = "X")]
    max_length_ratio: f64,
    /// Keep repeated pairs
    #[arg(long)]
    keep_duplicates: bool,
    /// Keep pairs with two identical sides
    #[arg(long)]
    keep_identical: bool,
    /// Drop training pairs with a side in another language
    #[arg(long)]
    language_filter: bool,
    /// Drop and count invalid lines (not UTF-8, wrong columns) instead of stopping
    #[arg(long)]
    skip_invalid: bool,
}

/// The subword model that all languages share.
#[derive(Debug, Args)]
#[command(next_help_heading = "Subword options")]
struct Subwords {
    /// Size of the vocabulary, language tags included
    #[arg(long, default_value_t = 16_000, value_name = "N", value_parser = crate::flags::count)]
    vocab_size: usize,
    /// Kind of subword model
    #[arg(long, value_enum, default_value_t = SubwordKind::Unigram, value_name = "KIND")]
    subword_kind: SubwordKind,
    /// Use this tokenizer.json or SentencePiece .model instead of training one, or those of a model, run or prepared
    /// folder, with tags for new languages (for train --init)
    #[arg(long, value_name = "PATH", conflicts_with_all = [
        "vocab_size", "subword_kind", "subword_temperature", "subword_sentences", "character_coverage",
    ])]
    subword_model: Option<PathBuf>,
    /// Train on size^(1/T) sentences of each language
    #[arg(long, default_value_t = 5.0, value_name = "T")]
    subword_temperature: f64,
    /// Train on at most N sentences
    #[arg(long, default_value_t = 500_000, value_name = "N")]
    subword_sentences: u64,
    /// Share of a language's text whose characters get subwords of their own
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    character_coverage: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SubwordKind {
    Unigram,
    Bpe,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Normalization {
    Nfc,
    Nfkc,
    None,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut options = options(arguments);
    if let Some(run) =
        options.subwords.import.as_mut().filter(|path| path.is_dir() && !path.join(TOKENIZER_FILE).exists())
    {
        *run = resolve_model(&*run)?;
    }
    let report = prepare_watched(&options, terminal).map_err(flags::of_corpus)?;
    if arguments.json {
        terminal.say(&labeled("preparing", &report.summary()));
        print_json(&report)?;
    } else {
        print(&report.to_string())?;
        terminal.say(&format!("written: {} (report.json there has all figures)", arguments.output.display()));
    }
    Ok(Outcome::Done)
}

/// As the library takes it.
fn options(Arguments { bitext, output, overwrite, filter, subwords, .. }: &Arguments) -> Options {
    let mut options = Options::new(bitext, output);
    options.overwrite = *overwrite;
    options.languages.clone_from(&filter.languages);
    if !filter.directions.is_empty() {
        options.directions = Directions::List(filter.directions.clone());
    }
    options.form = match filter.normalization {
        Normalization::Nfc => Form::Nfc,
        Normalization::Nfkc => Form::Nfkc,
        Normalization::None => Form::None,
    };
    options.skip_invalid = filter.skip_invalid;
    options.deduplicate = !filter.keep_duplicates;
    options.language_filter = filter.language_filter.then(LanguageFilter::default);
    (options.limits.max_subwords, options.limits.max_character_ratio) = (filter.max_subwords, filter.max_length_ratio);
    options.limits.drop_identical = !filter.keep_identical;
    options.subwords.import.clone_from(&subwords.subword_model);
    options.subwords.kind = match subwords.subword_kind {
        SubwordKind::Unigram => Kind::Unigram,
        SubwordKind::Bpe => Kind::Bpe,
    };
    options.subwords.vocab_size = subwords.vocab_size;
    options.subwords.temperature = subwords.subword_temperature;
    options.subwords.sample_sentences = subwords.subword_sentences;
    options.subwords.character_coverage = subwords.character_coverage;
    options
}

/// Prepares a corpus with progress, warnings and a summary on the terminal.
pub fn prepare_shown(options: &Options, terminal: &Terminal) -> strata_corpus::Result<Report> {
    let report = prepare_watched(options, terminal)?;
    terminal.say(&labeled("preparing", &report.summary()));
    Ok(report)
}

/// [`prepare_shown`] without the summary, with which the report begins.
fn prepare_watched(options: &Options, terminal: &Terminal) -> strata_corpus::Result<Report> {
    let report = prepare(options, &mut |event| match event {
        Event::Found { pairs, languages, bytes } => {
            let what = format!("{pairs} language pairs, {languages} languages, {}", short(bytes as f64, "B"));
            terminal.say(&labeled("preparing", &what));
        }
        Event::Cleaning { pair, pairs } => {
            terminal.progress(&labeled("cleaning", &format!("{pair}  {}", thousands(pairs))));
        }
        Event::TrainingSubwords { sentences, words, vocab_size } => {
            let of = format!("{} sentences, {} words", thousands(sentences), thousands(words as u64));
            let what = format!("learning {} subwords from {of}", thousands(vocab_size as u64));
            terminal.progress(&labeled("preparing", &what));
            terminal.detail(&labeled("preparing", &what));
        }
        Event::Encoding { split, pair, pairs, of } => {
            let what = format!("{} {pair}  {} of {}", split.name(), thousands(pairs), thousands(of));
            terminal.progress(&labeled("encoding", &what));
        }
        Event::Writing => terminal.progress(&labeled("writing", "")),
        _ => {}
    })?;
    terminal.progress("");
    let (learned, wanted) = (report.vocab_size, options.subwords.vocab_size);
    if options.subwords.import.is_none() && learned < wanted {
        let (learned, wanted) = (thousands(learned as u64), thousands(wanted as u64));
        terminal.warn(&format!("the text yields only {learned} of {wanted} subwords"));
    }
    for (one, other) in report.same_languages() {
        terminal.warn(&format!(
            "{one} and {other} are codes of one language, but two languages in this corpus; give its files one of them"
        ));
    }
    let unmeasured = report.without_validation();
    if !unmeasured.is_empty() {
        let named = unmeasured.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = if unmeasured.len() > 5 { ", ..." } else { "" };
        terminal.warn(&format!(
            "no validation text for {named}{more}: training cannot tell when it stops getting better; add files such as \
             valid.SRC-TGT.SRC and valid.SRC-TGT.TGT"
        ));
    }
    for unused in &report.unused {
        terminal.detail(&labeled("not used", &unused.to_string()));
    }
    Ok(report)
}
