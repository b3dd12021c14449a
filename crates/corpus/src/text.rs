//! Text files as they lie on disks: plain, or compressed as their names say, in UTF-8, in UTF-16, or in the encoding
//! that their reader is told.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use encoding_rs::Encoding;
use strata_files::IoContext;

use crate::decoded::Decoded;
pub use crate::decoded::unmarked;
use crate::error::Result;
use crate::gunzip::Gunzip;

/// The suffixes of compressed files that are read.
pub const COMPRESSED: [&str; 4] = ["gz", "zst", "xz", "bz2"];

/// Opens a text file as UTF-8, which UTF-16 becomes.
///
/// # Errors
/// A file that cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    Ok(decoded(decompressed(path)?, None))
}

/// A text as UTF-8, from the encoding `said`, or from UTF-16 where a byte order mark or the text's bytes say so. The
/// mark stays; what is no text in the encoding becomes bytes that are no UTF-8.
pub fn decoded(input: impl BufRead + Send + 'static, said: Option<&'static Encoding>) -> Box<dyn BufRead + Send> {
    Box::new(Decoded::new(input, said))
}

/// Opens a file as it is, without its compression if it is named `.gz`, `.zst`, `.xz` or `.bz2`.
///
/// # Errors
/// A file that cannot be opened.
pub fn decompressed(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let file = File::open(path).io_context("read", path)?;
    let buffered = |r: Box<dyn Read + Send>| Box::new(BufReader::with_capacity(1 << 18, r));
    let suffix = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    Ok(match suffix.as_str() {
        "gz" => buffered(Box::new(Gunzip::new(BufReader::new(file)))),
        "zst" => buffered(Box::new(zstd::Decoder::new(file).io_context("decompress", path)?)),
        "xz" => buffered(Box::new(liblzma::read::XzDecoder::new_multi_decoder(file))),
        "bz2" => buffered(Box::new(bzip2::read::MultiBzDecoder::new(file))),
        _ => buffered(Box::new(file)),
    })
}

/// A file's name without the suffix of its compression.
pub(crate) fn plain_name(name: &str) -> &str {
    let is_compression = |suffix: &str| COMPRESSED.iter().any(|known| known.eq_ignore_ascii_case(suffix));
    let plain = name.rsplit_once('.').filter(|(_, suffix)| is_compression(suffix));
    plain.map_or(name, |(plain, _)| plain)
}
