//! Token shards: the subword ids of one split of one language pair, mapped into memory.
//!
//! All numbers are little-endian:
//!
//! ```text
//! 0   magic "STRATASH"            8 bytes
//! 8   layout version (1)          u32
//! 12  largest id                  u32
//! 16  pairs                       u64
//! 24  ids in all                  u64
//! 32  ids: first side and second side of each pair in turn, without tags and end marks    u32 each
//! ..  ends: where each side ends, counted in ids                                          u64 each, 2 a pair
//! ```

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use strata_files::names::TOKENIZER_FILE;
use strata_files::{IoContext, MappedFile};

use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"STRATASH";
const VERSION: u32 = 1;
const HEADER: usize = 32;

/// Writes a shard pair by pair; memory does not grow with it.
pub struct PairShardWriter {
    path: PathBuf,
    ids: BufWriter<File>,
    /// Where sides end; a file of its own until all are known.
    ends: BufWriter<File>,
    largest: u32,
    summary: ShardSummary,
}

/// What a shard holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSummary {
    /// Pairs.
    pub pairs: u64,
    /// Ids of the first sides.
    pub tokens_first: u64,
    /// Ids of the second sides.
    pub tokens_second: u64,
}

impl PairShardWriter {
    /// Starts a shard; `path` is complete only after [`PairShardWriter::finish`].
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let create = |path: &Path| {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
            file.map(BufWriter::new).io_context("write", path)
        };
        let mut ids = create(path)?;
        ids.write_all(&[0; HEADER]).io_context("write", path)?;
        let ends = create(&ends_path(path))?;
        Ok(Self { path: path.to_path_buf(), ids, ends, largest: 0, summary: ShardSummary::default() })
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// The I/O error, such as a full disk.
    pub fn push(&mut self, first: &[u32], second: &[u32]) -> Result<()> {
        Ok(self.write(first, second).io_context("write", &self.path)?)
    }

