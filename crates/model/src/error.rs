//! What can go wrong with a model.

use strata_recipe::ConfigError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device that this build or this machine lacks.
    #[error("{0}")]
    Device(String),
    /// An invalid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of a model folder that cannot be read, or whose tensors do not fit the configuration.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// A sentence that does not fit the model, or a file with a tensor that the model lacks.
    #[error("{0}")]
    Input(String),
}
