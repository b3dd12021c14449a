//! The error of this crate: every message names the path and what to do about it.

use std::path::{Path, PathBuf};

use crate::checkpoint::step_name;

/// Why a model, a checkpoint or a run could not be written, read or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The newest checkpoint of a run cannot be trusted.
    #[error("{damage}; {}", remains(*intact))]
    NewestDamaged {
        /// What is wrong with the newest checkpoint.
        damage: Box<Error>,
        /// The newest step before it that is intact.
        intact: Option<u64>,
    },
    /// A new run was asked for in a folder that holds something else.
    #[error("{} already holds {what}; choose a new folder", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// A new run was asked for in the folder of a run that has checkpoints.
    #[error(
        "{} already holds a run with checkpoints up to {}; resume it, replace it, or choose a new folder",
        path.display(),
        step_name(*newest)
    )]
    RunExists {
        /// The run folder.
        path: PathBuf,
        /// The step of its newest checkpoint.
        newest: u64,
    },
    /// Another process is training in the folder.
    #[error("{} is in use by another process{}; wait for it or stop it first", path.display(), holder(pid))]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The process id that the holder wrote down, if any.
        pid: Option<u32>,
    },
    /// The path is not a run folder.
    #[error("{} is not a run folder ({what})", path.display())]
    NotARun {
        /// The path.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// A checkpoint or another model, where a run was asked for: training would begin a new run inside of it.
    #[error("{} is {what}, not the folder of a run; {}", path.display(), instead(run.as_deref(), *step))]
    ModelNotRun {
        /// The path.
        path: PathBuf,
        /// `a checkpoint` or `a model`.
        what: &'static str,
        /// The run that it lies in, if it lies in one.
        run: Option<PathBuf>,
        /// Its step, if it is one of that run's checkpoints.
        step: Option<u64>,
    },
    /// A folder in which no run has begun: empty, or left behind by a run that was killed before it had written its
    /// recipe.
    #[error("{} holds no run yet: it has no recipe.toml", path.display())]
    NoRunYet {
        /// The folder.
        path: PathBuf,
    },
    /// The path is neither a model, nor a checkpoint, nor a run.
    #[error("{} is not a model: {what}", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What is missing, and what was expected.
        what: String,
    },
    /// A run has no checkpoint of this step.
    #[error("{} has no checkpoint {}; it has {}", run.display(), step_name(*step), listed(have))]
    NoCheckpoint {
        /// The run folder.
        run: PathBuf,
        /// The step asked for.
        step: u64,
        /// The steps it has, ascending.
        have: Vec<u64>,
    },
    /// A text that names no step.
    #[error("`{text}` names no step; write it as `step-3500` or `3500`")]
    BadStep {
        /// What was given.
        text: String,
    },
    /// A file lacks a tensor.
    #[error("{} has no tensor `{name}`; the file belongs to another model", path.display())]
    NoTensor {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor asked for.
        name: String,
    },
    /// A tensor is not of the shape or element type asked for.
    #[error("{}: tensor `{name}` is {found}, expected {expected}", path.display())]
    TensorMismatch {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type and shape, such as `F32 [8, 4]`.
        found: String,
        /// The element type and shape asked for.
        expected: String,
    },
    /// A tensor has NaN or infinity among its numbers: every translation of such a model is worthless.
    #[error(
        "{}: tensor `{name}` has {value} at index {index}; such a model cannot translate, so use an earlier checkpoint \
         or another copy of the model",
        path.display()
    )]
    NotFinite {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Place of the first such number, counted row by row from 0.
        index: usize,
        /// `NaN`, `inf` or `-inf`.
        value: f32,
    },
    /// A tensor to be written is inconsistent.
    #[error("cannot write tensor `{name}` to {}: {what}", path.display())]
    BadTensor {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A `config.json` that this program cannot use.
    #[error(transparent)]
    Config(#[from] strata_recipe::Error),
    /// A file or folder that could not be written, read or trusted.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// Something that cannot be done, such as averaging zero checkpoints.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// Whether the error says that data on disk is missing or not what was written, rather than that the disk could
    /// not be used.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Files(error) => error.is_damage(),
            _ => matches!(self, Error::NotAModel { .. }),
        }
    }
}

fn remains(intact: Option<u64>) -> String {
    match intact {
        Some(step) => format!("resuming would start from {}", step_name(step)),
        None => "no other checkpoint is intact, so training must start anew in another folder".to_string(),
    }
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}

fn instead(run: Option<&Path>, step: Option<u64>) -> String {
    match (run, step) {
        (Some(run), Some(step)) => format!("resume the run {} from {}", run.display(), step_name(step)),
        (Some(run), None) => format!("resume the run {}", run.display()),
        (None, _) => "start a new run from its weights".to_string(),
    }
}

fn listed(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".to_string();
    }
    steps.iter().map(|&s| step_name(s)).collect::<Vec<_>>().join(", ")
}
