//! Run folders as their readers see them.
//!
//! ```text
//! RUN/recipe.toml                       what is trained, as given
//! RUN/log.jsonl, RUN/tensorboard/       curves
//! RUN/averaged/                         a model folder, where the recipe asks for one
//! RUN/checkpoints/step-000500/          a model folder, and optimizer.safetensors, state.json
//! RUN/best -> checkpoints/step-000500   links, replaced in one step
//! RUN/last -> checkpoints/step-001000
//! RUN/.lock                             held by the process that trains here
//! ```
//!
//! `last` is a convenience for people: the newest checkpoint is the one with the highest step, so a process killed
//! between saving and linking loses nothing. Reading needs no lock; [`Run`](crate::Run) writes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use strata_files::{Error as FilesError, FolderWriter, IoContext};

use crate::error::Error;
use crate::model_folder::{CONFIG_FILE, ModelFolder, ModelParts, WEIGHTS_FILE};
use crate::tensors::{TensorFile, TensorSource, write_tensors};

/// The recipe of a run.
pub const RECIPE_FILE: &str = "recipe.toml";
/// The folder of a run's checkpoints.
pub const CHECKPOINTS_DIR: &str = "checkpoints";
/// The optimizer's moments in a checkpoint.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// The trainer's own state in a checkpoint.
pub const STATE_FILE: &str = "state.json";
/// The log of a run, a JSON object a line.
pub const LOG_FILE: &str = "log.jsonl";
/// The folder of a run's curves for TensorBoard.
pub const TENSORBOARD_DIR: &str = "tensorboard";
/// The model folder of a run's averaged weights.
pub const AVERAGED_DIR: &str = "averaged";
/// The link to the best checkpoint.
pub const BEST_LINK: &str = "best";
/// The link to the newest checkpoint.
pub const LAST_LINK: &str = "last";

/// What a checkpoint is made of.
#[derive(Clone, Copy)]
pub struct CheckpointParts<'a> {
    /// The model folder's parts.
    pub model: ModelParts<'a>,
    /// The optimizer's moments, such as `first.NAME` and `second.NAME` for each parameter, and further tensors that it
    /// goes on from, such as a running mean `mean.NAME`.
    pub optimizer: &'a dyn TensorSource,
    /// Update, data position, seeds, best so far: whatever the trainer needs to resume.
    pub state: &'a Value,
}

impl CheckpointParts<'_> {
    pub(crate) fn write_into(&self, folder: &mut FolderWriter) -> Result<(), Error> {
        self.model.write_into(folder)?;
        write_tensors(folder, OPTIMIZER_FILE, self.optimizer)?;
        Ok(folder.write_json(STATE_FILE, self.state)?)
    }
}

/// A checkpoint whose every file matched its checksum when it was opened.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    step: u64,
    model: ModelFolder,
    state: Value,
}

impl Checkpoint {
    fn open(path: &Path, step: u64) -> Result<Checkpoint, Error> {
        let model = ModelFolder::open(path)?;
        for name in [OPTIMIZER_FILE, STATE_FILE] {
            if !model.file(name).exists() {
                return Err(FilesError::Missing { path: model.file(name) }.into());
            }
            model.checksums().listed(path, name)?;
        }
        let state = model.json(STATE_FILE)?;
        Ok(Checkpoint { step, model, state })
    }

    /// The update after which it was saved.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.model.path()
    }

    /// Its model folder: config, weights, subword model, languages.
    pub fn model(&self) -> &ModelFolder {
        &self.model
    }

    /// What the trainer stored as its state.
    pub fn state(&self) -> &Value {
        &self.state
    }

    /// The optimizer's moments, mapped.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn optimizer(&self) -> Result<TensorFile, Error> {
        TensorFile::open(self.model.file(OPTIMIZER_FILE))
    }
}

/// A run folder, for reading.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub(crate) path: PathBuf,
}

