//! `strata prepare`: raw bitext to a prepared folder.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use strata_corpus::language::LanguageFilter;
use strata_corpus::normalize::Form;
use strata_corpus::prepare::{Directions, Event, Options, prepare};
use strata_corpus::report::Report;
use strata_corpus::trainer::Kind;

use crate::terminal::{Terminal, labelled, short, thousands};
use crate::{Outcome, print, print_json};

#[derive(Debug, Args)]
#[command(
    after_help = "Input files are train.SRC-TGT.SRC beside train.SRC-TGT.TGT (valid.*, test.* likewise), also .gz, \
                        .zst, or train.SRC-TGT.tsv with two columns. Example:\n  \
                        strata prepare data/docs --output data/docs-prepared --vocab-size 16000"
)]
pub struct Arguments {
    /// Folder of the bitext
    input: PathBuf,
    /// Prepared folder to write
    #[arg(short, long)]
    output: PathBuf,
    /// Replace an earlier prepared folder there
    #[arg(long)]
    overwrite: bool,
    /// Only pairs of which both languages are among these, comma-separated, such as en,de,fr
    #[arg(long, value_delimiter = ',', value_name = "LANGS")]
    languages: Vec<String>,
    /// Only these directions, comma-separated, such as en-de,de-en [default: both of each pair]
    #[arg(long, value_delimiter = ',', value_name = "DIRECTIONS")]
    directions: Vec<String>,
    /// Subwords in all, shared by all languages; tags included
    #[arg(long, default_value_t = 16_000)]
    vocab_size: usize,
    /// Kind of subword model
    #[arg(long, value_enum, default_value_t = SubwordKind::Unigram)]
    subword_kind: SubwordKind,
    /// Take this tokenizer.json or SentencePiece .model instead of training one
    #[arg(long, value_name = "FILE")]
    subwords: Option<PathBuf>,
    /// The subword model learns from (size)^(1/T) sentences of each language
    #[arg(long, default_value_t = 5.0, value_name = "T")]
    temperature: f64,
    /// Sentences that the subword model learns from, at most
    #[arg(long, default_value_t = 500_000, value_name = "N")]
    sample: u64,
    /// Share of a language's text whose characters get a subword of their own
    #[arg(long, default_value_t = 1.0, value_name = "SHARE")]
    character_coverage: f64,
    /// Unicode normalisation
    #[arg(long, value_enum, default_value_t = Normalisation::Nfc)]
    normalisation: Normalisation,
    /// Longest side of a training pair, in subwords
    #[arg(long, default_value_t = strata_corpus::filter::Limits::default().max_subwords, value_name = "N")]
    max_subwords: usize,
    /// Most times that one side may be longer than the other, in characters
    #[arg(long, default_value_t = strata_corpus::filter::Limits::default().max_character_ratio, value_name = "X")]
    max_ratio: f64,
    /// Keep repeated pairs
    #[arg(long)]
    keep_duplicates: bool,
    /// Keep pairs whose sides are the same text
    #[arg(long)]
    keep_identical: bool,
    /// Drop training pairs with a side that is in another language
    #[arg(long)]
    language_filter: bool,
    /// Drop and count lines that are no valid pair (not UTF-8, wrong columns) instead of stopping
    #[arg(long)]
    skip_invalid: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SubwordKind {
    Unigram,
    Bpe,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Normalisation {
    Nfc,
    Nfkc,
    None,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let a = arguments;
    let mut options = Options::new(&a.input, &a.output);
    options.force = a.overwrite;
    options.languages.clone_from(&a.languages);
    if !a.directions.is_empty() {
        options.directions = Directions::List(a.directions.clone());
    }
    options.form = match a.normalisation {
        Normalisation::Nfc => Form::Nfc,
        Normalisation::Nfkc => Form::Nfkc,
        Normalisation::None => Form::None,
    };
    options.skip_invalid = a.skip_invalid;
    options.deduplicate = !a.keep_duplicates;
    options.language_filter = a.language_filter.then(LanguageFilter::default);
    (options.limits.max_subwords, options.limits.max_character_ratio) = (a.max_subwords, a.max_ratio);
    options.limits.drop_identical = !a.keep_identical;
    options.subwords.import.clone_from(&a.subwords);
    options.subwords.kind = match a.subword_kind {
        SubwordKind::Unigram => Kind::Unigram,
        SubwordKind::Bpe => Kind::Bpe,
    };
    options.subwords.vocab_size = a.vocab_size;
    (options.subwords.temperature, options.subwords.sample_sentences) = (a.temperature, a.sample);
    options.subwords.character_coverage = a.character_coverage;
    let report = prepare_shown(&options, terminal)?;
    if a.json {
        print_json(&report)?;
    } else {
        print(&report.to_string())?;
        terminal.say(&format!("written: {} (report.json there has all figures)", a.output.display()));
    }
    Ok(Outcome::Done)
}

/// Prepares a corpus, telling how far it is.
pub fn prepare_shown(options: &Options, terminal: &Terminal) -> anyhow::Result<Report> {
    let report = prepare(options, &mut |event| match event {
        Event::Found { pairs, languages, bytes } => {
            let what = format!("{pairs} language pairs, {languages} languages, {}", short(bytes as f64, "B"));
            terminal.say(&labelled("preparing", &what));
        }
        Event::Cleaning { pair, pairs } => {
            terminal.progress(&labelled("cleaning", &format!("{pair}  {}", thousands(pairs))));
        }
        Event::TrainingSubwords { sentences, words, vocab_size } => {
            let of = format!("{} sentences, {} words", thousands(sentences), thousands(words as u64));
            let what = format!("learning {} subwords from {of}", thousands(vocab_size as u64));
            terminal.progress(&labelled("preparing", &what));
            terminal.detail(&labelled("preparing", &what));
        }
        Event::Encoding { split, pair, pairs, of } => {
            let what = format!("{} {pair}  {} of {}", split.name(), thousands(pairs), thousands(of));
            terminal.progress(&labelled("encoding", &what));
        }
        Event::Writing => terminal.progress(&labelled("writing", "")),
        _ => {}
    })?;
    terminal.say(&labelled("preparing", &report.summary()));
    Ok(report)
}
