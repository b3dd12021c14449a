//! The error of this crate.

use std::path::{Path, PathBuf};

/// Why a file of another program could not be read. Every message names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that is missing, cut short or not what it claims to be.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// A valid file that holds something this crate does not read.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds, and what is read instead.
        what: String,
    },
    /// A pickle that asks for something other than tensors.
    #[error(
        "{}: the pickle asks for `{name}`, which is no tensor; nothing of it was run. Save the state dict alone, or as \
         safetensors",
        path.display()
    )]
    Code {
        /// The file.
        path: PathBuf,
        /// The function or class.
        name: String,
    },
    /// A tensor that is not in the file.
    #[error("{} has no tensor `{name}`", path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor of another shape.
    #[error("{}: tensor `{name}` is {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that it must have.
        expected: Vec<usize>,
    },
}

impl Error {
    /// A file that does not hold what its format demands.
    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Error {
        strata_files::Error::Damaged { path: path.to_path_buf(), what: what.into() }.into()
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Error {
        Error::Unsupported { path: path.to_path_buf(), what: what.into() }
    }
}

impl From<strata_store::Error> for Error {
    fn from(error: strata_store::Error) -> Self {
        match error {
            strata_store::Error::Files(error) => Error::Files(error),
            strata_store::Error::NoTensor { path, name } => Error::NoTensor { path, name },
            other => Error::Unsupported { path: PathBuf::new(), what: other.to_string() },
        }
    }
}
