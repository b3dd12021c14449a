//! The one error type of this crate: every message names the file, line or option and what to do about it.

use std::path::{Path, PathBuf};

use strata_recipe::nearest;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between raw bitext and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
    /// The two sides of a bitext differ in their number of lines.
    #[error(
        "{first} has {first_lines} lines but {second} has {second_lines}: the two sides of a bitext must be aligned \
         line by line; re-export the pair or cut both files at the last line known to match"
    )]
    SideCounts {
        /// File of the first side.
        first: PathBuf,
        /// Its number of lines.
        first_lines: u64,
        /// File of the second side.
        second: PathBuf,
        /// Its number of lines.
        second_lines: u64,
    },
    /// A line is not UTF-8.
    #[error(
        "{path}, line {line}: not valid UTF-8 (byte {byte} of the line); convert the file with \
         `iconv -f ENCODING -t UTF-8`, or skip such lines"
    )]
    InvalidUtf8 {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// Position of the first bad byte in the line, from 1.
        byte: usize,
    },
    /// A line is longer than any sentence, so it was not read into memory.
    #[error(
        "{path}, line {line}: longer than {limit} bytes, which no sentence is; cut the line up, or skip such lines"
    )]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A line of a TSV file does not have exactly two columns.
    #[error(
        "{path}, line {line}: {columns} tab-separated columns where SOURCE<tab>TARGET is expected; \
         repair the line, or skip such lines"
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// Columns found.
        columns: usize,
    },
    /// One side of a bitext has no file.
    #[error("{found} has no counterpart {missing} (nor .gz, .zst); add the missing side or remove this file")]
    MissingSide {
        /// The side that is there.
        found: PathBuf,
        /// The side that is not, without compression suffix.
        missing: PathBuf,
    },
    /// The same split of the same pair is given more than once.
    #[error("{first} and {second} both hold split {split} of {pair}; keep one of them")]
    Ambiguous {
        /// One of the files.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// `train`, `valid` or `test`.
        split: &'static str,
        /// The language pair.
        pair: String,
    },
    /// No bitext where some was expected.
    #[error("{path}: {reason}")]
    Empty {
        /// The folder or file.
        path: PathBuf,
        /// What is missing and what to do.
        reason: String,
    },
    /// A file is not what it claims to be, or was damaged.
    #[error("{path} is damaged or not understood: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// An option has a value that makes no sense.
    #[error("option {option}: {reason}")]
    Option {
        /// Name of the option as in the settings.
        option: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// The output already exists.
    #[error("{path} already exists; choose another folder, or replace it")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A subword model could not be trained or used.
    #[error("subword model: {reason}")]
    Subwords {
        /// What happened and what to do.
        reason: String,
    },
    /// A language that the model or corpus does not know.
    #[error("unknown language `{language}`{}; known: {}", did_you_mean(language, known), known.join(", "))]
    UnknownLanguage {
        /// As given.
        language: String,
        /// The known ones.
        known: Vec<String>,
    },
    /// A direction that the prepared folder does not have.
    #[error("unknown direction `{direction}`{}; the corpus has: {}", did_you_mean(direction, known), known.join(", "))]
    UnknownDirection {
        /// As given.
        direction: String,
        /// The known ones.
        known: Vec<String>,
    },
    /// A prepared folder without a pair to learn from.
    #[error("{}: no training pairs in the directions asked for{longer}", path.display())]
    NoTraining {
        /// The prepared folder.
        path: PathBuf,
        /// How many were too long, or nothing.
        longer: String,
    },
}

/// A setting of [`prepare`](crate::prepare::Options) that an error suggests. What users call it is up to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// [`skip_invalid`](crate::prepare::Options::skip_invalid).
    SkipInvalid,
    /// [`overwrite`](crate::prepare::Options::overwrite).
    Overwrite,
}

fn did_you_mean(wrong: &str, known: &[String]) -> String {
    nearest(wrong, known.iter().map(String::as_str)).map_or(String::new(), |near| format!(" (did you mean `{near}`?)"))
}

impl Error {
    /// The setting that would let the work continue, where there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Error::InvalidUtf8 { .. } | Error::LineTooLong { .. } | Error::Columns { .. } => Some(Remedy::SkipInvalid),
            Error::Exists { .. } => Some(Remedy::Overwrite),
            _ => None,
        }
    }

    /// An [`Error::Damaged`].
    pub fn damaged(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Subwords`].
    pub fn subwords(reason: impl std::fmt::Display) -> Self {
        Self::Subwords { reason: reason.to_string() }
    }
}
