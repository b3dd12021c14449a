//! `strata vocabulary`: which subwords translations into each language may have.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strata_store::Check;
use strata_translate::VocabularyMap;

use crate::Outcome;
use crate::model::open;
use crate::output::{print, print_json};
use crate::terminal::Terminal;

/// List the subwords that translations into each language may use, for faster translation
#[derive(Debug, Args)]
#[command(
    after_help = "With such a map, translation computes the probabilities of these subwords only, which is faster. \
                  Bytes (or single characters, where a model has no bytes) are always among them, so that any word can \
                  still be written."
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
}

/// `de=news.de` as language and file.
fn text(argument: &str) -> Result<(String, PathBuf), String> {
    let (language, file) = argument
        .split_once('=')
        .filter(|(language, file)| !language.is_empty() && !file.is_empty())
        .ok_or("expected LANG=FILE, such as de=news.de")?;
    Ok((language.to_owned(), PathBuf::from(file)))
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
    let languages: Vec<Size> = map.sizes().map(|(language, subwords)| Size { language, subwords }).collect();
    if arguments.json {
        print_json(&Sizes { vocabulary, languages })?;
    } else {
        for Size { language, subwords } in &languages {
            let share = 100.0 * *subwords as f64 / vocabulary as f64;
            print(&format!("{language:<8} {subwords:>7} of {vocabulary} subwords ({share:.0} %)\n"))?;
        }
    }
    terminal.say(&format!("written to {}", arguments.output.display()));
    Ok(Outcome::Done)
}
