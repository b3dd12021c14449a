//! The SHA-256 of bytes and files. With the CPU's SHA instructions it runs at about 1 GB/s per core.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, IoContext};

/// The SHA-256 and the length of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// How many bytes there are.
    pub bytes: u64,
}

impl Digest {
    /// Hashes bytes in memory.
    pub fn of(bytes: impl AsRef<[u8]>) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(bytes.as_ref());
        hasher.finish()
    }

    /// Reads and hashes a regular file.
    ///
    /// # Errors
    /// [`Error::Damaged`] for anything else under that name; [`Error::Missing`], [`Error::Permission`] or
    /// [`Error::Io`] for a file that cannot be read.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Digest, Error> {
        let path = path.as_ref();
        let mut file = crate::regular::open(path)?;
        let mut hashed = || -> io::Result<Digest> {
            let mut hasher = Hasher::default();
            let mut buffer = vec![0; 1 << 18];
            loop {
                match file.read(&mut buffer) {
                    Ok(0) => return Ok(hasher.finish()),
                    Ok(n) => hasher.update(&buffer[..n]),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
        };
        hashed().io_context("read", path)
    }

    /// The SHA-256 as 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Hashes bytes as they pass by.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    sha: Sha256,
    bytes: u64,
}

impl Hasher {
    /// Appends `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The digest of everything appended.
    pub fn finish(self) -> Digest {
        Digest { sha256: self.sha.finalize().into(), bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pieces_and_files_agree_with_the_standards_example() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = Digest::of("abc");
        assert_eq!((digest.hex().as_str(), digest.bytes), (expected, 3));
        let mut hasher = Hasher::default();
        b"abc".chunks(2).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.finish(), digest);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(Digest::of_file(file.path()).unwrap(), digest);
        assert!(matches!(Digest::of_file("not/there").unwrap_err(), Error::Missing { .. }));
    }
}
