//! A run folder as the training process sees it: locked, and written to.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process;

use strata_files::{
    Error as FilesError, Existing, FolderWriter, IoContext, clean_leftovers, clean_leftovers_of, create_dirs,
    remove_folder, sync_dir, try_lock, write_file, write_link,
};

use crate::average::Averaging;
use crate::checkpoint::{
    BEST_LINK, CHECKPOINTS_DIR, CheckpointParts, LAST_LINK, RECIPE_FILE, RunFolder, foreign_entry, step_name,
};
use crate::error::Error;

const LOCK_FILE: &str = ".lock";

/// A run folder that this process holds the lock of; it reads as a [`RunFolder`]. The lock is given back when the value
/// is dropped or the process ends, however it ends. On file systems without locks nothing keeps two processes apart.
#[derive(Debug)]
pub struct Run {
    folder: RunFolder,
    /// Held for its lock; the kernel gives that back when the file is closed.
    _lock: File,
    /// Steps that this process saved or checked, and therefore knows to be intact.
    intact: BTreeSet<u64>,
}

impl Deref for Run {
    type Target = RunFolder;

    fn deref(&self) -> &RunFolder {
        &self.folder
    }
}

impl Run {
    /// Starts a run in a new folder, an empty one, or one whose run has no checkpoint yet; its `recipe.toml` gets the
    /// given text.
    ///
    /// # Errors
    /// [`Error::Occupied`] for a folder that holds anything else, [`Error::RunExists`] for a run with checkpoints,
    /// [`Error::Locked`] for one that another process holds, else the I/O error.
    pub fn create(path: impl AsRef<Path>, recipe: &str) -> Result<Run, Error> {
        let path = path.as_ref();
        create_dirs(path)?;
        // A run's folder of checkpoints is made first, so a recipe.toml without one is not ours.
        let (recipe_there, checkpoints_there) = (path.join(RECIPE_FILE).exists(), path.join(CHECKPOINTS_DIR).is_dir());
        if !(recipe_there && checkpoints_there)
            && let Some(other) = foreign_entry(path)?
        {
            let lacking = if recipe_there { CHECKPOINTS_DIR } else { RECIPE_FILE };
            let what = format!("{other:?}, but no {lacking}");
            return Err(Error::Occupied { path: path.to_path_buf(), what });
        }
        let lock = lock(path)?;
        let folder = RunFolder { path: path.to_path_buf() };
        if let Some(newest) = folder.steps()?.pop() {
            return Err(Error::RunExists { path: path.to_path_buf(), newest });
        }
        create_dirs(&path.join(CHECKPOINTS_DIR))?;
        write_file(path.join(RECIPE_FILE), recipe.as_bytes())?;
        Run::locked(folder, lock)
    }

    /// Opens a run to resume it: takes the lock, and clears away what a killed process left half-written.
    ///
    /// # Errors
    /// [`Error::NotARun`] or [`Error::ModelNotRun`] for another folder, [`Error::Locked`] for a run that another
    /// process holds, else the I/O error.
    pub fn open(path: impl AsRef<Path>) -> Result<Run, Error> {
        let folder = RunFolder::at(path)?;
        let lock = lock(folder.path())?;
        Run::locked(folder, lock)
    }

    /// Whether a process, such as a training, has the run at `path`. Nobody has one that is not there.
    ///
    /// # Errors
    /// A lock file that cannot be opened or locked.
    pub fn is_taken(path: impl AsRef<Path>) -> Result<bool, Error> {
        let path = path.as_ref().join(LOCK_FILE);
        Ok(path.exists() && try_lock(&path)?.is_none())
    }

    fn locked(folder: RunFolder, lock: File) -> Result<Run, Error> {
        clean_leftovers(folder.path())?;
        clean_leftovers(folder.path().join(CHECKPOINTS_DIR))?;
        // An earlier run of this name that was being removed. It only takes room, so a parent that we may not list is
        // no error.
        let _ = clean_leftovers_of(folder.path());
        Ok(Run { folder, _lock: lock, intact: BTreeSet::new() })
    }

