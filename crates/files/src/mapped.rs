//! Files as memory: the operating system reads them on demand, and only the parts that are used.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::error::{Error, IoContext};
use crate::guard::Guarded;

/// A file mapped for reading.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    /// Before the map, so that it is dropped first.
    guarded: Guarded,
    map: Mmap,
    /// The mapped file, and when it was last written to.
    file: File,
    modified: Option<SystemTime>,
}

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    /// [`Error::Missing`] or another I/O error for a file that cannot be read, [`Error::Damaged`] for a folder, a pipe
    /// and the like.
    pub fn open(path: impl AsRef<Path>) -> Result<MappedFile, Error> {
        let path = path.as_ref().to_path_buf();
        let file = crate::regular::open(&path)?;
        let metadata = file.metadata().io_context("read", &path)?;
        // SAFETY: the map is only read. This program never changes a file in place: it writes a new one and renames it,
        // and a removed file stays mapped. Another program that overwrites or truncates the file could change values or
        // raise SIGBUS, as with every memory-mapped format; see `guard`.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.io_context("map", &path)?;
        let guarded = Guarded::new(&map);
        Ok(MappedFile { path, guarded, map, file, modified: metadata.modified().ok() })
    }

    /// What another program has done to the file since it was mapped, if it truncated it or wrote to it in place:
    /// results computed from it are then worthless. Removing the file, or renaming another over it, leaves the map as
    /// it was.
    pub fn change(&self) -> Option<String> {
        let path = self.path.display();
        let Ok(metadata) = self.file.metadata() else { return Some(format!("{path} cannot be read any more")) };
        if metadata.len() != self.map.len() as u64 {
            let (was, is) = (self.map.len(), metadata.len());
            return Some(format!("{path} was changed while it was in use: it had {was} bytes, now {is}"));
        }
        let same = metadata.modified().ok() == self.modified;
        (self.guarded.is_lost() || !same).then(|| format!("{path} was written to while it was in use"))
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
