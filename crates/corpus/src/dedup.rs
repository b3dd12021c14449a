//! Exact de-duplication with a fixed memory bound.
//!
//! A 128-bit hash of its two normalized sides stands for each pair (chance of one false duplicate among a billion
//! pairs: below 10^-20). Hashes are held in memory up to [`MEMORY_RECORDS`]; beyond that they go to [`PARTITIONS`]
//! files on disk by their first byte, each of which is then sorted by itself. Memory: 32 bytes a record up to the bound
//! (128 MiB), after that a buffer of that size, one partition at a time, and one bit per pair for the answer.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use strata_files::IoContext;
use xxhash_rust::xxh3::Xxh3;

use crate::error::Result;

/// Records held in memory before hashes go to disk.
pub const MEMORY_RECORDS: usize = 4 << 20;
/// Files that hashes are spread over on disk.
pub const PARTITIONS: usize = 256;

/// The 128-bit hash of a pair of sentences.
pub fn pair_hash(first: &str, second: &str) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&(first.len() as u64).to_le_bytes()); // "ab"+"c" is not "a"+"bc"
    hasher.update(first.as_bytes());
    hasher.update(second.as_bytes());
    hasher.digest128()
}

/// Finds the second and later occurrences in a stream of hashes.
pub struct Dedup {
    folder: PathBuf,
    memory_records: usize,
    buffer: Vec<(u128, u64)>,
    spilled: bool,
    count: u64,
}

/// The answer: one bit per record, set for a duplicate.
pub struct Duplicates {
    bits: Vec<u64>,
    count: u64,
}

impl Duplicates {
    /// Whether record `index` (from 0, in order of [`Dedup::push`]) repeats an earlier one.
    pub fn contains(&self, index: u64) -> bool {
        self.bits.get((index / 64) as usize).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// How many records repeat an earlier one.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn mark(&mut self, mut records: Vec<(u128, u64)>) {
        records.sort_unstable();
        for pair in records.windows(2) {
            if pair[0].0 == pair[1].0 {
                self.bits[(pair[1].1 / 64) as usize] |= 1 << (pair[1].1 % 64);
                self.count += 1;
            }
        }
    }
}

impl Dedup {
    /// An empty stream; `folder` must exist and is used for files only if the hashes outgrow the memory bound.
    pub fn new(folder: &Path) -> Self {
        Self::with_memory(folder, MEMORY_RECORDS)
    }

    fn with_memory(folder: &Path, memory_records: usize) -> Self {
        Self { folder: folder.to_path_buf(), memory_records, buffer: Vec::new(), spilled: false, count: 0 }
    }

    /// Takes the next record's hash.
    pub fn push(&mut self, hash: u128) -> Result<()> {
        if self.buffer.len() == self.memory_records {
            self.spill()?;
        }
        self.buffer.push((hash, self.count));
        self.count += 1;
        Ok(())
    }

    fn partition(&self, p: usize) -> PathBuf {
        self.folder.join(format!("hashes-{p:03}"))
    }

    /// Appends the buffer to the partitions, 24 bytes a record.
    fn spill(&mut self) -> Result<()> {
        self.buffer.sort_unstable(); // so that each partition is one run
        for run in self.buffer.chunk_by(|a, b| a.0 >> 120 == b.0 >> 120) {
            let path = self.partition((run[0].0 >> 120) as usize);
            let open = File::options().create(true).append(true).open(&path);
            let mut file = BufWriter::new(open.io_context("write", &path)?);
            for (hash, index) in run {
                file.write_all(&hash.to_le_bytes())
                    .and_then(|()| file.write_all(&index.to_le_bytes()))
                    .io_context("write", &path)?;
            }
            file.flush().io_context("write", &path)?;
        }
        self.buffer.clear();
        self.spilled = true;
        Ok(())
    }

    /// Ends the stream: which records are duplicates. Removes its files.
    pub fn finish(mut self) -> Result<Duplicates> {
        let mut duplicates = Duplicates { bits: vec![0; self.count.div_ceil(64) as usize], count: 0 };
        if !self.spilled {
            duplicates.mark(std::mem::take(&mut self.buffer));
            return Ok(duplicates);
        }
        self.spill()?;
        self.buffer = Vec::new();
        for p in 0..PARTITIONS {
            let path = self.partition(p);
            if !path.exists() {
                continue;
            }
            let mut bytes = Vec::new();
            File::open(&path).and_then(|f| BufReader::new(f).read_to_end(&mut bytes)).io_context("read", &path)?;
            let records = bytes.chunks_exact(24).map(|r| {
                let (mut hash, mut index) = ([0; 16], [0; 8]);
                hash.copy_from_slice(&r[..16]);
                index.copy_from_slice(&r[16..]);
                (u128::from_le_bytes(hash), u64::from_le_bytes(index))
            });
            duplicates.mark(records.collect());
            std::fs::remove_file(&path).io_context("remove", &path)?;
        }
        Ok(duplicates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_occurrence_stays_in_memory_and_on_disk_alike() {
        let folder = tempfile::tempdir().unwrap();
        let records: Vec<u128> = (0..5000u64).map(|i| pair_hash(&format!("{}", i * i % 1777), "x")).collect();
        let mut seen = std::collections::HashSet::new();
        let expected: Vec<bool> = records.iter().map(|h| !seen.insert(*h)).collect();
        for memory in [MEMORY_RECORDS, 300, 1] {
            let memory = if memory == 1 { 4999 } else { memory };
            let mut dedup = Dedup::with_memory(folder.path(), memory);
            records.iter().for_each(|h| dedup.push(*h).unwrap());
            let found = dedup.finish().unwrap();
            let got: Vec<bool> = (0..records.len() as u64).map(|i| found.contains(i)).collect();
            assert_eq!(got, expected);
            assert_eq!(found.count(), expected.iter().filter(|d| **d).count() as u64);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "temporary files stay behind");
        }
    }

    #[test]
    fn sides_do_not_run_together() {
        assert_ne!(pair_hash("ab", "c"), pair_hash("a", "bc"));
        assert_ne!(pair_hash("a", "b"), pair_hash("b", "a"));
    }
}
