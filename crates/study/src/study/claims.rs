//! Which process has which run. Any number of `strata study` processes, on one machine or on several with a common
//! file system, work on one study: each takes the next run that nobody has.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use strata_files::IoContext;

use crate::error::Error;

/// A run, or a study's common files, that this process has; others get it when the value is dropped or the process
/// ends, however it ends. On file systems without locks nothing keeps two processes apart.
pub(crate) struct Claim {
    /// Held for its lock. The file itself stays: who removed it could remove one that another process has just locked.
    _lock: File,
}

/// Claims what the lock file `path` stands for; none if another process, or another device of this one, has it.
///
/// # Errors
/// A file that cannot be made or locked.
pub(crate) fn claim(path: &Path) -> Result<Option<Claim>, Error> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Claim { _lock: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => without_locks(file, error, path).map(Some),
    }
}

/// Claims it as soon as it is free.
///
/// # Errors
/// As [`claim`].
pub(crate) fn wait_for(path: &Path) -> Result<Claim, Error> {
    let file = open(path)?;
    match file.lock() {
        Ok(()) => Ok(Claim { _lock: file }),
        Err(error) => without_locks(file, error, path),
    }
}

fn open(path: &Path) -> Result<File, Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).io_context("make the folder", folder)?;
    }
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    Ok(file.io_context("write", path)?)
}

fn without_locks(file: File, error: std::io::Error, path: &Path) -> Result<Claim, Error> {
    match error.kind() {
        ErrorKind::Unsupported => Ok(Claim { _lock: file }),
        _ => Err(strata_files::Error::io("lock", path, error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_lets_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("results/a.lock");
        let first = claim(&path).expect("a lock");
        assert!(first.is_some());
        assert!(claim(&path).expect("an answer").is_none(), "two have one run");
        assert!(claim(&folder.path().join("results/b.lock")).expect("a lock").is_some(), "another run is another lock");
        drop(first);
        assert!(claim(&path).expect("a lock").is_some(), "it was let go");
    }
}
