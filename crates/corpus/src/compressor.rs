//! Writing files that are compressed as their names say.

use std::io::{self, Write};
use std::path::Path;

use flate2::write::GzEncoder;

use crate::text::suffix;

/// A file that is being written, through the compression that its name says.
pub enum Compressor<W: Write> {
    /// None.
    Plain(W),
    /// `.gz`
    Gzip(GzEncoder<W>),
    /// `.zst`
    Zstd(zstd::Encoder<'static, W>),
    /// `.xz`
    Xz(liblzma::write::XzEncoder<W>),
    /// `.bz2`
    Bzip2(bzip2::write::BzEncoder<W>),
}

/// `out` for what is written to a file named `path`: compressed, if it is named `.gz`, `.zst`, `.xz` or `.bz2`, at the
/// level that the programs of these names take. [`Compressor::finish`] writes the end.
///
/// # Errors
/// No memory for the compression.
pub fn compressed<W: Write>(path: &Path, out: W) -> io::Result<Compressor<W>> {
    Ok(match suffix(path).as_str() {
        "gz" => Compressor::Gzip(GzEncoder::new(out, flate2::Compression::default())),
        "zst" => Compressor::Zstd(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?),
        "xz" => Compressor::Xz(liblzma::write::XzEncoder::new(out, 6)),
        "bz2" => Compressor::Bzip2(bzip2::write::BzEncoder::new(out, bzip2::Compression::best())),
        _ => Compressor::Plain(out),
    })
}

impl<W: Write> Compressor<W> {
    /// Writes what is left, and gives back what it is written to.
    ///
    /// # Errors
    /// The I/O error.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(out) => out.finish(),
            Self::Zstd(out) => out.finish(),
            Self::Xz(out) => out.finish(),
            Self::Bzip2(out) => out.finish(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(out) => out,
            Self::Gzip(out) => out,
            Self::Zstd(out) => out,
            Self::Xz(out) => out,
            Self::Bzip2(out) => out,
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::text::{COMPRESSED, open, unpacked};

    #[test]
    fn what_is_written_is_read_by_its_name_and_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let text = "The house is small.\n".repeat(9);
        for suffix in COMPRESSED.into_iter().chain(["txt", "GZ"]) {
            let path = folder.path().join(format!("lines.{suffix}"));
            let mut out = compressed(&path, std::fs::File::create(&path).unwrap()).unwrap();
            text.split_inclusive('\n').for_each(|line| out.write_all(line.as_bytes()).unwrap());
            drop(out.finish().unwrap());
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len() < text.len(), suffix != "txt", "{suffix}: {} bytes", bytes.len());
            for mut reader in [open(&path).unwrap(), unpacked(io::Cursor::new(bytes))] {
                let mut found = String::new();
                reader.read_to_string(&mut found).unwrap();
                assert_eq!(found, text, "{suffix}");
            }
        }
        for text in ["", "BZh", "BZhave a look", "\u{1f}"] {
            let mut found = String::new();
            unpacked(text.as_bytes()).read_to_string(&mut found).unwrap();
            assert_eq!(found, text);
        }
    }
}
