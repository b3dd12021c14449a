//! Files as memory: read on demand by the operating system, and only as far as they are used.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::Error;

/// A file mapped for reading.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Damaged`] for a folder, a pipe and the like.
    pub fn open(path: impl AsRef<Path>) -> Result<MappedFile, Error> {
        let path = path.as_ref().to_path_buf();
        let file = File::open(&path).map_err(|e| Error::io("read", &path, e))?;
        if !file.metadata().map_err(|e| Error::io("read", &path, e))?.is_file() {
            return Err(Error::Damaged { path, what: "not a regular file".to_string() });
        }
        // SAFETY: the map is only read. Files that strata writes are never changed in place: they are written beside and
        // renamed, and a removed file stays mapped. A foreign process that overwrites or truncates the file while it
        // is mapped could change values or raise SIGBUS, as for every memory-mapped model format.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map", &path, e))?;
        Ok(MappedFile { path, map })
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
