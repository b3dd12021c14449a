//! Every parser of files that come from others, as a function of bytes: it may refuse them, but neither panic nor take
//! much memory.
//!
//! [`TARGETS`] is the one list of them. The test of this crate runs each on its seeds and on [`Mutations`] of them, on
//! stable Rust and in a few seconds; `bench/fuzz.sh` gives the same functions to cargo-fuzz.

#![forbid(unsafe_code)]

mod documents;
mod imports;
mod models;
mod mutations;
mod texts;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use mutations::Mutations;

/// A parser.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it reads.
    pub name: &'static str,
    /// Reads bytes, and says whether it takes them.
    pub run: fn(&[u8]) -> bool,
    /// Input that it takes.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All parsers.
pub static TARGETS: [Target; 31] = [
    documents::TEXT,
    documents::ENCODED,
    documents::HTML,
    documents::XML,
    documents::MARKDOWN,
    documents::JSON,
    documents::GETTEXT,
    documents::XLIFF,
    documents::SUBRIP,
    documents::WEBVTT,
    documents::WORD,
    documents::SLIDES,
    documents::OPEN_DOCUMENT,
    documents::BOOK,
    documents::ARCHIVE,
    texts::RECIPE,
    texts::CONFIG,
    texts::LANGUAGES,
    texts::TOKENIZER,
    texts::SENTENCEPIECE,
    texts::GLOSSARY,
    models::SAFETENSORS,
    models::PYTORCH,
    models::NPZ,
    models::MARIAN,
    models::CTRANSLATE2,
    models::PACKED,
    imports::NLLB_MOE,
    imports::OPUS,
    imports::CTRANSLATE2,
    imports::MARIAN,
];

/// The parser of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Gives `read` a file of these bytes.
fn in_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().expect("a file to work with");
    file.write_all(bytes).expect("the bytes of the file");
    read(file.path())
}

/// A folder or file that the tests of a crate keep.
fn kept(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The contents of files that the tests of crates keep.
fn kept_files<const N: usize>(paths: [&str; N]) -> Vec<Vec<u8>> {
    paths.into_iter().map(|path| std::fs::read(kept(path)).expect("a file of the repository")).collect()
}

/// The bytes of texts.
fn texts<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| text.as_bytes().to_vec()).collect()
}
