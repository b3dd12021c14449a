//! Text files as they lie on disks: plain, or compressed as their names say, in UTF-8, in UTF-16, or in the encoding
//! that their reader is told.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use encoding_rs::Encoding;
use strata_files::IoContext;

pub use crate::compressor::{Compressor, compressed};
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
    let reader = decompressor(&suffix(path), BufReader::new(file)).io_context("decompress", path)?;
    Ok(Box::new(BufReader::with_capacity(1 << 18, reader)))
}

/// What comes out of an input whose name has no suffix to go by, such as standard input: where its first bytes are
/// those of a compressed file, without the compression. Nothing is read before somebody reads.
pub fn unpacked(input: impl BufRead + Send + 'static) -> Box<dyn BufRead + Send> {
    Box::new(BufReader::with_capacity(1 << 18, Unpacked::Waiting(Some(input))))
}

/// Whether a file's name has the suffix of a compression.
pub fn is_compressed(path: &Path) -> bool {
    COMPRESSED.contains(&suffix(path).as_str())
}

/// The last suffix of a name in lower case; empty if there is none.
pub(crate) fn suffix(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase()
}

/// Without the compression of files with this suffix; as it is for all others.
fn decompressor(suffix: &str, input: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    Ok(match suffix {
        "gz" => Box::new(Gunzip::new(input)),
        "zst" => Box::new(zstd::Decoder::with_buffer(input)?),
        "xz" => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input)),
        "bz2" => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        _ => Box::new(input),
    })
}

/// An input that shows by its first bytes whether it is compressed.
enum Unpacked<R> {
    /// Nothing was read yet.
    Waiting(Option<R>),
    Open(Box<dyn Read + Send>),
}

impl<R: BufRead + Send + 'static> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::Open(reader) => return reader.read(buffer),
                Self::Waiting(input) => {
                    let Some(mut input) = input.take() else { return Ok(0) };
                    let suffix = suffix_of(input.fill_buf()?);
                    *self = Self::Open(decompressor(suffix, input)?);
                }
            }
        }
    }
}

/// The suffix that files with these first bytes have; empty for files that are not compressed.
fn suffix_of(start: &[u8]) -> &'static str {
    let bzip2 = start.starts_with(b"BZh") && start.get(4..10) == Some(b"1AY&SY");
    match start {
        [0x1f, 0x8b, 8, ..] => "gz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zst",
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
        _ if bzip2 => "bz2",
        _ => "",
    }
}

/// A file's name without the suffix of its compression.
pub(crate) fn plain_name(name: &str) -> &str {
    let is_compression = |suffix: &str| COMPRESSED.iter().any(|known| known.eq_ignore_ascii_case(suffix));
    let plain = name.rsplit_once('.').filter(|(_, suffix)| is_compression(suffix));
    plain.map_or(name, |(plain, _)| plain)
}
