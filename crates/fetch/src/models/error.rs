//! What can go wrong with published models, and what to do about it.

use std::path::PathBuf;

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that does the downloading is missing.
    #[error("{} was not found, which downloads {what}; install it and try again", program.display())]
    NoProgram {
        /// The program.
        program: PathBuf,
        /// What it downloads.
        what: &'static str,
    },
    /// The server cannot be reached.
    #[error("{address} cannot be reached ({detail}). What has arrived is kept; try again when the network is back")]
    Offline {
        /// Where it is.
        address: String,
        /// What the program said.
        detail: String,
    },
    /// The download failed for another reason.
    #[error("{what} could not be downloaded ({detail})")]
    Download {
        /// The file.
        what: String,
        /// What the program said.
        detail: String,
    },
    /// The source has no such model.
    #[error("there is no model for `{pair}` in {origin}; it has {}", listed(known))]
    UnknownPair {
        /// The pair asked for.
        pair: String,
        /// The source.
        origin: String,
        /// The pairs that it has.
        known: Vec<String>,
    },
    /// A server that answers something else than the store would.
    #[error("{address} is not laid out like Mozilla's store of translation models: {reason}")]
    NotAStore {
        /// Where it is.
        address: String,
        /// What is wrong with its answer.
        reason: String,
    },
    /// A file is not the one that was published.
    #[error(
        "{file} arrived with SHA-256 {found}, but {expected} was published; it was deleted. A proxy or mirror may be at \
         fault; try again later"
    )]
    Digest {
        /// The file.
        file: String,
        /// SHA-256 of what arrived.
        found: String,
        /// SHA-256 that was published.
        expected: String,
    },
    /// A package that cannot be unpacked.
    #[error("{}: {reason}; delete it and try again", path.display())]
    BadPackage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error(transparent)]
    Files(#[from] strata_files::Error),
}

/// As many pairs as a message has room for.
fn listed(known: &[String]) -> String {
    const ROOM: usize = 120;
    match known.len() {
        0 => "none".to_owned(),
        n if n > ROOM => format!("{}, ... ({n})", known[..ROOM].join(", ")),
        _ => known.join(", "),
    }
}
