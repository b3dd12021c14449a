//! Which process has which run. Any number of `strata study` processes, on one machine or on several with a common
//! file system, work on one study: each takes the next run that nobody has.

use std::fs::File;
use std::path::Path;

use strata_files::{IoContext, try_lock, wait_for_lock};

use crate::error::Error;

/// A run, or a study's common files, that this process has; others get it when the value is dropped or the process
/// ends, however it ends. On file systems without locks nothing keeps two processes apart.
pub(crate) struct Claim {
    /// Held for its lock.
    _lock: File,
}

/// Claims what the lock file `path` stands for; none if another process, or another device of this one, has it.
///
/// # Errors
/// A file that cannot be made or locked.
pub(crate) fn claim(path: &Path) -> Result<Option<Claim>, Error> {
    make_folder(path)?;
    Ok(try_lock(path)?.map(|lock| Claim { _lock: lock }))
}

/// Claims it as soon as it is free.
///
/// # Errors
/// As [`claim`].
pub(crate) fn wait_for(path: &Path) -> Result<Claim, Error> {
    make_folder(path)?;
    Ok(Claim { _lock: wait_for_lock(path)? })
}

/// Makes the folder of a lock file.
fn make_folder(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(folder) => Ok(std::fs::create_dir_all(folder).io_context("make the folder", folder)?),
        None => Ok(()),
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
