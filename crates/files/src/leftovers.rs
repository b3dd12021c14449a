//! What writers leave behind when they are killed, and how to clear it away.
//!
//! A writer works on `.NAME.tmp-PID-N` beside `NAME`, and holds a kernel lock on it as long as it lives, so that
//! cleaning can tell a dead writer's remains from a live writer's work. The next writer of `NAME` clears them away.
//! Where two folders cannot be exchanged in one step, the earlier one is moved to `.NAME.old-PID-N` first; if the
//! process dies then, cleaning puts it back.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext};
use crate::file::{exists, parent_and_name, sync_dir};
use crate::scratch;
use crate::temporary::{parse_temporary, temporary};

/// Removes what writers that died left in `parent`, and puts back a folder that was moved aside and not yet replaced.
/// The work of a living writer is left alone. Returns the paths removed or put back; a missing `parent` is no error.
///
/// # Errors
/// The I/O error of the first path that could not be listed, removed or put back.
pub fn clean_leftovers(parent: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    clean(parent.as_ref(), None)
}

/// As [`clean_leftovers`], but only what writers of `target` left: for parents that others use as well.
///
/// # Errors
/// As [`clean_leftovers`], or [`Error::BadName`] for a target without a last part.
pub fn clean_leftovers_of(target: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let (parent, name) = parent_and_name(target.as_ref())?;
    clean(&parent, Some(&name))
}

fn clean(parent: &Path, only: Option<&str>) -> Result<Vec<PathBuf>, Error> {
    let found = match fs::read_dir(parent) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.io_context("list", parent)?,
    };
    let mut cleaned = Vec::new();
    for entry in found {
        let path = entry.io_context("list", parent)?.path();
        let Some((name, kind)) = path.file_name().and_then(|n| n.to_str()).and_then(parse_temporary) else { continue };
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let is_link = path.is_symlink();
        let lock = if is_link { None } else { File::open(&path).ok() };
        if lock.as_ref().is_some_and(|f| matches!(f.try_lock(), Err(TryLockError::WouldBlock))) {
            continue; // its writer lives
        }
        let original = parent.join(name);
        if kind == "old" && !exists(&original) {
            fs::rename(&path, &original).io_context("put back", &original)?;
            cleaned.push(original);
            continue;
        }
        let removed = if path.is_dir() && !is_link { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path, e)),
            _ => cleaned.push(path),
        }
    }
    if !cleaned.is_empty() {
        sync_dir(parent)?;
    }
    Ok(cleaned)
}

/// Makes a temporary file or folder beside `name` and locks it for the life of the returned handle; whoever puts it in
/// place or removes it calls [`scratch::forget`]. What earlier writers of `name` left is cleared away first.
pub(crate) fn claim(
    parent: &Path,
    name: &str,
    make: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<(PathBuf, File)> {
    let _ = clean(parent, Some(name)); // what cannot be removed, such as another user's, only takes room
    loop {
        let path = parent.join(temporary(name, "tmp"));
        let file = match scratch::make(&path, &make) {
            Ok(file) => file,
            Err(e) => {
                scratch::forget(&path);
                if e.kind() == io::ErrorKind::AlreadyExists {
                    continue;
                }
                return Err(e);
            }
        };
        match file.try_lock() {
            // A cleaner came between making and locking: it holds the lock, or has removed the path already.
            Err(TryLockError::WouldBlock) => scratch::forget(&path),
            Ok(()) if !exists(&path) => scratch::forget(&path),
            // A file system without locks: cleaning is then safe only under the caller's own lock.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok((path, file)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::file::write_file;
    use crate::folder::{Existing, FolderWriter};

    /// The names in a folder, sorted.
    pub(crate) fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn the_next_writer_of_a_name_clears_away_what_dead_ones_left() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".m.tmp-99999999-3/sub")).unwrap();
        fs::write(dir.path().join(".note.tmp-99999999-4"), b"x").unwrap();
        fs::create_dir_all(dir.path().join(".other.tmp-99999999-5")).unwrap();
        let first = FolderWriter::new(dir.path().join("m")).unwrap();
        let second = FolderWriter::new(dir.path().join("m")).unwrap();
        write_file(dir.path().join("note"), b"new").unwrap();
        assert!(first.path().exists() && second.path().exists(), "both writers live");
        drop((first, second));
        assert_eq!(names(dir.path()), [".other.tmp-99999999-5", "note"]);
    }

    #[test]
    fn a_folder_moved_aside_by_a_dead_writer_is_back_before_the_next_one_may_refuse_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".m.old-99999999-3")).unwrap();
        let writer = FolderWriter::new(dir.path().join("m")).unwrap();
        assert!(matches!(writer.commit(Existing::Refuse).unwrap_err(), Error::Exists { .. }));
        assert_eq!(names(dir.path()), ["m"]);
    }

    #[test]
    fn cleaning_spares_living_writers_and_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let living = FolderWriter::new(dir.path().join("living")).unwrap();
        fs::create_dir_all(dir.path().join(".dead.tmp-99999999-3/sub")).unwrap();
        fs::write(dir.path().join(".dead.tmp-99999999-4"), b"x").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join(".best.tmp-99999999-5")).unwrap();
        fs::write(dir.path().join(".notes.tmp-x"), b"mine").unwrap();
        fs::write(dir.path().join("a.tmp-1-2"), b"mine").unwrap();
        assert_eq!(clean_leftovers_of(dir.path().join("other")).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(clean_leftovers(dir.path()).unwrap().len(), 3);
        let left = names(dir.path());
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(living.path().exists());
        drop(living);
        assert_eq!(names(dir.path()), [".notes.tmp-x", "a.tmp-1-2"]);
        assert_eq!(clean_leftovers(dir.path().join("not there")).unwrap(), Vec::<PathBuf>::new());
    }
}
