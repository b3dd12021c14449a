//! Text files that people write.

use std::fs;
use std::path::Path;

use crate::error::{Error, IoContext};

/// Reads a UTF-8 file, without its byte-order mark.
///
/// # Errors
/// [`Error::NotUtf8`] with the line of the first wrong byte, else the I/O error.
pub fn read_text(path: impl AsRef<Path>) -> Result<String, Error> {
    let path = path.as_ref();
    utf8(path, fs::read(path).io_context("read", path)?)
}

/// The content of a text file as text, without its byte-order mark.
///
/// # Errors
/// [`Error::NotUtf8`] with the line of the first wrong byte.
pub fn utf8(path: &Path, mut bytes: Vec<u8>) -> Result<String, Error> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Error::NotUtf8 { path: path.to_path_buf(), line: 1 + good.iter().filter(|byte| **byte == b'\n').count() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_wrong_byte_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms");
        fs::write(&path, b"gr\xc3\xbcn\nblau\n\xfc\n").unwrap();
        let error = read_text(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}, line 3: not valid UTF-8", path.display())), "{error}");
        fs::write(&path, "grün\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "grün\n");
        fs::write(&path, "\u{feff}grün\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "grün\n");
    }
}
