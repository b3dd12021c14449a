//! Turns models of other programs into model folders of this one: self-contained, text in, text out; and some back
//! again.
//!
//! [`import`] recognizes what lies at a path, works out what is to be written (`plan`), and writes it tensor by tensor:
//! memory is that of the largest tensor. Ids are put into this program's order by moving rows of the tables; nothing
//! else of a model changes. [`export_huggingface`] goes the other way.
//!
//! | module | knows |
//! |---|---|
//! | `huggingface` | M2M100, NLLB-200, NLLB-MoE and Marian (OPUS-MT) of Hugging Face |
//! | `marian` | Firefox and Bergamot folders, and `.npz` |
//! | `ctranslate2` | CTranslate2 folders and unpacked Argos packages |
//! | `vocabulary` | the order of ids |
//! | `weights` | what each weight is made of |

#![forbid(unsafe_code)]

mod ctranslate2;
mod error;
mod huggingface;
mod marian;
mod options;
mod plan;
mod vocabulary;
mod weights;

use std::path::Path;

pub use error::Error;
pub use huggingface::export_huggingface;
pub use plan::Summary;
use strata_files::checksums::SUMS_FILE;
use strata_files::names::LANGUAGES_FILE;
use strata_store::Existing;

/// What the files of a model do not always say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The language that a bilingual model translates from.
    pub from: Option<String>,
    /// The language that it translates into.
    pub to: Option<String>,
}

/// Imports the model at `source` as the model folder `destination`, which appears whole or not at all.
///
/// # Errors
/// A path that holds no model of a known kind, an architecture or option that is not supported, files that are missing,
/// damaged or do not belong together; the I/O error.
pub fn import(source: &Path, destination: &Path, options: &Options, existing: Existing) -> Result<Summary, Error> {
    plan(source, options)?.write(source, destination, existing)
}

/// Recognizes what lies at a path.
fn plan(source: &Path, options: &Options) -> Result<plan::Plan, Error> {
    let not = |what: &str| Error::NotAModel { path: source.to_path_buf(), what: what.to_owned() };
    match () {
        () if !source.exists() => Err(not("it does not exist")),
        () if source.join(SUMS_FILE).exists() && source.join(LANGUAGES_FILE).exists() => {
            Err(not("it is a model of Strata already, which needs no import"))
        }
        () if source.extension().is_some_and(|ending| ending == "argosmodel") => {
            ctranslate2::plan_package(source, options)
        }
        () if huggingface::is_at(source) => huggingface::plan(source, options),
        () => match ctranslate2::find(source) {
            Some(folder) => ctranslate2::plan(&folder, source, options),
            None => plan_marian(source, options),
        },
    }
}

/// Marian's file at a path.
fn plan_marian(source: &Path, options: &Options) -> Result<plan::Plan, Error> {
    match marian::find(source) {
        Some(path) => marian::plan(&path, options),
        None => {
            let what = "none of the files that it would have are there".to_owned();
            Err(Error::NotAModel { path: source.to_path_buf(), what })
        }
    }
}