    fn write(&mut self, first: &[u32], second: &[u32]) -> io::Result<()> {
        for id in first.iter().chain(second) {
            self.largest = self.largest.max(*id);
            self.ids.write_all(&id.to_le_bytes())?;
        }
        self.summary.pairs += 1;
        let start = self.summary.tokens_first + self.summary.tokens_second;
        self.summary.tokens_first += first.len() as u64;
        self.summary.tokens_second += second.len() as u64;
        self.ends.write_all(&(start + first.len() as u64).to_le_bytes())?;
        self.ends.write_all(&(start + (first.len() + second.len()) as u64).to_le_bytes())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// As [`PairShardWriter::push`].
    pub fn finish(self) -> Result<ShardSummary> {
        let (path, summary) = (self.path.clone(), self.summary);
        self.complete().io_context("write", &path)?;
        Ok(summary)
    }

    fn complete(self) -> io::Result<()> {
        let (mut ids, mut ends) = (self.ids, self.ends.into_inner().map_err(|e| e.into_error())?);
        ends.seek(SeekFrom::Start(0))?;
        io::copy(&mut BufReader::new(ends), &mut ids)?;
        ids.seek(SeekFrom::Start(0))?;
        ids.write_all(MAGIC)?;
        ids.write_all(&VERSION.to_le_bytes())?;
        ids.write_all(&self.largest.to_le_bytes())?;
        ids.write_all(&self.summary.pairs.to_le_bytes())?;
        ids.write_all(&(self.summary.tokens_first + self.summary.tokens_second).to_le_bytes())?;
        ids.flush()?;
        std::fs::remove_file(ends_path(&self.path))
    }
}

fn ends_path(path: &Path) -> PathBuf {
    path.with_extension("ends")
}

/// A shard, mapped.
#[derive(Debug)]
pub struct PairShard {
    map: MappedFile,
    pairs: usize,
    ids: usize,
    largest: u32,
}

impl PairShard {
    /// Maps a shard and checks that its length is what its header says.
    ///
    /// # Errors
    /// A missing, truncated or foreign file.
    pub fn open(path: &Path) -> Result<Self> {
        let map = MappedFile::open(path)?;
        let damaged = |what: String| Error::damaged(path, format!("{what}; run `strata prepare` again"));
        if map.len() < HEADER || &map[..8] != MAGIC {
            return Err(damaged("this is no token shard".to_string()));
        }
        let (version, largest) = (u32_at(&map, 8), u32_at(&map, 12));
        if version != VERSION {
            return Err(damaged(format!("token shard of layout {version}, this strata reads {VERSION}")));
        }
        let (pairs, ids) = (u64_at(&map, 16), u64_at(&map, 24));
        let expected = u128::from(pairs) * 16 + u128::from(ids) * 4 + HEADER as u128;
        if expected != map.len() as u128 {
            return Err(damaged(format!("it has {} bytes where its header says {expected}", map.len())));
        }
        Ok(Self { map, pairs: pairs as usize, ids: ids as usize, largest })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// Pairs in it.
    pub fn len(&self) -> usize {
        self.pairs
    }

    /// Whether it has no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// Checks that all ids are below the size of the vocabulary.
    ///
    /// # Errors
    /// [`Error::Damaged`], which names the largest id, if it is not.
    pub fn check_ids(&self, vocab_size: usize) -> Result<()> {
        if self.is_empty() || (self.largest as usize) < vocab_size {
            return Ok(());
        }
        let what = format!(
            "it has the id {} but {TOKENIZER_FILE} only {vocab_size} ids: they were not prepared together; run \
             `strata prepare` again",
            self.largest
        );
        Err(Error::damaged(self.path(), what))
    }

    /// Both sides of pair `i`.
    ///
    /// # Errors
    /// A damaged file.
    ///
    /// # Panics
    /// If `i` is not below [`PairShard::len`].
    pub fn pair(&self, i: usize) -> Result<(Vec<u32>, Vec<u32>)> {
        let (start, middle, end) = self.bounds(i);
        if !(start <= middle && middle <= end && end <= self.ids as u64) {
            return Err(self.damaged(i));
        }
        let side = |from: u64, to: u64| -> Vec<u32> {
            let bytes = &self.map[HEADER + 4 * from as usize..HEADER + 4 * to as usize];
            bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        };
        let (first, second) = (side(start, middle), side(middle, end));
        if first.iter().chain(&second).any(|id| *id > self.largest) {
            return Err(self.damaged(i));
        }
        Ok((first, second))
    }

    /// Lengths of both sides of pair `i`, in ids; meaningless if the file is damaged.
    pub fn lengths(&self, i: usize) -> (usize, usize) {
        let (start, middle, end) = self.bounds(i);
        (middle.saturating_sub(start) as usize, end.saturating_sub(middle) as usize)
    }

    fn bounds(&self, i: usize) -> (u64, u64, u64) {
        let ends = HEADER + 4 * self.ids;
        let end = |side: usize| u64_at(&self.map, ends + 8 * side);
        (if i == 0 { 0 } else { end(2 * i - 1) }, end(2 * i), end(2 * i + 1))
    }

    fn damaged(&self, i: usize) -> Error {
        Error::damaged(self.path(), format!("pair {i} does not fit its header; run `strata prepare` again"))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, pairs: &[(Vec<u32>, Vec<u32>)]) -> ShardSummary {
        let mut writer = PairShardWriter::create(path).unwrap();
        pairs.iter().for_each(|(a, b)| writer.push(a, b).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn pairs_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("en-de.shard");
        let pairs = vec![(vec![3, 70_000], vec![9]), (vec![], vec![1, 2, 3]), (vec![5], vec![])];
        let summary = write(&path, &pairs);
        assert_eq!(summary, ShardSummary { pairs: 3, tokens_first: 3, tokens_second: 4 });
        let shard = PairShard::open(&path).unwrap();
        assert_eq!((shard.len(), shard.largest), (3, 70_000));
        for (i, pair) in pairs.iter().enumerate() {
            assert_eq!(shard.pair(i).unwrap(), *pair);
            assert_eq!(shard.lengths(i), (pair.0.len(), pair.1.len()));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
        write(&path, &[]);
        assert!(PairShard::open(&path).unwrap().is_empty());
    }

    #[test]
    fn damage_is_named_and_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("en-de.shard");
        write(&path, &[(vec![3, 4], vec![5]), (vec![6], vec![7, 8])]);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let message = PairShard::open(&path).unwrap_err().to_string();
            assert!(message.contains("en-de.shard"), "{message}");
        }
        for byte in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[byte] ^= 0x80;
            std::fs::write(&path, &flipped).unwrap();
            if let Ok(shard) = PairShard::open(&path) {
                (0..shard.len()).for_each(|i| drop((shard.pair(i), shard.lengths(i))));
            }
        }
    }
}