impl RunFolder {
    /// The run folder at `path`.
    ///
    /// # Errors
    /// [`Error::NotARun`] where there is none, [`Error::NoRunYet`] where there is nothing else either,
    /// [`Error::ModelNotRun`] for a checkpoint or another model, which may hold the recipe of its run.
    pub fn at(path: impl AsRef<Path>) -> Result<RunFolder, Error> {
        let path = path.as_ref().to_path_buf();
        let not_a_run = |what| Err(Error::NotARun { path: path.clone(), what });
        if !path.exists() {
            return not_a_run("it does not exist");
        }
        if !path.is_dir() {
            return not_a_run("it is a file");
        }
        if let Some(what) = model_at(&path) {
            let (run, step) = run_around(&path);
            return Err(Error::ModelNotRun { path, what, run, step });
        }
        if path.join(RECIPE_FILE).is_file() {
            return Ok(RunFolder { path });
        }
        let is_unused = foreign_entry(&path)?.is_none() && RunFolder { path: path.clone() }.steps()?.is_empty();
        if is_unused { Err(Error::NoRunYet { path }) } else { not_a_run("it has no recipe.toml") }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe's text.
    ///
    /// # Errors
    /// The I/O error.
    pub fn recipe(&self) -> Result<String, Error> {
        let path = self.path.join(RECIPE_FILE);
        Ok(fs::read_to_string(&path).io_context("read", &path)?)
    }

    /// Where the checkpoint of a step is, whether it exists or not.
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.path.join(CHECKPOINTS_DIR).join(step_name(step))
    }

    /// The steps that have a checkpoint folder, damaged or not, ascending.
    ///
    /// # Errors
    /// The I/O error.
    pub fn steps(&self) -> Result<Vec<u64>, Error> {
        let dir = self.path.join(CHECKPOINTS_DIR);
        let found = match fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            found => found.io_context("list", &dir)?,
        };
        let mut steps = Vec::new();
        for entry in found {
            let name = entry.io_context("list", &dir)?.file_name();
            steps.extend(name.to_str().and_then(step_of_folder));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Opens the checkpoint of a step after checking every byte of it.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] for a step without one, else what is wrong with it ([`Error::is_damage`]).
    pub fn load(&self, step: u64) -> Result<Checkpoint, Error> {
        let path = self.checkpoint_path(step);
        if !path.is_dir() {
            return Err(Error::NoCheckpoint { run: self.path.clone(), step, have: self.steps()? });
        }
        Checkpoint::open(&path, step)
    }

    /// The newest checkpoint, checked; `None` before the first.
    ///
    /// # Errors
    /// [`Error::NewestDamaged`] if it is damaged. The error names the newest intact one, which the caller may then
    /// [`RunFolder::load`]: going back silently would lose updates unnoticed.
    pub fn latest_good(&self) -> Result<Option<Checkpoint>, Error> {
        let steps = self.steps()?;
        let Some((&newest, older)) = steps.split_last() else { return Ok(None) };
        match self.load(newest) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(damage) if damage.is_damage() => {
                let intact = older.iter().rev().copied().find(|&step| self.load(step).is_ok());
                Err(Error::NewestDamaged { damage: Box::new(damage), intact })
            }
            Err(other) => Err(other),
        }
    }

    /// The step that `best` names, if it was set.
    ///
    /// # Errors
    /// [`strata_files::Error::Damaged`] if it is not a link to a checkpoint.
    pub fn best(&self) -> Result<Option<u64>, Error> {
        self.linked(BEST_LINK)
    }

    /// The step that `last` names, if any was saved.
    ///
    /// # Errors
    /// As [`RunFolder::best`].
    pub fn last(&self) -> Result<Option<u64>, Error> {
        self.linked(LAST_LINK)
    }

    fn linked(&self, link: &str) -> Result<Option<u64>, Error> {
        let path = self.path.join(link);
        let target = match fs::read_link(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            target => target,
        };
        let step = target.ok().and_then(|t| step_of_folder(t.file_name()?.to_str()?));
        let what = || "it must be a link to a folder of checkpoints/".to_string();
        Ok(Some(step.ok_or_else(|| FilesError::Damaged { path, what: what() })?))
    }
}

/// What kind of model lies in a folder, whole or not; none in the folder of a run.
fn model_at(path: &Path) -> Option<&'static str> {
    let has = |names: [&str; 2]| names.iter().any(|name| path.join(name).is_file());
    if has([STATE_FILE, OPTIMIZER_FILE]) {
        return Some("a checkpoint");
    }
    has([CONFIG_FILE, WEIGHTS_FILE]).then_some("a model")
}

