//! Checked reading of little-endian numbers: no length in a file is believed before the bytes are seen to be there.

use std::path::Path;

use crate::error::Error;

/// A place in the bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self { path, bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// A file that is shorter.
    pub fn take(&mut self, length: u64) -> Result<&'a [u8], Error> {
        let end = (self.at as u64).saturating_add(length);
        if end > self.bytes.len() as u64 {
            let (path, found) = (self.path.to_path_buf(), self.bytes.len() as u64);
            return Err(strata_files::Error::CutShort { path, found, expected: end }.into());
        }
        let taken = &self.bytes[self.at..end as usize];
        self.at = end as usize;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next `length` bytes as text, without zeros at the end.
    ///
    /// # Errors
    /// A file that is shorter, or bytes that are not UTF-8.
    pub fn text(&mut self, length: u64) -> Result<&'a str, Error> {
        let bytes = self.take(length)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let place = self.at - bytes.len();
        std::str::from_utf8(&bytes[..end])
            .map_err(|_| Error::damaged(self.path, format!("the text at byte {place} is not UTF-8")))
    }
}
