//! Durable files: writes that survive a crash, checksums, and memory maps that survive their file being cut short.
//!
//! | module | idea |
//! |---|---|
//! | [`mod@file`] | one file, link or folder, replaced or removed in a single step |
//! | [`output`] | a file of results that a user names: whole under its name, or written straight to a pipe |
//! | [`text`] | text files, whose faults are named by their line |
//! | [`folder`] | a folder of files that appears whole, with its `SHA256SUMS`, or not at all |
//! | [`staging`] | the temporary folder that becomes another |
//! | [`lock`] | lock files, which one process at a time has |
//! | [`scratch`] | what this process is writing, cleared away where a signal ends it |
//! | [`leftovers`] | what a killed writer leaves behind, and how the next one clears it away |
//! | [`digest`] | the SHA-256 of bytes and files |
//! | [`checksums`] | `SHA256SUMS`, which `sha256sum -c` can check too |
//! | [`verified`] | folders that are verified once, and then known by the stamps of their files |
//! | [`regular`] | files that are no pipe and no device |
//! | [`mapped`] | files as memory |
//! | [`guard`] | SIGBUS: a mapped file that another program truncates |
//! | [`names`] | the file names that several kinds of folder share |
//!
//! ```
//! use strata_files::{Checksums, Existing, FolderWriter, MappedFile};
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("m");
//! let mut folder = FolderWriter::new(&path)?;
//! folder.write("greeting.txt", b"hello")?;
//! folder.commit(Existing::Refuse)?; // visible from here on, and on the disk
//!
//! Checksums::read(&path)?.verify_all(&path)?;
//! assert_eq!(&MappedFile::open(path.join("greeting.txt"))?[..], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate knows nothing of what is in the files: models, runs and corpora are the business of the crates above it.

#![deny(unsafe_code)] // but for maps, and the handler of SIGBUS

pub mod checksums;
pub mod digest;
mod error;
pub mod file;
pub mod folder;
pub mod guard;
pub mod leftovers;
pub mod lock;
pub mod mapped;
pub mod names;
mod numbers;
pub mod output;
pub mod regular;
pub mod scratch;
pub mod staging;
mod temporary;
pub mod text;
pub mod verified;

pub use checksums::Checksums;
pub use digest::{Digest, Hasher};
pub use error::{Error, IoContext, with_causes};
pub use file::{create_dirs, remove_folder, rename, sync_dir, write_file, write_json, write_link};
pub use folder::{Existing, FileWriter, FolderWriter};
pub use guard::survive_truncation;
pub use leftovers::{clean_leftovers, clean_leftovers_of};
pub use lock::{try_lock, wait_for_lock};
pub use mapped::MappedFile;
pub use numbers::thousands;
pub use output::{OutputFile, write_output};
pub use scratch::clear_scratch;
pub use staging::Staging;
pub use text::{read_text, utf8};
