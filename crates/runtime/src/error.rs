//! What can go wrong in the engine.

use strata_recipe::ConfigError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration that no model can have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of a model folder that cannot be read, or whose tensors do not fit the configuration.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// A request that the model cannot take: what is wrong, and what to change.
    #[error("{0}")]
    Request(String),
    /// Weights that do not belong to the model of the configuration.
    #[error("{0}")]
    Weights(String),
}
