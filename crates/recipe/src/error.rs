//! Errors of recipes and configurations.

use thiserror::Error;

/// An impossible value in a model configuration or in search options, or one that contradicts another.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The key at fault, e.g. `heads`.
    pub key: &'static str,
    /// The value, why it is impossible, and what to do.
    pub message: String,
}

/// The errors of this crate.
#[derive(Debug, Error)]
pub enum Error {
    /// A file could not be read. This crate writes and maps nothing, so it does without `strata-files` and its errors.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is not there.
    #[error("{path} is missing")]
    Missing {
        /// The file.
        path: String,
    },
    /// A `config.json` that is not a model configuration.
    #[error("{origin} is not a model configuration: {source}")]
    Json {
        /// The file.
        origin: String,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A `config.json` from a later version of this program.
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
    /// A recipe that is not TOML, has an unknown key, or an impossible value.
    #[error("{place}: {message}")]
    Recipe {
        /// File and line.
        place: String,
        /// The key, the value, and what is expected.
        message: String,
    },
    /// Values that cannot be, in a recipe with variants that change them, of which none was chosen.
    #[error("{place}: {message}; choose one of its variants: {}", variants.join(", "))]
    NoVariant {
        /// File and line.
        place: String,
        /// The key, the value, and what is expected.
        message: String,
        /// The variants that change the key.
        variants: Vec<String>,
    },
    /// A recipe that is not UTF-8.
    #[error("{path}, line {line}: not valid UTF-8; convert it with `iconv -f ENCODING -t UTF-8`")]
    NotUtf8 {
        /// The file.
        path: String,
        /// Line number, from 1.
        line: usize,
    },
    /// An override with an unknown key or an impossible value.
    #[error("{message}")]
    Override {
        /// `train.updates=x`, or the key alone where its value contradicts another key's.
        setting: String,
        /// The key, the value, and what is expected.
        message: String,
    },
    /// A variant that the recipe does not have.
    #[error("{}", unknown_variant(origin, name, nearest.as_deref(), known))]
    UnknownVariant {
        /// The file.
        origin: String,
        /// The requested name.
        name: String,
        /// The nearest existing name.
        nearest: Option<String>,
        /// All existing names.
        known: Vec<String>,
    },
}

impl Error {
    /// [`Error::Missing`] or [`Error::Io`].
    pub(crate) fn unreadable(path: String, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { path, source },
        }
    }
}

fn unknown_variant(origin: &str, name: &str, nearest: Option<&str>, known: &[String]) -> String {
    if known.is_empty() {
        return format!("{origin} has no variant `{name}`, nor any other");
    }
    let suggestion = nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    format!("{origin} has no variant `{name}`{suggestion} (variants: {})", known.join(", "))
}
