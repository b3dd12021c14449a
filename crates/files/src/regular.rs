//! Regular files: a pipe would be waited for, and a device such as `/dev/zero` never ends.

use std::fs::{self, File};
use std::path::Path;

use crate::error::{Error, IoContext};

/// Opens a regular file.
///
/// # Errors
/// [`Error::Damaged`] for anything else under that name, else the I/O error.
pub fn open(path: impl AsRef<Path>) -> Result<File, Error> {
    let path = path.as_ref();
    // Before opening, which would wait for the other end of a pipe.
    if !fs::metadata(path).io_context("read", path)?.is_file() {
        return Err(Error::Damaged { path: path.to_path_buf(), what: "not a regular file".to_string() });
    }
    File::open(path).io_context("read", path)
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`], and what reading it reports.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut open(&path)?, &mut bytes).io_context("read", path.as_ref())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).unwrap(), b"text");
        for other in [Path::new("/dev/zero"), dir.path()] {
            assert!(read(other).unwrap_err().to_string().ends_with("is damaged (not a regular file)"));
        }
        assert!(matches!(read(dir.path().join("none")), Err(Error::Missing { .. })));
    }
}
