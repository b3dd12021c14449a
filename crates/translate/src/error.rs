//! The errors of translation and evaluation.

use std::path::PathBuf;

/// What can go wrong with a model, its input or its scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A language that the model was not trained to translate into or from.
    #[error("this model does not translate {way} `{language}`; it knows: {known}{hint}")]
    Language {
        /// `into` or `from`.
        way: &'static str,
        /// The language asked for.
        language: String,
        /// The languages that it knows.
        known: String,
        /// ` (did you mean ...?)`, or nothing.
        hint: String,
    },
    /// A language into itself, which the model has not learned.
    #[error("from `{from}` into `{to}`: name two languages")]
    OneLanguage {
        /// The language asked for.
        from: String,
        /// The same, perhaps by another code.
        to: String,
    },
    /// A model that reads the source's language from a tag, and was not told it.
    #[error("this model must be told the language of the text to translate; it knows: {known}")]
    NoSource {
        /// The languages that it knows.
        known: String,
    },
    /// A direction that the corpus does not have.
    #[error("the corpus has no direction `{direction}`; it has: {known}")]
    Direction {
        /// The direction asked for.
        direction: String,
        /// The corpus's directions.
        known: String,
    },
    /// The corpus has no text to score against.
    #[error("{}: the split `{split}` has no sentences in the directions asked for", path.display())]
    NoText {
        /// The prepared folder.
        path: PathBuf,
        /// The split.
        split: String,
    },
    /// A folder that is not a prepared folder, or files of one direction that do not belong together.
    #[error("{}: {what}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// The model folder's fault.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// The model's on another device, or the device's.
    #[cfg(feature = "burn")]
    #[error(transparent)]
    Model(#[from] strata_model::Error),
    /// An option's value.
    #[error(transparent)]
    Config(#[from] strata_recipe::ConfigError),
    /// The CPU engine's.
    #[error(transparent)]
    Runtime(#[from] strata_runtime::Error),
    /// What this model, device or folder cannot do, and what to do instead.
    #[error("{0}")]
    Unsupported(String),
    /// The subword model's, or the corpus's.
    #[error(transparent)]
    Corpus(#[from] strata_corpus::Error),
    /// The metric's.
    #[error(transparent)]
    Metric(#[from] strata_metrics::MetricError),
}
