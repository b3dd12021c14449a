//! A temporary folder beside the one that it is to become.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext};
use crate::file::{create_dirs, parent_and_name};
use crate::leftovers::claim;
use crate::scratch::forget;

/// The folder `.NAME.tmp-PID-N` beside `NAME`. Dropped, it is removed, unless it was renamed by then. If the process is
/// killed first, the next writer of `NAME` removes it.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    /// Held for its lock, which tells cleaners that the writer lives.
    _lock: File,
}

impl Staging {
    /// Makes the temporary folder for `target`, and missing parents; clears away what dead writers of `target` left.
    ///
    /// # Errors
    /// [`Error::BadName`] for a path without a last part, else the I/O error.
    pub fn new(target: &Path) -> Result<Staging, Error> {
        let (parent, name) = parent_and_name(target)?;
        create_dirs(&parent)?;
        let (path, lock) = claim(&parent, &name, |at| fs::create_dir(at).and_then(|()| File::open(at)))
            .io_context("make the folder", target)?;
        Ok(Staging { path, _lock: lock })
    }

    /// The temporary folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path); // gone if it was renamed; the next writer removes what is left
        forget(&self.path);
    }
}
