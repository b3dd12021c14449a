//! Lock files: what one process at a time may have. The lock is the kernel's, so a process that ends gives it back,
//! however it ends. On file systems without locks nothing keeps two processes apart.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, IoContext};

/// Locks the file `path`, which is made if it is missing; none if somebody has the lock, this process included. The
/// lock is given back when the file is closed. The file itself must stay: who removed it could remove one that another
/// process has just locked.
///
/// # Errors
/// A file that cannot be made or locked.
pub fn try_lock(path: &Path) -> Result<Option<File>, Error> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => without_locks(file, error, path).map(Some),
    }
}

/// [`try_lock`] that waits until the lock is free.
///
/// # Errors
/// As [`try_lock`].
pub fn wait_for_lock(path: &Path) -> Result<File, Error> {
    let file = open(path)?;
    match file.lock() {
        Ok(()) => Ok(file),
        Err(error) => without_locks(file, error, path),
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.io_context("write", path)
}

fn without_locks(file: File, error: std::io::Error, path: &Path) -> Result<File, Error> {
    match error.kind() {
        ErrorKind::Unsupported => Ok(file),
        _ => Err(Error::io("lock", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        std::fs::write(&path, "12\n").unwrap();
        let first = try_lock(&path).unwrap();
        assert!(first.is_some());
        assert!(try_lock(&path).unwrap().is_none(), "two have one lock");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12\n", "a note in the file stays");
        assert!(try_lock(&folder.path().join("b.lock")).unwrap().is_some(), "another file is another lock");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_for_lock(&path).map(drop));
            drop(first);
            waiting.join().unwrap().unwrap();
        });
        assert!(try_lock(&path).unwrap().is_some(), "it was let go");
    }

    #[test]
    fn a_file_system_without_locks_is_passed_over_and_other_errors_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let file = || open(&path).unwrap();
        assert!(without_locks(file(), ErrorKind::Unsupported.into(), &path).is_ok());
        let error = without_locks(file(), ErrorKind::Interrupted.into(), &path).unwrap_err().to_string();
        assert!(error.starts_with("cannot lock ") && error.contains("a.lock"), "{error}");
        let error = try_lock(&folder.path().join("none/a.lock")).unwrap_err().to_string();
        assert!(error.contains("there is no folder"), "{error}");
    }
}
