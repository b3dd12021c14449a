//! Text files as they lie on disks: plain, or compressed as their names say.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use strata_files::IoContext;

use crate::error::Result;

/// The suffixes of compressed files that are read.
pub const COMPRESSED: [&str; 4] = ["gz", "zst", "xz", "bz2"];

/// Opens a text file; decompresses it if it is named `.gz`, `.zst`, `.xz` or `.bz2`.
///
/// # Errors
/// A file that cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let file = File::open(path).io_context("read", path)?;
    let buffered = |r: Box<dyn Read + Send>| Box::new(BufReader::with_capacity(1 << 18, r));
    Ok(match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => buffered(Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))),
        Some("zst") => buffered(Box::new(zstd::Decoder::new(file).io_context("decompress", path)?)),
        Some("xz") => buffered(Box::new(liblzma::read::XzDecoder::new_multi_decoder(file))),
        Some("bz2") => buffered(Box::new(bzip2::read::MultiBzDecoder::new(file))),
        _ => buffered(Box::new(file)),
    })
}

/// A file's name without the suffix of its compression.
pub(crate) fn plain_name(name: &str) -> &str {
    let plain = name.rsplit_once('.').filter(|(_, suffix)| COMPRESSED.contains(suffix));
    plain.map_or(name, |(plain, _)| plain)
}
