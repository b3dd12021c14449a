//! Files as memory: read on demand by the operating system, and only as far as they are used.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use crate::error::Error;
use crate::guard::Guarded;

/// A file mapped for reading.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    /// In front of the map, so that it is dropped first.
    guarded: Guarded,
    map: Mmap,
    /// What is mapped, and when it was last written to.
    file: File,
    modified: Option<SystemTime>,
}

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Damaged`] for a folder, a pipe and the like.
    pub fn open(path: impl AsRef<Path>) -> Result<MappedFile, Error> {
        let path = path.as_ref().to_path_buf();
        let file = File::open(&path).map_err(|e| Error::io("read", &path, e))?;
        let metadata = file.metadata().map_err(|e| Error::io("read", &path, e))?;
        if !metadata.is_file() {
            return Err(Error::Damaged { path, what: "not a regular file".to_string() });
        }
        // SAFETY: the map is only read. Files that strata writes are never changed in place: they are written beside and
        // renamed, and a removed file stays mapped. A foreign process that overwrites or truncates the file while it
        // is mapped could change values or raise SIGBUS, as for every memory-mapped model format; `guard` says what then.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map", &path, e))?;
        let guarded = Guarded::new(&map);
        Ok(MappedFile { path, guarded, map, file, modified: metadata.modified().ok() })
    }

    /// What another program has done to the file since it was mapped, if it was cut short or written to in place: what was
    /// computed from it is then worth nothing. A file that was removed, or replaced by another of its name, is as it was.
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
