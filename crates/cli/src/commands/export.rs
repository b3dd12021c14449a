//! `strata export`: a model in another form.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_import::export_huggingface;
use strata_runtime::{Precision, write_ctranslate2, write_packed};
use strata_store::Check;
use strata_store::model_folder::TOKENIZER_FILE;
use strata_translate::{VOCABULARY_MAP_FILE, VocabularyMap};

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
    // Not needed for every format, but what is written must be a model that loads.
    Languages::load(&folder.file(LANGUAGES_FILE))?;
    let subwords = Subwords::load(&folder.file(TOKENIZER_FILE))?;
    anyhow::ensure!(
        arguments.vocabulary_map.is_none() || arguments.format == Format::Packed,
        "--vocabulary-map: only a packed folder holds one"
    );
    let written = match arguments.format {
        Format::Packed => {
            let precision = arguments.precision.unwrap_or(Precision::F32);
            let map =
                arguments.vocabulary_map.as_deref().map(|path| harmless(path, &subwords, terminal)).transpose()?;
            let map = map.map(|map| map.to_json());
            let extra: Vec<(&str, &[u8])> = map.iter().map(|map| (VOCABULARY_MAP_FILE, map.as_bytes())).collect();
            write_packed(&folder, precision, &arguments.output.path, arguments.output.existing(), &extra)?
        }
        Format::Ctranslate2 => {
            anyhow::ensure!(
                matches!(arguments.precision, None | Some(Precision::F32)),
                "--precision: a CTranslate2 folder holds f32; pass compute_type=\"int8\" or another where it is loaded"
            );
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

/// The map at `path` for the languages whose held-out text it covers; says which they are.
fn harmless(path: &Path, subwords: &Subwords, terminal: &Terminal) -> anyhow::Result<VocabularyMap> {
    let map = VocabularyMap::read(path)?;
    map.check(subwords)?;
    let size = map.vocab_size();
    for (language, mapped) in map.languages() {
        let uses = if mapped.is_harmless() { mapped.size() } else { size };
        terminal.say(&labeled(language, &format!("uses {uses} of {size} subwords; {}", covered(mapped))));
    }
    let map = map.harmless();
    anyhow::ensure!(
        map.languages().len() > 0,
        "{}: it covers the held-out text of no language to 99.9 %; make one from more text, or export without it",
        path.display()
    );
    Ok(map)
}
