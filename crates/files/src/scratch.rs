//! What this process is writing beside its places, so that a program that a signal ends can clear it away first.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static SCRATCH: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How long, for all paths together, to try again where other threads still write into a folder that is being removed.
const PATIENCE: Duration = Duration::from_secs(2);

fn scratch() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    SCRATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a temporary file, link or folder by `make`, known from then on until [`forget`].
pub(crate) fn make<T>(path: &Path, make: impl FnOnce(&Path) -> T) -> T {
    // Held, so that nothing is made that `clear_scratch` does not see.
    let mut scratch = scratch();
    scratch.insert(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
    make(path)
}

/// Runs `rename`, which puts a whole file or folder in its place, unless [`clear_scratch`] has begun to empty it.
pub(crate) fn put_in_place<T>(rename: impl FnOnce() -> T) -> T {
    let _held = scratch();
    rename()
}

/// What was at `path` has its place, or is gone.
pub(crate) fn forget(path: &Path) {
    scratch().remove(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
}

/// Removes the temporary files and folders that this process is writing: for programs that a signal ends, so that
/// nothing is dropped. From then on, whoever in this process begins to write beside a place, or puts something in
/// place, waits for the end of the process.
pub fn clear_scratch() {
    let scratch = scratch();
    let until = Instant::now() + PATIENCE;
    for path in scratch.iter() {
        // Another thread may put a file into a folder while it is being removed.
        while remove(path).is_err() && path.symlink_metadata().is_ok() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    std::mem::forget(scratch);
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}
