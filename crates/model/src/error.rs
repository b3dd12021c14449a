//! What can go wrong with a model.

use strata_recipe::ConfigError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device that this build or machine does not have.
    #[error("{0}")]
    Device(String),
    /// A configuration that no model can have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of a model folder that cannot be read, or whose tensors do not fit the configuration.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// A sentence the model cannot take.
    #[error("{0}")]
    Input(String),
}
