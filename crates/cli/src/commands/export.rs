//! `strata export`: a model in another form.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use strata_import::export_huggingface;
use strata_runtime::{Precision, write_ctranslate2, write_packed};
use strata_store::Check;

use crate::output_folder::OutputFolder;
use crate::search_args::precision;
use crate::terminal::{Terminal, labeled};
use crate::{Outcome, model};

/// Convert a model: pack it for fast loading, or write it for other programs
#[derive(Debug, Args)]
#[command(
    after_help = "A packed folder is memory-mapped instead of read: it loads at once, and processes share its memory."
)]
pub struct Arguments {
    /// Model folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    #[command(flatten)]
    output: OutputFolder,
    /// What to write: packed for Strata on CPUs, ctranslate2 for CTranslate2 (dense models only), huggingface for
    /// transformers (models of the architecture of M2M100, NLLB or NLLB-MoE; dense ones trained here, as Pegasus)
    #[arg(long, value_enum, default_value_t = Format::Packed)]
    format: Format,
    /// Numbers to pack weights in: f32, bf16 (half the size), or int8 (a quarter, with a scale for each output)
    /// [default: f32]
    #[arg(long, value_parser = precision(), value_name = "PRECISION")]
    precision: Option<Precision>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Packed,
    Ctranslate2,
    Huggingface,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    arguments.output.check()?;
    let folder = model::open(&arguments.model, Check::Contents)?;
    let written = match arguments.format {
        Format::Packed => {
            let precision = arguments.precision.unwrap_or(Precision::F32);
            write_packed(&folder, precision, &arguments.output.path, arguments.output.existing())?
        }
        Format::Ctranslate2 => {
            anyhow::ensure!(
                matches!(arguments.precision, None | Some(Precision::F32)),
                "--precision: a CTranslate2 folder holds f32; pass compute_type=\"int8\" or another where it is loaded"
            );
            let subwords = strata_corpus::Subwords::load(&folder.file(strata_store::model_folder::TOKENIZER_FILE))?;
            let vocabulary: Vec<String> = (0..subwords.vocab_size() as u32).map(|id| subwords.piece(id)).collect();
            write_ctranslate2(&folder, &vocabulary, &arguments.output.path, arguments.output.existing())?
        }
        Format::Huggingface => {
            anyhow::ensure!(
                matches!(arguments.precision, None | Some(Precision::F32)),
                "--precision: a folder for transformers holds f32; pass dtype=torch.bfloat16 or another where it is loaded"
            );
            export_huggingface(&folder, &arguments.output.path, arguments.output.existing())?
        }
    };
    terminal.say(&labeled("written", &written.display().to_string()));
    Ok(Outcome::Done)
}
