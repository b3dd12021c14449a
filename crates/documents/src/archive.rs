//! Zip archives, of which a few members change and all others are copied as they are compressed.
//!
//! Nothing is unpacked to disk, so a member's name cannot do harm as a path, and nothing is unpacked beyond the
//! caller's limits, whatever sizes the archive claims.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::{Error, Result};
use crate::limits::Limits;

/// Times that a member may be larger than its compressed form, once it is larger than [`FREE`]: text with markup is 5
/// to 40 times larger.
const RATIO: usize = 250;
/// Bytes that any member may have, however well it is compressed.
const FREE: usize = 1 << 20;

/// Bytes that all of an archive's members may unpack to.
pub fn most_unpacked(bytes: usize) -> usize {
    bytes.saturating_mul(RATIO).max(FREE)
}

/// An archive in memory.
pub struct Archive {
    zip: ZipArchive<Cursor<Arc<[u8]>>>,
    names: Vec<String>,
    /// Bytes of all members that may still be unpacked.
    left: usize,
}

impl Archive {
    /// Reads an archive's directory.
    ///
    /// # Errors [`Error::Invalid`] for bytes that are no archive, or a damaged one, or one with encrypted or
    /// overlapping members; [`Error::TooLarge`] for more members than the limits allow.
    pub fn read(bytes: Vec<u8>, limits: &Limits) -> Result<Self> {
        let damaged = |_| Error::invalid("the file is no archive, or it is damaged");
        let mut zip = ZipArchive::new(Cursor::new(Arc::from(bytes))).map_err(damaged)?;
        if zip.len() > limits.members {
            let text = format!("an archive of {} members; at most {} are taken", zip.len(), limits.members);
            return Err(Error::too_large(text));
        }
        // Members that overlap let a small archive unpack to a large one.
        if zip.has_overlapping_files().map_err(damaged)? {
            return Err(Error::invalid("the file is an archive whose members overlap"));
        }
        let mut names = Vec::with_capacity(zip.len());
        for i in 0..zip.len() {
            let member = zip.by_index_raw(i).map_err(damaged)?;
            if member.encrypted() {
                return Err(Error::invalid("the file is encrypted; save it without a password"));
            }
            names.push(String::from_utf8_lossy(member.name_raw()).into_owned());
        }
        Ok(Self { zip, names, left: limits.unpacked })
    }

    /// The members' names, by their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A member's content, which counts towards the limit of what is unpacked.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a damaged member, [`Error::TooLarge`] for more than may still be unpacked.
    pub fn content(&mut self, number: usize) -> Result<Vec<u8>> {
        let name = self.names.get(number).cloned().unwrap_or_default();
        let damaged = || Error::invalid(format!("{name} in the file is damaged"));
        let mut member = self.zip.by_index(number).map_err(|_| damaged())?;
        let by_ratio = most_unpacked(usize::try_from(member.compressed_size()).unwrap_or(usize::MAX));
        let most = self.left.min(by_ratio);
        let mut content = Vec::new();
        Read::by_ref(&mut member).take(most as u64 + 1).read_to_end(&mut content).map_err(|_| damaged())?;
        if content.len() > most {
            return Err(Error::too_large(format!("{name} in the file unpacks to more than {most} bytes")));
        }
        self.left -= content.len();
        Ok(content)
    }

    /// A member's text.
    ///
    /// # Errors
    /// As [`Archive::content`]; [`Error::Invalid`] for text in another encoding than UTF-8.
    pub fn text(&mut self, number: usize) -> Result<String> {
        let name = self.names.get(number).cloned().unwrap_or_default();
        String::from_utf8(self.content(number)?).map_err(|_| Error::invalid(format!("{name} in the file is not UTF-8")))
    }

    /// The archive with new content for some members, by their numbers.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it would be too large for the format.
    pub fn with(&self, changed: &[(usize, Vec<u8>)]) -> Result<Vec<u8>> {
        let fault = |_| Error::too_large("the translated file is too large, or the file is damaged");
        // The archive's bytes are shared; reading moves only the copy's place.
        let mut zip = self.zip.clone();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.set_raw_comment(zip.comment().into()).map_err(fault)?;
        for (number, name) in self.names.iter().enumerate() {
            let member = zip.by_index_raw(number).map_err(fault)?;
            match changed.iter().find(|(of, _)| *of == number) {
                None => writer.raw_copy_file(member).map_err(fault)?,
                Some((_, content)) => {
                    let options = member.options().compression_method(CompressionMethod::Deflated);
                    drop(member);
                    writer.start_file(name, options).map_err(fault)?;
                    writer.write_all(content).map_err(|_| fault(zip::result::ZipError::FileNotFound))?;
                }
            }
        }
        writer.finish().map(Cursor::into_inner).map_err(fault)
    }

    /// An archive of these members; for tests.
    #[cfg(test)]
    pub fn of(members: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.set_raw_comment(b"end"[..].into()).unwrap();
        writer.finish().unwrap().into_inner()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: Vec<u8>) -> Result<Archive> {
        Archive::read(bytes, &Limits::default())
    }

    #[test]
    fn members_that_are_not_changed_stay_as_they_are() {
        let long = "long and long ".repeat(100);
        let bytes = Archive::of(&[("a.xml", "<a/>"), ("b/../c", &long), ("d", "")]);
        let archive = read(bytes).unwrap();
        assert_eq!(archive.names(), ["a.xml", "b/../c", "d"]);
        let mut changed = read(archive.with(&[(0, b"<b></b>".to_vec())]).unwrap()).unwrap();
        assert_eq!(changed.names(), archive.names());
        assert_eq!(changed.content(0).unwrap(), b"<b></b>");
        assert_eq!(changed.content(1).unwrap(), long.as_bytes());
        assert_eq!(changed.zip.comment(), b"end");
        let compressed = |mut archive: Archive| {
            let mut bytes = Vec::new();
            archive.zip.by_index_raw(1).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(compressed(changed), compressed(archive));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let bomb = " ".repeat(FREE * 2);
        let bytes = Archive::of(&[("a", &bomb), ("b", "x")]);
        assert!(bytes.len() < 10_000);
        assert!(matches!(read(bytes.clone()).unwrap().content(0), Err(Error::TooLarge(_))), "by its ratio");
        let half = "ab c".repeat(FREE / 8);
        let bytes = Archive::of(&[("a", &half), ("b", &half)]);
        let limits = Limits { unpacked: FREE * 3 / 4, ..Limits::default() };
        let mut archive = Archive::read(bytes, &limits).unwrap();
        assert!(archive.content(0).is_ok(), "all together");
        assert!(matches!(archive.content(1), Err(Error::TooLarge(_))));
        let limits = Limits { members: 1, ..Limits::default() };
        assert!(matches!(Archive::read(Archive::of(&[("a", ""), ("b", "")]), &limits), Err(Error::TooLarge(_))));
    }

    #[test]
    fn damaged_archives_are_refused() {
        let bytes = Archive::of(&[("a", "some content")]);
        for cut in 0..bytes.len() - 3 {
            assert!(read(bytes[..cut].to_vec()).is_err(), "{cut}");
        }
        let mut flipped = bytes;
        flipped[34] ^= 0x55;
        assert!(read(flipped).and_then(|mut archive| archive.content(0)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(change in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
            let mut bytes = Archive::of(&[("a", "some content"), ("b", "")]);
            for (at, value) in change {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(mut archive) = read(bytes) {
                let _ = archive.content(0);
                let _ = archive.with(&[(0, b"x".to_vec())]);
            }
        }
    }
}
