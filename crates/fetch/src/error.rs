//! What can go wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the corpus could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no apt on this system.
    #[error(
        "{program} was not found: this corpus is built from Debian's documentation packages. Run this on Debian or \
         Ubuntu, or name a folder with the .deb files; on another system use your own bitext or the synthetic corpus"
    )]
    NoApt {
        /// The program that was looked for.
        program: PathBuf,
    },
    /// apt knows none of the packages, and getting fresh package lists did not help.
    #[error(
        "apt knows none of the documentation packages (such as {example}): its package lists are empty or lack the \
         section that holds them. Fresh lists could not be got without root{}. Run `apt-get update` as root and try \
         again; on Ubuntu enable the `universe` component first",
        because(detail)
    )]
    NoPackageLists {
        /// One of the packages.
        example: String,
        /// What apt said.
        detail: String,
    },
    /// The servers cannot be reached.
    #[error(
        "the package servers cannot be reached{}. What has been downloaded is kept in {}; run the same command again \
         when the network is back",
        because(detail), cache.display()
    )]
    Offline {
        /// What apt said.
        detail: String,
        /// Where packages are kept.
        cache: PathBuf,
    },
    /// apt could not download some packages, for another reason.
    #[error(
        "apt-get could not download {}{}. What has been downloaded is kept in {}",
        packages.join(", "), because(detail), cache.display()
    )]
    Download {
        /// The packages still missing.
        packages: Vec<String>,
        /// What apt said.
        detail: String,
        /// Where packages are kept.
        cache: PathBuf,
    },
    /// A downloaded package is not the one apt's signed lists describe.
    #[error(
        "{package} arrived with SHA-256 {found}, but apt's records say {expected}; it was deleted. A proxy or mirror \
         may be at fault; try again later"
    )]
    Digest {
        /// The package.
        package: String,
        /// SHA-256 of what was downloaded.
        found: String,
        /// SHA-256 in apt's records.
        expected: String,
    },
    /// No space is left.
    #[error(
        "no space is left to write {}: free about {need_megabytes} MB there, or choose another place; nothing finished \
         is lost",
        path.display()
    )]
    NoSpace {
        /// The file or folder being written.
        path: PathBuf,
        /// How much a run needs in all, roughly.
        need_megabytes: u64,
    },
    /// A language that these packages have no text in.
    #[error("there is no documentation in `{tag}`{}; the languages are {}", did_you_mean(*nearest), known.join(", "))]
    UnknownLanguage {
        /// The tag asked for.
        tag: String,
        /// The known tag most like it.
        nearest: Option<&'static str>,
        /// All known tags.
        known: Vec<&'static str>,
    },
    /// No language was asked for.
    #[error("no language was asked for; name at least one, such as de")]
    NoLanguages,
    /// None of the packages found holds text in the requested languages.
    #[error("no text was found in {}: this release has none of {}", languages.join(", "), packages.join(", "))]
    NoText {
        /// The languages asked for.
        languages: Vec<String>,
        /// The packages that would have it.
        packages: Vec<String>,
    },
    /// The output folder holds bitext that is not ours to replace.
    #[error(
        "{} was not written by this command and would be replaced or mixed with the corpus; choose another output \
         folder, or move it away",
        path.display()
    )]
    Occupied {
        /// The file in the way.
        path: PathBuf,
    },
    /// Another process is at work in the cache.
    #[error("another fetch is using {}; wait for it to end, or choose another cache folder", path.display())]
    Busy {
        /// The cache folder.
        path: PathBuf,
    },
    /// A package file cannot be read.
    #[error("{} is not a readable Debian package: {reason}. Delete it and run the command again", path.display())]
    BadPackage {
        /// The .deb file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An English sentence would be in two parts of the corpus; a fault of this program.
    #[error(
        "the sentence {sentence:?} is in two parts of the corpus; this is a fault of the program, please report it"
    )]
    Leak {
        /// The sentence.
        sentence: String,
    },
    /// A file or folder could not be read or written.
    #[error(transparent)]
    Files(strata_files::Error),
}

/// Roughly what packages and corpus take together, for the message about a full disk.
pub(crate) const NEED_MEGABYTES: u64 = 400;

impl Error {
    /// For `map_err`: a package that cannot be unpacked.
    pub(crate) fn package(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::BadPackage { path, reason: source.to_string() }
    }
}

impl From<strata_files::Error> for Error {
    /// A full disk gets this crate's own words: how much a run needs in all.
    fn from(error: strata_files::Error) -> Self {
        match error {
            strata_files::Error::NoSpace { path, .. } => Error::NoSpace { path, need_megabytes: NEED_MEGABYTES },
            other => Error::Files(other),
        }
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or(String::new(), |nearest| format!(" (did you mean `{nearest}`?)"))
}

fn because(detail: &str) -> String {
    let detail = detail.trim();
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}
