//! Zip archives, of which a few members change and all others are copied in their compressed form.
//!
//! Covers what office programs write: stored or deflated members, without encryption and without the extensions beyond
//! 4 GB. Nothing is unpacked to disk, so a member's name cannot do harm as a path.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// An archive in memory.
#[derive(Debug)]
pub struct Archive {
    bytes: Vec<u8>,
    members: Vec<Member>,
    /// The archive's comment, behind the directory.
    comment: Vec<u8>,
}

/// A member, as the archive's directory describes it.
#[derive(Clone, Debug)]
struct Member {
    /// The fixed part of the directory's record.
    record: [u8; RECORD],
    name: Vec<u8>,
    extra: Vec<u8>,
    comment: Vec<u8>,
    /// Its compressed bytes in the archive.
    data: std::ops::Range<usize>,
}

/// Bytes of the fixed parts of a directory record, of a member's own header, and of the end of the directory.
const RECORD: usize = 46;
const HEADER: usize = 30;
const END: usize = 22;
/// Offsets in a directory record.
const FLAGS: usize = 8;
const METHOD: usize = 10;
const CRC: usize = 16;
const COMPRESSED: usize = 20;
const SIZE: usize = 24;
const LENGTHS: usize = 28;
const OFFSET: usize = 42;
const DEFLATED: u16 = 8;
/// Flag: the sizes follow the member instead of being in its header.
const SIZES_BEHIND: u16 = 1 << 3;

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

fn put(bytes: &mut [u8], at: usize, value: usize) -> Option<()> {
    bytes.get_mut(at..at + 4)?.copy_from_slice(&u32::try_from(value).ok()?.to_le_bytes());
    Some(())
}

impl Archive {
    /// Reads an archive's directory; none if it is missing or damaged.
    pub fn read(bytes: Vec<u8>) -> Option<Self> {
        let first = bytes.len().saturating_sub(END + usize::from(u16::MAX));
        let is_end = |at: &usize| bytes[*at..].starts_with(b"PK\x05\x06") && bytes.len() - at >= END;
        let end = (first..bytes.len()).rev().find(is_end)?;
        let (count, mut at) = (u16_at(&bytes, end + 10)?, u32_at(&bytes, end + 16)?);
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let record: [u8; RECORD] = bytes.get(at..at + RECORD)?.try_into().ok()?;
            let [name, extra, comment] = [0, 2, 4].map(|i| u16_at(&record, LENGTHS + i));
            let mut next = at + RECORD;
            let mut take = |length: usize| {
                let taken = bytes.get(next..next + length)?.to_vec();
                next += length;
                Some(taken)
            };
            let (name, extra, comment) = (take(name?)?, take(extra?)?, take(comment?)?);
            let header = u32_at(&record, OFFSET)?;
            let is_member = record.starts_with(b"PK\x01\x02") && bytes.get(header..)?.starts_with(b"PK\x03\x04");
            let start = header + HEADER + u16_at(&bytes, header + 26)? + u16_at(&bytes, header + 28)?;
            let data = start..start + u32_at(&record, COMPRESSED)?;
            // 1: encrypted.
            if !is_member || u16_at(&record, FLAGS)? & 1 != 0 || bytes.get(data.clone()).is_none() {
                return None;
            }
            members.push(Member { record, name, extra, comment, data });
            at = next;
        }
        // Members that overlap would let a small archive unpack to a large one.
        let total = members.iter().try_fold(0usize, |sum, member| sum.checked_add(member.data.len()))?;
        if total > bytes.len() {
            return None;
        }
        let comment = bytes[end + END..].to_vec();
        Some(Self { bytes, members, comment })
    }

    /// The numbers and names of the members whose names are UTF-8.
    pub fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.members.iter().enumerate().filter_map(|(i, member)| Some((i, std::str::from_utf8(&member.name).ok()?)))
    }

    /// A member's content, cut off at `most` + 1 bytes whatever size the directory claims; none if it is damaged.
    pub fn content(&self, number: usize, most: usize) -> Option<Vec<u8>> {
        let member = self.members.get(number)?;
        let data = self.bytes.get(member.data.clone())?;
        let mut content = Vec::new();
        let limit = most as u64 + 1;
        match u16_at(&member.record, METHOD)? {
            0 => data.take(limit).read_to_end(&mut content),
            8 => DeflateDecoder::new(data).take(limit).read_to_end(&mut content),
            _ => return None,
        }
        .ok()?;
        let same = checksum(&content) as usize == u32_at(&member.record, CRC)?;
        (content.len() > most || same).then_some(content)
    }

    /// The archive with new content for some members, by their numbers; none if it would be too large for the format.
    pub fn with(&self, changed: &[(usize, Vec<u8>)]) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut directory = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            let mut record = member.record;
            let mut data = std::borrow::Cow::Borrowed(&self.bytes[member.data.clone()]);
            if let Some((_, content)) = changed.iter().find(|(of, _)| *of == number) {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(content).ok()?;
                data = encoder.finish().ok()?.into();
                record[METHOD..METHOD + 2].copy_from_slice(&DEFLATED.to_le_bytes());
                put(&mut record, CRC, checksum(content) as usize)?;
                put(&mut record, COMPRESSED, data.len())?;
                put(&mut record, SIZE, content.len())?;
            }
            let flags = u16::from_le_bytes([record[FLAGS], record[FLAGS + 1]]) & !SIZES_BEHIND;
            record[FLAGS..FLAGS + 2].copy_from_slice(&flags.to_le_bytes());
            put(&mut record, OFFSET, bytes.len())?;
            // The header repeats the record from the version needed to the length of the name.
            bytes.extend_from_slice(b"PK\x03\x04");
            bytes.extend_from_slice(&record[6..LENGTHS + 2]);
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&member.name);
            bytes.extend_from_slice(&data);
            directory.extend_from_slice(&record);
            for part in [&member.name, &member.extra, &member.comment] {
                directory.extend_from_slice(part);
            }
        }
        let mut end = [0; END];
        end[..4].copy_from_slice(b"PK\x05\x06");
        for at in [8, 10] {
            end[at..at + 2].copy_from_slice(&u16::try_from(self.members.len()).ok()?.to_le_bytes());
        }
        put(&mut end, 12, directory.len())?;
        put(&mut end, 16, bytes.len())?;
        end[20..].copy_from_slice(&u16::try_from(self.comment.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(&end);
        bytes.extend_from_slice(&self.comment);
        Some(bytes)
    }

    /// An archive of these members; for tests.
    #[cfg(test)]
    pub fn of(members: &[(&str, &str)]) -> Vec<u8> {
        let member = |(name, _): &(&str, &str)| {
            let mut record = [0; RECORD];
            record[..4].copy_from_slice(b"PK\x01\x02");
            record[LENGTHS..LENGTHS + 2].copy_from_slice(&(name.len() as u16).to_le_bytes());
            Member { record, name: name.as_bytes().to_vec(), extra: vec![], comment: vec![], data: 0..0 }
        };
        let archive = Self { bytes: vec![], members: members.iter().map(member).collect(), comment: b"end".to_vec() };
        let content = members.iter().enumerate().map(|(i, (_, content))| (i, content.as_bytes().to_vec()));
        archive.with(&content.collect::<Vec<_>>()).unwrap()
    }
}

