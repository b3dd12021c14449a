//! `strata export`: a model in another form.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use strata_import::export_huggingface;
use strata_runtime::Precision;
use strata_store::Check;
use strata_translate::{VocabularyMap, export_ctranslate2, export_packed};

use crate::commands::vocabulary::covered;
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
    /// Pack a map that `strata vocabulary` wrote: translations into the languages whose held-out text it covers to
    /// 99.9 % then use it, unless --whole-vocabulary is given
    #[arg(long, value_name = "FILE")]
    vocabulary_map: Option<PathBuf>,
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
    anyhow::ensure!(
        arguments.vocabulary_map.is_none() || arguments.format == Format::Packed,
        "--vocabulary-map: only a packed folder holds one"
    );
    let in_f32 = matches!(arguments.precision, None | Some(Precision::F32));
    let (output, existing) = (&arguments.output.path, arguments.output.existing());
    let written = match arguments.format {
        Format::Packed => {
            let map = arguments.vocabulary_map.as_deref();
            map.map(|path| say_who_uses(path, terminal)).transpose()?;
            export_packed(&folder, arguments.precision.unwrap_or(Precision::F32), map, output, existing)?
        }
        Format::Ctranslate2 => {
            anyhow::ensure!(
                in_f32,
                "--precision: a CTranslate2 folder holds f32; pass compute_type=\"int8\" or another where it is loaded"
            );
            export_ctranslate2(&folder, output, existing)?
        }
        Format::Huggingface => {
            anyhow::ensure!(
                in_f32,
                "--precision: a folder for transformers holds f32; pass dtype=torch.bfloat16 or another where it is loaded"
            );
            export_huggingface(&folder, output, existing)?
        }
    };
    terminal.say(&labeled("written", &written.display().to_string()));
    Ok(Outcome::Done)
}

/// Says which languages will use the vocabulary map at `path`.
fn say_who_uses(path: &Path, terminal: &Terminal) -> anyhow::Result<()> {
    let map = VocabularyMap::read(path)?;
    let size = map.vocab_size();
    for (language, mapped) in map.languages() {
        let uses = if mapped.is_harmless() { mapped.size() } else { size };
        terminal.say(&labeled(language, &format!("uses {uses} of {size} subwords; {}", covered(mapped))));
    }
    Ok(())
}
