//! One file, link or folder, replaced or removed in a single step: whatever moment the process dies or the power fails,
//! the path holds either what it held before or all of what it was given.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, IoContext};
use crate::leftovers::claim;
use crate::scratch::{forget, make, put_in_place};
use crate::temporary::temporary;

/// Writes `bytes` to `path`: beside it first, then synced, then renamed. Missing parent folders are made.
///
/// # Errors
/// [`Error::BadName`] for a path without a last part, else the I/O error; the earlier content is then unchanged.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let (parent, name) = parent_and_name(path)?;
    create_dirs(&parent)?;
    let (temp, file) = claim(&parent, &name, |at| File::create_new(at)).io_context("write", path)?;
    let written = (&file).write_all(bytes).and_then(|()| file.sync_all());
    let written = written.and_then(|()| put_in_place(|| fs::rename(&temp, path)));
    if written.is_err() {
        let _ = fs::remove_file(&temp); // the first error is the one to report
    }
    forget(&temp);
    written.io_context("write", path)?;
    sync_dir(&parent)
}

/// Writes a value with [`write_file`], as indented JSON.
///
/// # Errors
/// As [`write_file`], or [`Error::Io`] for a value that has no JSON form.
pub fn write_json(path: impl AsRef<Path>, value: &impl Serialize) -> Result<(), Error> {
    write_file(&path, &to_json(path.as_ref(), value)?)
}

/// A value as the indented JSON of a file, with a newline at the end.
pub(crate) fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::io("write", path, e.into()))?;
    text.push(b'\n');
    Ok(text)
}

/// Makes `path` a symbolic link to `target`, replacing an earlier link.
///
/// # Errors
/// As [`write_file`].
pub fn write_link(path: &Path, target: &Path) -> Result<(), Error> {
    let (parent, name) = parent_and_name(path)?;
    let temp = loop {
        let temp = parent.join(temporary(&name, "tmp"));
        match make(&temp, |temp| std::os::unix::fs::symlink(target, temp)) {
            Ok(()) => break temp,
            Err(e) => {
                forget(&temp);
                if e.kind() != io::ErrorKind::AlreadyExists {
                    return Err(Error::io("link", path, e));
                }
            }
        }
    };
    let placed = put_in_place(|| fs::rename(&temp, path));
    if placed.is_err() {
        let _ = fs::remove_file(&temp);
    }
    forget(&temp);
    placed.io_context("link", path)?;
    sync_dir(&parent)
}

/// Moves a file or folder and syncs the folder that it is then in.
///
/// # Errors
/// The I/O error, which names the new path.
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let (parent, _) = parent_and_name(to)?;
    put_in_place(|| fs::rename(from, to)).io_context("write", to)?;
    sync_dir(&parent)
}

/// Removes a folder; a kill halfway never leaves a half-removed folder under its name, and the next writer of that name
/// removes the rest.
///
/// # Errors
/// The I/O error. The folder may be gone from its place by then.
pub fn remove_folder(path: &Path) -> Result<(), Error> {
    let (parent, name) = parent_and_name(path)?;
    let lock = File::open(path).io_context("remove", path)?;
    let _ = lock.try_lock(); // so that no cleaner removes it at the same time
    let doomed = parent.join(temporary(&name, "tmp"));
    let removed = make(&doomed, |doomed| fs::rename(path, doomed))
        .io_context("remove", path)
        .and_then(|()| sync_dir(&parent))
        .and_then(|()| fs::remove_dir_all(&doomed).io_context("remove", path));
    forget(&doomed);
    removed
}

/// Makes a folder and its missing parents, each synced into its own parent.
///
/// # Errors
/// The I/O error, or [`Error::BadName`] for a path without a last part.
pub fn create_dirs(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let (parent, _) = parent_and_name(path)?;
    create_dirs(&parent)?;
    match fs::create_dir(path) {
        Err(e) if !(e.kind() == io::ErrorKind::AlreadyExists && path.is_dir()) => {
            Err(Error::io("make the folder", path, e))
        }
        _ => sync_dir(&parent),
    }
}

/// Syncs a folder's entries to the disk. Some file systems, such as network ones, cannot do that: there it does
/// nothing.
///
/// # Errors
/// The I/O error.
pub fn sync_dir(path: &Path) -> Result<(), Error> {
    match File::open(path).and_then(|dir| dir.sync_all()) {
        Err(e) if !matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Err(Error::io("sync", path, e))
        }
        _ => Ok(()),
    }
}

/// Whether something has that name, a dangling link included.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The folder that holds `path`, and its name there.
pub(crate) fn parent_and_name(path: &Path) -> Result<(PathBuf, String), Error> {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
        return Err(Error::BadName(format!("{} has no usable last part; name a file or folder", path.display())));
    };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent.to_path_buf(), name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leftovers::tests::names;

    #[test]
    fn a_file_is_replaced_whole_and_parents_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/best");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"twenty").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"twenty");
        write_json(&path, &["x"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"[\n  \"x\"\n]\n");
        assert_eq!(names(&dir.path().join("a/b")), ["best"]);
        assert!(matches!(write_file("a/..", b"").unwrap_err(), Error::BadName(_)));
    }

    #[test]
    fn a_link_is_replaced_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("best");
        for target in ["one", "two"] {
            write_link(&link, Path::new(target)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        }
        assert_eq!(names(dir.path()), ["best"]);
    }

    #[test]
    fn a_removed_folder_is_gone_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("m/sub")).unwrap();
        remove_folder(&dir.path().join("m")).unwrap();
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }
}
