//! `strata import`: a model of another program as a model folder.

use std::path::PathBuf;

use clap::Args;
use strata_corpus::codes;
use strata_files::thousands;
use strata_import::{Options, Summary, import};
use strata_store::Existing;

use crate::output::print_json;
use crate::terminal::{Terminal, labeled};
use crate::{Outcome, output_folder};

/// Turn a model of another program into a model folder
#[derive(Debug, Args)]
#[command(
    after_help = "Reads folders of Hugging Face (M2M100, NLLB-200, NLLB-MoE, Marian / OPUS-MT) with safetensors or \
                  PyTorch files, those of Firefox, Bergamot and Marian, CTranslate2 folders and .argosmodel packages. \
                  Nothing in them is run, and memory is that of the largest tensor. The new folder needs nothing of \
                  the old one."
)]
pub struct Arguments {
    /// Model folder or file of the other program
    source: PathBuf,
    /// Folder to write
    #[arg(value_name = "DIR")]
    output: PathBuf,
    /// Language of the text that a bilingual model translates, where its files do not say it
    #[arg(long, value_name = "LANG")]
    from: Option<String>,
    /// Language that a bilingual model translates into, where its files do not say it
    #[arg(long, value_name = "LANG")]
    to: Option<String>,
    /// Replace an existing folder
    #[arg(long)]
    overwrite: bool,
    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    output_folder::check(&arguments.output, arguments.overwrite)?;
    let existing = if arguments.overwrite { Existing::Replace } else { Existing::Refuse };
    let options = Options { from: arguments.from.clone(), to: arguments.to.clone() };
    let summary = import(&arguments.source, &arguments.output, &options, existing)?;
    if arguments.json {
        print_json(&summary)?;
    } else {
        show(&summary, terminal);
    }
    Ok(Outcome::Done)
}

fn show(summary: &Summary, terminal: &Terminal) {
    let Summary { model, origin, name, parameters, layers, d_model, vocab_size, languages, directions } = summary;
    let shape = format!(
        "{name}, {} parameters: {} + {} layers, width {d_model}, {} subwords",
        thousands(*parameters),
        layers[0],
        layers[1],
        thousands(*vocab_size as u64)
    );
    let ways = if *directions == 1 { "direction" } else { "directions" };
    for (label, value) in [
        ("model", origin.clone()),
        ("shape", shape),
        ("languages", format!("{}; {} {ways}", codes::listed(languages), thousands(*directions as u64))),
        ("written", model.display().to_string()),
    ] {
        terminal.say(&labeled(label, &value));
    }
}
