//! `strata vocabulary`: which subwords translations into each language may have.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strata_store::Check;
use strata_translate::{MappedLanguage, VocabularyMap};

use crate::Outcome;
use crate::model::open;
use crate::output::{print, print_json};
use crate::terminal::Terminal;

/// List the subwords that translations into each language may use, for faster translation
#[derive(Debug, Args)]
#[command(
    after_help = "With such a map, translation computes the probabilities of these subwords only, which is faster. \
                  Bytes (or single characters, where a model has no bytes) are always among them, so that any word can \
                  still be written. Validation text (with --text: every tenth line) tells how much the map covers; \
                  `strata export --vocabulary-map` packs the languages where that is 99.9 % or more."
)]
pub struct Arguments {
    /// Prepared folder that the model was trained on; with --text, the model
    data: PathBuf,
    /// Plain text in a language that the model translates into, such as de=news.de.gz; several times for more
    #[arg(long, value_name = "LANG=FILE", value_parser = text)]
    text: Vec<(String, PathBuf)>,
    /// File for the map
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// Leave out subwords that occur less often in a language's side of the text
    #[arg(long, default_value_t = 1, value_name = "N")]
    min_count: u64,
    /// Print the sizes as JSON
    #[arg(long)]
    json: bool,
}

/// The sizes of a map.
#[derive(Serialize)]
struct Sizes<'a> {
    vocabulary: usize,
    languages: Vec<Size<'a>>,
}

#[derive(Serialize)]
struct Size<'a> {
    language: &'a str,
    subwords: usize,
    /// The share of the subwords of held-out text that are among them.
    covers: Option<f64>,
}

/// `de=news.de` as language and file.
fn text(argument: &str) -> Result<(String, PathBuf), String> {
    let (language, file) = argument
        .split_once('=')
        .filter(|(language, file)| !language.is_empty() && !file.is_empty())
        .ok_or("expected LANG=FILE, such as de=news.de")?;
    Ok((language.to_owned(), PathBuf::from(file)))
}

/// How much of held-out text a language's subwords cover.
pub fn covered(mapped: &MappedLanguage) -> String {
    match mapped.covers() {
        Some(covers) => format!("they cover {:.2} % of held-out text", 100.0 * covers),
        None => "no text was held out".to_owned(),
    }
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let map = if arguments.text.is_empty() {
        VocabularyMap::from_prepared(&arguments.data, arguments.min_count)?
    } else {
        let model = open(&arguments.data, Check::Once)?;
        VocabularyMap::from_text(model.path(), &arguments.text, arguments.min_count)?
    };
    map.write(&arguments.output)?;
    let vocabulary = map.vocab_size();
    if arguments.json {
        let size = |(language, mapped): (_, &MappedLanguage)| Size {
            language,
            subwords: mapped.size(),
            covers: mapped.covers(),
        };
        print_json(&Sizes { vocabulary, languages: map.languages().map(size).collect() })?;
    } else {
        for (language, mapped) in map.languages() {
            let (size, covered) = (mapped.size(), covered(mapped));
            let share = 100.0 * size as f64 / vocabulary as f64;
            print(&format!("{language:<8} {size:>7} of {vocabulary} subwords ({share:.0} %); {covered}\n"))?;
        }
    }
    terminal.say(&format!("written to {}", arguments.output.display()));
    Ok(Outcome::Done)
}
