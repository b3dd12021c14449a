//! The errors of analyses, studies and pruning.

use std::path::{Path, PathBuf};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something that was asked for and cannot be, and what to do instead.
    #[error("{0}")]
    Invalid(String),
    /// A file of ours or of the user that is not as it must be.
    #[error("{place}: {what}")]
    File {
        /// The file, with the line where it is known.
        place: String,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// The operating system refused to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The translation's or the evaluation's.
    #[error(transparent)]
    Translate(#[from] strata_translate::Error),
    /// The CPU engine's.
    #[error(transparent)]
    Runtime(#[from] strata_runtime::Error),
    /// The model folder's or the run's.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// The corpus's or the subword model's.
    #[error(transparent)]
    Corpus(#[from] strata_corpus::Error),
    /// The recipe's.
    #[error(transparent)]
    Recipe(#[from] strata_recipe::Error),
    /// A configuration that no model can have.
    #[error(transparent)]
    Config(#[from] strata_recipe::ConfigError),
    /// The metric's.
    #[error(transparent)]
    Metric(#[from] strata_metrics::MetricError),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Error::Io { action, path: path.to_path_buf(), source }
    }
}
