//! What can go wrong in training.

use std::path::PathBuf;

use strata_store::step_name;

use crate::scorer::ScoreError;
use crate::trainer::RESUMABLE;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A thread pool of `train.threads` threads cannot be started.
    #[error("train.threads = {threads}: {source}")]
    Threads {
        /// The threads asked for.
        threads: usize,
        /// The reason.
        source: rayon::ThreadPoolBuildError,
    },
    /// A device that cannot train in bfloat16.
    #[error("train.precision = \"bf16\": device `{device}` does not compute with bfloat16; use \"f32\"")]
    NoBf16 {
        /// The device.
        device: String,
    },
    /// A `train.expert_parallel` that these ranks or this model cannot have.
    #[error(
        "train.expert_parallel = {over}: {wrong}; choose a number that divides the ranks, up to the experts of a block"
    )]
    ExpertParallel {
        /// The ranks asked for.
        over: usize,
        /// Why they cannot be had.
        wrong: String,
    },
    /// A new run's folder holds the model that it is to start from.
    #[error("{} lies in {}, the folder of the new run; choose another folder for the run", model.display(), output.display())]
    InitInOutput {
        /// The model.
        model: PathBuf,
        /// The folder of the run.
        output: PathBuf,
    },
    /// Text that was not prepared with the subwords of the model that training starts from.
    #[error(
        "{} was prepared with other subwords than those of {}: {difference}; prepare the text with the model's",
        prepared.display(),
        model.display()
    )]
    OtherSubwords {
        /// The prepared folder.
        prepared: PathBuf,
        /// The model.
        model: PathBuf,
        /// What differs.
        difference: String,
    },
    /// A figure of a training benchmark that is too small.
    #[error("{name} = {value} is too small; choose {least} or more")]
    TooSmall {
        /// The figure, such as `steps`.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The smallest value that works.
        least: usize,
    },
    /// `data.prepared` is not a prepared folder.
    #[error("{0}; data.prepared must name a folder that `strata prepare` wrote")]
    Prepared(#[source] strata_files::Error),
    /// A corpus that is not the one that a run has learned from.
    #[error(
        "{} is not the corpus that {} has learned from: {difference}; name that one in data.prepared",
        prepared.display(),
        checkpoint.display()
    )]
    OtherCorpus {
        /// The prepared folder.
        prepared: PathBuf,
        /// The checkpoint that the run was to go on from.
        checkpoint: PathBuf,
        /// What differs.
        difference: &'static str,
    },
    /// A key that a run cannot be resumed with.
    #[error(
        "{key}: a run keeps its recipe; only {} can be set when it is resumed. Start another run",
        RESUMABLE.join(", ")
    )]
    NotResumable {
        /// The key.
        key: String,
    },
    /// A run that is to end before the update that it has reached.
    #[error(
        "train.updates = {updates}: {} is at update {made} already; set more, or resume from an earlier checkpoint",
        run.display()
    )]
    EndsEarlier {
        /// The run's folder.
        run: PathBuf,
        /// The updates asked for.
        updates: u64,
        /// The updates made.
        made: u64,
    },
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
    Score(ScoreError),
    /// A log or another file cannot be read or written.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// A checkpoint or run folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] strata_store::Error),
    /// The ranks cannot reach each other or do not agree.
    #[error(transparent)]
    Ranks(#[from] strata_ranks::Error),
    /// A rank told the others what they do not understand.
    #[error("what another rank says cannot be understood: {0}; start the same program on all hosts")]
    Told(#[source] serde_json::Error),
    /// The state of a checkpoint does not have what training needs.
    #[error("{}: {source}; resume from another checkpoint", path.display())]
    State {
        /// The checkpoint's state file.
        path: PathBuf,
        /// The key at fault and what is wrong with it.
        source: serde_json::Error,
    },
    /// The loss or the gradient became NaN or infinite.
    #[error(
        "update {update}: the {what} is not finite{batch}. Lower train.learning_rate, lengthen train.warmup or set \
         train.clip_norm{}",
        remains(kept.as_ref())
    )]
    NotFinite {
        /// The update that would have been made, or after which validation was due.
        update: u64,
        /// `loss`, `gradient` or `validation loss`.
        what: &'static str,
        /// Where the batch lies and what is in it; empty for a validation.
        batch: String,
        /// The checkpoints to resume from, if any was saved.
        kept: Option<Kept>,
    },
}

/// The checkpoints of a run that diverged.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The run's folder.
    pub run: PathBuf,
    /// The step of the newest checkpoint.
    pub newest: u64,
}

fn remains(kept: Option<&Kept>) -> String {
    match kept {
        Some(Kept { run, newest }) => {
            let run = run.display();
            format!(
                " in {run}/recipe.toml and resume the run. The checkpoints are kept; the newest is {}",
                step_name(*newest)
            )
        }
        None => ", and start anew: no checkpoint had been saved".to_string(),
    }
}
