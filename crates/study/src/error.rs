//! The errors of analyses, studies and pruning.

use std::path::PathBuf;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A request that cannot be met, and what to do instead.
    #[error("{0}")]
    Invalid(String),
    /// A file with wrong contents.
    #[error("{place}: {what}")]
    File {
        /// The file, with the line where it is known.
        place: String,
        /// What is wrong with it and what to do.
        what: String,
    },
    /// A model has routed no token of a split.
    #[error(
        "{}: the model can read none of the {pairs} pairs of the {split} split that were looked at: each has a side \
         that is empty or longer than its {max_length} subwords; take more sentences, another split or other directions",
        prepared.display()
    )]
    NothingRouted {
        /// The prepared folder.
        prepared: PathBuf,
        /// `valid` or `test`.
        split: String,
        /// Pairs that were looked at: of each direction asked for the first, as many as were asked for.
        pairs: usize,
        /// Subwords of the longest side that the model takes.
        max_length: usize,
    },
    /// A file that cannot be read or written.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// From translation or evaluation.
    #[error(transparent)]
    Translate(#[from] strata_translate::Error),
    /// From the CPU engine.
    #[error(transparent)]
    Runtime(#[from] strata_runtime::Error),
    /// From a model folder or a run.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// From the corpus or the subword model.
    #[error(transparent)]
    Corpus(#[from] strata_corpus::Error),
    /// From the recipe.
    #[error(transparent)]
    Recipe(#[from] strata_recipe::Error),
    /// An impossible model configuration.
    #[error(transparent)]
    Config(#[from] strata_recipe::ConfigError),
    /// From a metric.
    #[error(transparent)]
    Metric(#[from] strata_metrics::MetricError),
}
