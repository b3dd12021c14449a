//! The error of this crate.

use std::path::{Path, PathBuf};

/// Why a model could not be imported. Nothing is written then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model cannot be read.
    #[error(transparent)]
    Formats(#[from] strata_formats::Error),
    /// The files of the new model cannot be written.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// The subword model or the languages are not understood.
    #[error(transparent)]
    Corpus(#[from] strata_corpus::Error),
    /// The shape of the model is not one that Strata has.
    #[error("{}: {source}", path.display())]
    Config {
        /// The source.
        path: PathBuf,
        /// What is wrong.
        source: strata_recipe::ConfigError,
    },
    /// A path that holds no model of a known kind.
    #[error("{} is no model that can be imported: {what}. {KNOWN}", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// An architecture or option that Strata does not compute.
    #[error("{}: {option} = {value} is not supported; supported: {supported}", path.display())]
    Option {
        /// The file.
        path: PathBuf,
        /// The option's name there.
        option: String,
        /// Its value.
        value: String,
        /// What it may be.
        supported: String,
    },
    /// Files that do not belong together.
    #[error("{}: {what}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// A bilingual model whose files do not say its languages.
    #[error("{}: its files do not say what language it translates {what}", path.display())]
    NoLanguage {
        /// The model.
        path: PathBuf,
        /// `from` or `into`.
        what: &'static str,
    },
    /// A model that another program has no place for.
    #[error("{}: {what}", path.display())]
    NotExported {
        /// The model folder.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A weight that is not a number.
    #[error("{}: tensor `{name}` has values that are no finite numbers; the file is damaged or its training failed",
        path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
}

const KNOWN: &str = "Known are folders of Hugging Face (M2M100, NLLB, NLLB-MoE, Marian), of Firefox and Bergamot, of \
                     Marian (.npz), of CTranslate2, and .argosmodel files";

impl Error {
    pub(crate) fn mismatch(path: &Path, what: impl Into<String>) -> Error {
        Error::Mismatch { path: path.to_path_buf(), what: what.into() }
    }
}

impl From<strata_files::Error> for Error {
    fn from(error: strata_files::Error) -> Self {
        Error::Formats(error.into())
    }
}