/// A zip archive's CRC-32.
fn checksum(content: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(content);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_that_are_not_changed_stay_as_they_are() {
        let bytes = Archive::of(&[("a.xml", "<a/>"), ("b/../c", "long ".repeat(1000).as_str()), ("d", "")]);
        let archive = Archive::read(bytes.clone()).unwrap();
        assert_eq!(archive.with(&[]).unwrap(), bytes);
        let names: Vec<_> = archive.names().map(|(_, name)| name.to_string()).collect();
        assert_eq!(names, ["a.xml", "b/../c", "d"]);
        let changed = Archive::read(archive.with(&[(0, b"<b></b>".to_vec())]).unwrap()).unwrap();
        assert_eq!(changed.content(0, 100).unwrap(), b"<b></b>");
        assert_eq!(changed.content(1, 5000).unwrap(), "long ".repeat(1000).as_bytes());
        let compressed = |archive: &Archive| archive.bytes[archive.members[1].data.clone()].to_vec();
        assert_eq!(compressed(&changed), compressed(&archive));
        assert_eq!(changed.content(1, 1000).unwrap().len(), 1001, "longer than is taken");
    }

    #[test]
    fn damaged_archives_are_refused() {
        let bytes = Archive::of(&[("a", "some content")]);
        for cut in 0..bytes.len() - 3 {
            assert!(Archive::read(bytes[..cut].to_vec()).is_none(), "{cut}");
        }
        let mut flipped = bytes.clone();
        flipped[HEADER + 3] ^= 0x55;
        assert_eq!(Archive::read(flipped).unwrap().content(0, 100), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(change in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
            let mut bytes = Archive::of(&[("a", "some content"), ("b", "")]);
            for (at, value) in change {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(archive) = Archive::read(bytes) {
                archive.content(0, 1000);
                archive.with(&[(0, b"x".to_vec())]);
            }
        }
    }
}