    /// Writes the checkpoint of `step`, replacing an earlier one of the same step, and points `last` to it. When this
    /// returns, the checkpoint is on the disk. If it fails or the process dies, all earlier checkpoints are as before.
    /// Returns the checkpoint's folder.
    ///
    /// # Errors
    /// [`Error::BadTensor`] for weights or moments that are not as announced, else the I/O error.
    pub fn save_checkpoint(&mut self, step: u64, parts: &CheckpointParts<'_>) -> Result<PathBuf, Error> {
        let mut folder = FolderWriter::new(self.checkpoint_path(step))?;
        parts.write_into(&mut folder)?;
        let path = folder.commit(Existing::Replace)?;
        self.intact.insert(step);
        self.link(LAST_LINK, step)?;
        Ok(path)
    }

    /// Points `best` to the checkpoint of `step`.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] for a step without one, else the I/O error.
    pub fn set_best(&mut self, step: u64) -> Result<(), Error> {
        self.require(step)?;
        self.link(BEST_LINK, step)
    }

    /// Removes all but the newest `keep_last` checkpoints (at least one). The best one is kept too, those that
    /// `averaging` takes, and as many more as needed for one of the kept to be intact. Returns the steps removed.
    ///
    /// # Errors
    /// The I/O error.
    pub fn prune(&mut self, keep_last: usize, averaging: Averaging) -> Result<Vec<u64>, Error> {
        let steps = self.steps()?;
        let (best, averaged) = (self.best()?, averaging.of(&steps));
        let mut kept = 0;
        let mut safe = false;
        let mut removed = Vec::new();
        for &step in steps.iter().rev() {
            if kept < keep_last.max(1) || !safe {
                kept += 1;
                safe = safe || self.is_intact(step);
            } else if best != Some(step) && !averaged.contains(&step) {
                removed.push(step);
            }
        }
        removed.reverse();
        for &step in &removed {
            remove_folder(&self.checkpoint_path(step))?;
            self.intact.remove(&step);
        }
        Ok(removed)
    }

    /// Goes back to `step`: renames every newer checkpoint to `step-NNNNNN.set-aside`, so that the run resumes from
    /// `step` and nothing is lost. `last` follows; `best` is removed if it named one of them. Returns the new paths.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] for a step without one, else the I/O error.
    pub fn set_aside_after(&mut self, step: u64) -> Result<Vec<PathBuf>, Error> {
        self.require(step)?;
        let newer: Vec<u64> = self.steps()?.into_iter().filter(|&s| s > step).collect();
        if newer.is_empty() {
            return Ok(Vec::new());
        }
        self.link(LAST_LINK, step)?;
        if self.best()?.is_some_and(|best| best > step) {
            let best = self.path().join(BEST_LINK);
            fs::remove_file(&best).io_context("remove", &best)?;
        }
        let dir = self.path().join(CHECKPOINTS_DIR);
        let mut moved = Vec::new();
        for &step in newer.iter().rev() {
            let base = format!("{}.set-aside", step_name(step));
            let names = std::iter::once(base.clone()).chain((2u32..).map(|n| format!("{base}-{n}")));
            let aside = names.map(|name| dir.join(name)).find(|p| p.symlink_metadata().is_err());
            let aside = aside.ok_or_else(|| FilesError::Exists { path: dir.join(base) })?;
            let path = self.checkpoint_path(step);
            fs::rename(&path, &aside).io_context("rename", &path)?;
            self.intact.remove(&step);
            moved.push(aside);
        }
        sync_dir(&dir)?;
        sync_dir(self.path())?;
        Ok(moved)
    }

    fn is_intact(&mut self, step: u64) -> bool {
        self.intact.contains(&step) || (self.load(step).is_ok() && self.intact.insert(step))
    }

    fn require(&self, step: u64) -> Result<(), Error> {
        if self.checkpoint_path(step).is_dir() {
            return Ok(());
        }
        Err(Error::NoCheckpoint { run: self.path().to_path_buf(), step, have: self.steps()? })
    }

    fn link(&self, name: &str, step: u64) -> Result<(), Error> {
        let target = Path::new(CHECKPOINTS_DIR).join(step_name(step));
        Ok(write_link(&self.path().join(name), &target)?)
    }
}

/// Takes the lock of a run folder.
fn lock(run: &Path) -> Result<File, Error> {
    let path = run.join(LOCK_FILE);
    let Some(mut file) = try_lock(&path)? else {
        let pid = fs::read_to_string(&path).ok().and_then(|note| note.trim().parse().ok());
        return Err(Error::Locked { path: run.to_path_buf(), pid });
    };
    // Only tells a second process whom to look for; the lock itself is the kernel's.
    let note = format!("{}\n", process::id());
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
    Ok(file)
}

#[cfg(test)]
mod tests;
