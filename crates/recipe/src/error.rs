//! What can be wrong with a recipe or a configuration.

use thiserror::Error;

/// A value of a model configuration that cannot be, or that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The key at fault, e.g. `heads`.
    pub key: &'static str,
    /// The value, why it cannot be, and what to do.
    pub message: String,
}

/// Everything this crate can fail with.
#[derive(Debug, Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A `config.json` that is not one.
    #[error("{origin} is not a model configuration: {source}")]
    Json {
        /// The file.
        origin: String,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A `config.json` of a later version of this program.
    #[error("{origin} has format version {found}, this program reads 1 to {known}; a newer strata is needed")]
    FormatVersion {
        /// The file.
        origin: String,
        /// Its version.
        found: u32,
        /// The latest known version.
        known: u32,
    },
    /// A configuration with an impossible value.
    #[error("{origin}: {source}")]
    Config {
        /// The file.
        origin: String,
        /// The key and the fault.
        source: ConfigError,
    },
}
