//! The one error of this crate: every message names the path and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::step_name;

/// Why something on disk could not be written, read or trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An input/output error without a better name below.
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
    /// A file is shorter than when it was written.
    #[error("{} is cut short ({} of {} bytes)", path.display(), grouped(*found), grouped(*expected))]
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
    /// The newest checkpoint of a run cannot be trusted.
    #[error("{damage}; {}", advice(*intact))]
    NewestDamaged {
        /// What is wrong with the newest checkpoint.
        damage: Box<Error>,
        /// The newest step before it that is intact.
        intact: Option<u64>,
    },
    /// The destination is there already and must not be replaced.
    #[error("{} exists already; choose another path, or remove it first", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// A new run was asked for in a folder that holds something else.
    #[error("{} already holds {what}; {advice}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        what: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// Another process trains in the folder.
    #[error("{} is in use by another process{}; wait for it or stop it first", path.display(), holder(pid))]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The process id that the holder wrote down, if any.
        pid: Option<u32>,
    },
    /// The path is no run folder.
    #[error("{} is not a run folder ({what})", path.display())]
    NotARun {
        /// The path.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// The path is neither a model, nor a checkpoint, nor a run.
    #[error("{} is not a model: {what}", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What is missing, and what was expected.
        what: String,
    },
    /// A run has no checkpoint of this step.
    #[error("{} has no checkpoint {}; it has {}", run.display(), step_name(*step), listed(have))]
    NoCheckpoint {
        /// The run folder.
        run: PathBuf,
        /// The step asked for.
        step: u64,
        /// The steps it has, ascending.
        have: Vec<u64>,
    },
    /// A step name that is none.
    #[error("`{text}` names no step; write it as `step-3500` or `3500`")]
    BadStep {
        /// What was given.
        text: String,
    },
    /// A file lacks a tensor.
    #[error("{} has no tensor `{name}`; the file belongs to another model or an older layout", path.display())]
    NoTensor {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor asked for.
        name: String,
    },
    /// A tensor is not of the shape or element type asked for.
    #[error("{}: tensor `{name}` is {found}, expected {expected}", path.display())]
    TensorMismatch {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type and shape, such as `F32 [8, 4]`.
        found: String,
        /// The element type and shape asked for.
        expected: String,
    },
    /// A tensor to be written is inconsistent.
    #[error("cannot write tensor `{name}` to {}: {what}", path.display())]
    BadTensor {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{}: tensor `{name}` holds a value that is not finite, first at element {index}", path.display())]
    NotFinite {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Position in the flattened tensor.
        index: usize,
    },
    /// A `config.json` that this program cannot use.
    #[error(transparent)]
    Config(#[from] strata_recipe::Error),
    /// A caller's mistake about file names or numbers, such as averaging zero checkpoints.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// Whether the error says that data on disk is missing or not what was written, rather than that the disk could
    /// not be used.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Missing { .. } | Error::CutShort { .. } | Error::Damaged { .. } | Error::NotAModel { .. })
    }

    /// Names a system error by what it means for the user: [`Error::NoSpace`], [`Error::Permission`],
    /// [`Error::Missing`] or [`Error::Io`]. `action` is a verb such as `write`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        use io::ErrorKind as K;
        let path = path.to_path_buf();
        match source.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Error::NoSpace { path, source },
            K::PermissionDenied | K::ReadOnlyFilesystem => Error::Permission { path, action, source },
            K::NotFound => Error::Missing { path },
            _ => Error::Io { path, action, source },
        }
    }
}

fn advice(intact: Option<u64>) -> String {
    match intact {
        Some(step) => {
            let name = step_name(step);
            format!("resuming would start from {name}. Pass --from {name} to do so.")
        }
        None => "no other checkpoint is intact, so training must start anew in another folder".to_string(),
    }
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}

fn listed(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".to_string();
    }
    steps.iter().map(|&s| step_name(s)).collect::<Vec<_>>().join(", ")
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 123456, 1234567].map(grouped),
            ["0", "999", "1,000", "123,456", "1,234,567"].map(String::from)
        );
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
