//! What a running fetch reports.

use serde::Serialize;

use crate::sources::Source;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Checking what is already there.
    Verify,
    /// Downloading fresh package lists into a folder of our own.
    Lists,
    /// Downloading packages.
    Download,
    /// Reading, aligning and filtering.
    Extract,
    /// Splitting and writing.
    Write,
}

/// A progress report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A stage begins.
    Stage {
        /// Which.
        stage: Stage,
    },
    /// How far the download is; the first one says how much there is to do.
    Download {
        /// Packages that are there and verified.
        packages_done: usize,
        /// Packages in all, those found in the cache included.
        packages: usize,
        /// Bytes that have arrived, those found in the cache included.
        bytes_done: u64,
        /// Bytes in all.
        bytes: u64,
    },
    /// A download failed and is tried again.
    Retry {
        /// Which attempt comes next, from 2.
        attempt: usize,
        /// What apt said.
        reason: String,
    },
    /// A package does not exist in this release, so its source is left out.
    Missing {
        /// The package.
        package: String,
        /// The source.
        source: Source,
        /// The requested languages that lose text by it.
        languages: Vec<String>,
    },
    /// A language's pairs have been extracted.
    Extracted {
        /// The language.
        language: String,
        /// Its different English sentences with a translation.
        pairs: usize,
        /// Languages done so far.
        languages_done: usize,
        /// Languages in all.
        languages: usize,
    },
    /// A language has no text in the packages that were found; no files are written for it.
    NoText {
        /// The language.
        language: String,
    },
}
