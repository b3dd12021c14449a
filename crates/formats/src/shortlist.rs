//! Marian's binary lexical shortlists (`lex.*.bin`): which target ids a sentence may have, by its source ids.
//!
//! `u64` magic, checksum, frequent, best, number of offsets, number of ids; the offsets as `u64`; the ids as `u32`. The
//! ids of source id `s` are those from offset `s` to offset `s + 1`. Besides, a sentence may have the first `frequent`
//! ids. The checksum is not documented outside Marian and is not checked; the offsets are.

use std::path::{Path, PathBuf};

use strata_files::regular;

use crate::cursor::Cursor;
use crate::error::Error;

const MAGIC: u64 = 0xF11A_48D5_0134_17F5;

/// A shortlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortlist {
    /// Every sentence may have this many first ids.
    pub frequent: u64,
    /// Ids of each source id at most, as it was made.
    pub best: u64,
    /// The target ids of source id `s` are `ids[offsets[s]..offsets[s + 1]]`.
    pub offsets: Vec<u64>,
    /// Target ids.
    pub ids: Vec<u32>,
    path: PathBuf,
}

impl Shortlist {
    /// Reads a shortlist.
    ///
    /// # Errors
    /// Anything but a whole shortlist with ascending offsets.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = regular::read(path)?;
        let mut cursor = Cursor::new(path, &bytes);
        let magic = cursor.u64()?;
        if magic != MAGIC {
            return Err(Error::damaged(path, "it does not begin as a binary shortlist"));
        }
        cursor.u64()?;
        let (frequent, best) = (cursor.u64()?, cursor.u64()?);
        let (offsets, ids) = (cursor.u64()?, cursor.u64()?);
        let offsets = cursor.take(offsets.saturating_mul(8))?;
        let ids = cursor.take(ids.saturating_mul(4))?;
        if !cursor.is_at_end() {
            return Err(Error::damaged(path, format!("{} bytes follow the last id", bytes.len() - cursor.at())));
        }
        let offsets: Vec<u64> = offsets.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let ids: Vec<u32> = ids.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let ends = offsets.first() == Some(&0) && offsets.last() == Some(&(ids.len() as u64));
        if !ends || !offsets.is_sorted() {
            return Err(Error::damaged(path, "its offsets do not ascend from the first id to the last"));
        }
        Ok(Self { frequent, best, offsets, ids, path: path.to_path_buf() })
    }

    /// Checks that the lists are those of a model with so many source and target ids.
    ///
    /// # Errors
    /// Another number of lists, or an id outside.
    pub fn check(&self, source: usize, target: usize) -> Result<(), Error> {
        let lists = self.offsets.len() - 1;
        if lists != source {
            let what =
                format!("it has lists for {lists} source ids, the model has {source}; it belongs to another model");
            return Err(Error::unsupported(&self.path, what));
        }
        match self.ids.iter().find(|id| **id as usize >= target) {
            Some(id) => {
                let what = format!("it names the target id {id}, the model has {target}; it belongs to another model");
                Err(Error::unsupported(&self.path, what))
            }
            None => Ok(()),
        }
    }

    /// The target ids of a source id.
    pub fn list(&self, source: usize) -> &[u32] {
        &self.ids[self.offsets[source] as usize..self.offsets[source + 1] as usize]
    }
}
