//! What can go wrong in training.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A recipe that cannot be trained as it is.
    #[error("{0}")]
    Recipe(String),
    /// A recipe or configuration file that cannot be read.
    #[error(transparent)]
    RecipeFile(#[from] strata_recipe::Error),
    /// A configuration that no model can have.
    #[error(transparent)]
    Config(#[from] strata_recipe::ConfigError),
    /// The prepared data cannot be read.
    #[error(transparent)]
    Corpus(#[from] strata_corpus::Error),
    /// The model cannot be made or loaded.
    #[error(transparent)]
    Model(#[from] strata_model::Error),
    /// The validation sentences cannot be translated or scored.
    #[error(transparent)]
    Translate(#[from] strata_translate::Error),
    /// A log or another file cannot be read or written.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// A checkpoint or run folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// The state of a checkpoint does not have what training needs.
    #[error("{path}: {what}; resume from another checkpoint with --from")]
    State {
        /// The checkpoint's state file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The loss or the gradient became NaN or infinite.
    #[error(
        "update {update}: the {what} is not finite{batch}. Lower train.learning_rate, lengthen train.warmup or set \
         train.clip_norm{remedy}"
    )]
    NotFinite {
        /// The update that would have been made, or after which validation was due.
        update: u64,
        /// `loss`, `gradient` or `validation loss`.
        what: &'static str,
        /// Where the batch lies and what is in it; nothing for a validation.
        batch: String,
        /// Where to set those keys, what is kept, and how to go on.
        remedy: String,
    },
}
