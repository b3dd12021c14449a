//! Token shards: the subword ids of one split of one language pair.
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Local scaffold, to be replaced.
pub struct PairShardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    pairs: u64,
}

/// Scaffold.
#[derive(Debug)]
pub struct ShardSummary {
    /// Pairs.
    pub pairs: u64,
}

impl PairShardWriter {
    /// Scaffold.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io("write", path, e))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::new(file), pairs: 0 })
    }
    /// Scaffold.
    pub fn push(&mut self, first: &[u32], second: &[u32]) -> Result<()> {
        self.pairs += 1;
        for side in [first, second] {
            let mut bytes = (side.len() as u32).to_le_bytes().to_vec();
            bytes.extend(side.iter().flat_map(|id| id.to_le_bytes()));
            self.file.write_all(&bytes).map_err(|e| Error::io("write", &self.path, e))?;
        }
        Ok(())
    }
    /// Scaffold.
    pub fn finish(mut self) -> Result<ShardSummary> {
        self.file.flush().map_err(|e| Error::io("write", &self.path, e))?;
        Ok(ShardSummary { pairs: self.pairs })
    }
}
