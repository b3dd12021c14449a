//! `strata score`: how probable a model finds given translations.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use strata_translate::{Placement, Token, Translator};

use crate::Outcome;
use crate::output::{print, print_json_line};
use crate::search_args::Place;
use crate::terminal::Terminal;
use crate::text_files::{lines, same_length};

/// Print how probable a model finds given translations
#[derive(Debug, Args)]
#[command(
    after_help = "Prints a line for each pair: the mean natural log-probability of its target subwords, the end mark \
                  included."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// Text, a sentence a line
    source: PathBuf,
    /// Its translation, line by line
    target: PathBuf,
    /// Language of the text, for models that read it from a tag
    #[arg(long, value_name = "LANG")]
    from: Option<String>,
    /// Language of the translation
    #[arg(long, value_name = "LANG")]
    to: String,
    #[command(flatten)]
    place: Place,
    /// Print a JSON object for each line, with each subword's score
    #[arg(long, help_heading = "Options")]
    json: bool,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Scored<'a> {
    line: usize,
    score: f32,
    sum: f32,
    tokens: &'a [Token],
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (sources, targets) = (lines(&arguments.source)?, lines(&arguments.target)?);
    same_length((&arguments.source, &sources), (&arguments.target, &targets))?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.place))?;
    let mut outcome = Outcome::Done;
    for (i, scored) in
        translator.score(&sources, &targets, arguments.from.as_deref(), &arguments.to)?.into_iter().enumerate()
    {
        match scored {
            Ok(forced) => {
                let score = forced.sum / forced.tokens.len().max(1) as f32;
                if arguments.json {
                    let scored = Scored { line: i + 1, score, sum: forced.sum, tokens: &forced.tokens };
                    print_json_line(&scored)?;
                } else {
                    print(&format!("{score:.4}\n"))?;
                }
            }
            Err(fault) => {
                terminal.warn(&format!(
                    "{}, line {}: {fault}; its score is an empty line",
                    arguments.source.display(),
                    i + 1
                ));
                print("\n")?;
                outcome = Outcome::SomeFailed;
            }
        }
    }
    Ok(outcome)
}