/// The run that a model lies in, also by a link such as `last`, and its step if it is one of the run's checkpoints.
fn run_around(model: &Path) -> (Option<PathBuf>, Option<u64>) {
    let real = model.canonicalize().unwrap_or_else(|_| model.to_path_buf());
    let is_run = |folder: &&Path| {
        folder.join(RECIPE_FILE).is_file() && folder.join(CHECKPOINTS_DIR).is_dir() && model_at(folder).is_none()
    };
    let around = |path: &Path| path.ancestors().skip(1).take(2).find(is_run).map(Path::to_path_buf);
    // As the user wrote it, where that names the run.
    let Some(run) = around(model).or_else(|| around(&real)) else { return (None, None) };
    let step = real.file_name().and_then(|name| step_of_folder(name.to_str()?));
    let step = step.filter(|step| run.join(CHECKPOINTS_DIR).join(step_name(*step)).is_dir());
    let run = if run.as_os_str().is_empty() { PathBuf::from(".") } else { run };
    (Some(run), step)
}

/// The first entry of a folder that no run makes before it writes its recipe. It makes a folder of checkpoints; dot
/// files are ours too (the lock, a torn recipe), or the system's (.DS_Store).
pub(crate) fn foreign_entry(path: &Path) -> Result<Option<OsString>, Error> {
    let entries = fs::read_dir(path).io_context("list", path)?.flatten();
    let is_ours = |name: &OsString| {
        name.as_encoded_bytes().starts_with(b".") || (name == CHECKPOINTS_DIR && path.join(name).is_dir())
    };
    Ok(entries.map(|entry| entry.file_name()).find(|name| !is_ours(name)))
}

/// `step-000500`: zeros in front so that a listing is in order.
pub fn step_name(step: u64) -> String {
    format!("step-{step:06}")
}

/// The step that a person names: `step-003500`, `step-3500`, `3500`, or the path of a checkpoint folder.
///
/// # Errors
/// [`Error::BadStep`] for any other text.
pub fn parse_step(text: &str) -> Result<u64, Error> {
    let name = text.trim_end_matches('/').rsplit('/').next().unwrap_or(text);
    let digits = name.strip_prefix("step-").unwrap_or(name);
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let step = if all_digits { digits.parse().ok() } else { None };
    step.ok_or_else(|| Error::BadStep { text: text.to_string() })
}

/// The step of a folder name that [`step_name`] made.
fn step_of_folder(name: &str) -> Option<u64> {
    let step = parse_step(name).ok()?;
    (step_name(step) == name).then_some(step)
}

/// The model folder that a person means by `path`: a model or checkpoint folder itself; of a run folder its best
/// checkpoint, or the newest if none was called best.
///
/// # Errors
/// [`Error::NotAModel`], which says what is missing.
pub fn resolve_model(path: impl AsRef<Path>) -> Result<PathBuf, Error> {
    let path = path.as_ref();
    let no_model = |what: String| Err(Error::NotAModel { path: path.to_path_buf(), what });
    if !path.exists() {
        return no_model("it does not exist; name a run folder, a checkpoint or a model folder".to_string());
    }
    if !path.is_dir() {
        return no_model("it is a file; name the folder that holds it".to_string());
    }
    if path.join(CONFIG_FILE).exists() || path.join(WEIGHTS_FILE).exists() {
        return Ok(path.to_path_buf()); // `ModelFolder::open` names what it lacks
    }
    let Ok(run) = RunFolder::at(path) else {
        return no_model(format!(
            "a model folder has {CONFIG_FILE} and {WEIGHTS_FILE}, a run folder {RECIPE_FILE} and {CHECKPOINTS_DIR}; it \
             has neither"
        ));
    };
    let newest = run.steps()?.pop();
    match run.best()?.or(newest) {
        Some(step) if run.checkpoint_path(step).is_dir() => Ok(run.checkpoint_path(step)),
        Some(step) => no_model(format!("its `{BEST_LINK}` names {}, which is not there", step_name(step))),
        None => no_model("the run has no checkpoint yet; train on, or name another run".to_string()),
    }
}
