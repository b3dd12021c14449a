//! What can go wrong in the engine.

use std::path::PathBuf;

use strata_recipe::ConfigError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid configuration or search option.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that cannot be read or written, or that is damaged.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// A file of a model folder that cannot be read, or whose tensors do not fit the configuration.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// A request that the model cannot take: what is wrong, and what to change.
    #[error("{0}")]
    Request(String),
    /// Weights that do not belong to the model of the configuration.
    #[error("{0}")]
    Weights(String),
    /// A packed model folder that this program cannot use, or an export that it refuses to write.
    #[error("{}: {what}", path.display())]
    Packed {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Threads that the system cannot start.
    #[error("cannot start workers: {0}")]
    Threads(String),
    /// [`Stop`](crate::Stop) was asked to end the translation.
    #[error("the translation was stopped")]
    Stopped,
    /// A model that another program's format cannot hold.
    #[error("{0}")]
    Unsupported(String),
}
