//! The error of this crate, and the one way to say which path an I/O error is about.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::numbers::thousands;
use crate::temporary::parse_temporary;

/// Why a file or folder could not be written, read or trusted. Every message names the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An I/O error without a better name below.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What was tried, a verb: `read`, `write`, `rename`.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A full disk, a quota or a file size limit.
    #[error(
        "cannot write {}: no space left ({source}); what was there before is unchanged. Free some space (or raise the \
         quota or file size limit) and try again",
        path.display()
    )]
    NoSpace {
        /// The file that did not fit.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The user may not do this here.
    #[error(
        "not permitted to {action} {}: {source}. Check the owner and mode of that path and of its folder, or choose \
         another place",
        path.display()
    )]
    Permission {
        /// What was touched.
        path: PathBuf,
        /// What was tried, a verb.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that must be there is not.
    #[error("{} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file was to be written into a folder that is not there.
    #[error("cannot write {}: there is no folder {}", path.display(), folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// A text file has bytes that are not UTF-8.
    #[error("{}, line {line}: not valid UTF-8; convert it with `iconv -f ENCODING -t UTF-8`", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
    },
    /// A file is shorter than when it was written.
    #[error("{} is cut short ({} of {} bytes)", path.display(), thousands(*found), thousands(*expected))]
    CutShort {
        /// The file.
        path: PathBuf,
        /// Its length now, in bytes.
        found: u64,
        /// Its length when written, in bytes.
        expected: u64,
    },
    /// A file does not hold what was written to it.
    #[error("{} is damaged ({what})", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The destination is there already and must not be replaced.
    #[error("{} exists already; choose another path, or remove it first", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// A file name that cannot be used, such as one that leaves its folder.
    #[error("{0}")]
    BadName(String),
}

impl Error {
    /// Whether the error says that data on disk is missing or not what was written, rather than that the disk could
    /// not be used.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Missing { .. } | Error::CutShort { .. } | Error::Damaged { .. })
    }

    /// Names an I/O error by what it means to the user: [`Error::NoSpace`], [`Error::Permission`], [`Error::NoFolder`],
    /// [`Error::Missing`] or [`Error::Io`]. `action` is a verb such as `write`. For a result, use [`IoContext`].
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Error {
        use io::ErrorKind as K;
        let path = final_path(path.as_ref());
        match source.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Error::NoSpace { path, source },
            K::PermissionDenied | K::ReadOnlyFilesystem => Error::Permission { path, action, source },
            K::NotFound if action == "write" && path.parent().is_some_and(is_missing) => {
                let folder = path.parent().unwrap_or(&path).to_path_buf();
                Error::NoFolder { path, folder }
            }
            K::NotFound => Error::Missing { path },
            _ => Error::Io { path, action, source },
        }
    }
}

fn is_missing(folder: &Path) -> bool {
    !folder.as_os_str().is_empty() && !folder.exists()
}

/// The path that the user knows: without the temporary name of a folder that is being written.
fn final_path(path: &Path) -> PathBuf {
    let shown = |part: &OsStr| {
        let name = part.to_str().and_then(parse_temporary);
        name.map_or_else(|| part.to_owned(), |(name, _)| OsString::from(name))
    };
    path.iter().map(shown).collect()
}

/// Adds to an I/O error what was tried and on which path.
pub trait IoContext<T> {
    /// `fs::read(path).io_context("read", path)?`; see [`Error::io`].
    ///
    /// # Errors
    /// The I/O error, named by what it means.
    fn io_context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn io_context(self, action: &'static str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|source| Error::io(action, path, source))
    }
}

/// An error and its causes on one line, without causes that the line already names.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_being_written_goes_by_its_final_name() {
        let error = Error::io("write", "./.p.tmp-71-0/work/a", io::Error::from_raw_os_error(28));
        assert!(error.to_string().contains("p/work/a") && !error.to_string().contains("tmp-"), "{error}");
        let own = Error::io("write", "notes.tmp-x/a", io::Error::from_raw_os_error(28));
        assert!(own.to_string().contains("notes.tmp-x/a"), "{own}");
    }

    #[test]
    fn full_disk_and_missing_permission_have_their_own_names() {
        let at = Path::new("runs/m/x");
        let full = Error::io("write", at, io::Error::from_raw_os_error(28)); // ENOSPC
        assert!(matches!(full, Error::NoSpace { .. }) && full.to_string().contains("runs/m/x"), "{full}");
        let quota = Error::io("write", at, io::Error::from_raw_os_error(122)); // EDQUOT on Linux
        assert!(matches!(quota, Error::NoSpace { .. }) || !cfg!(target_os = "linux"), "{quota}");
        let read_only = Error::io("write", at, io::Error::from_raw_os_error(30)); // EROFS
        assert!(matches!(read_only, Error::Permission { .. }), "{read_only}");
    }
}
