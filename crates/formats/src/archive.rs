//! Zip archives as PyTorch and NumPy write them, from a memory map: stored members are borrowed, deflated ones unpacked
//! with the size that they announce as the limit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;
use std::sync::Arc;

use strata_files::MappedFile;
use zip::{CompressionMethod, ZipArchive};

use crate::error::Error;

/// The bytes of a map as the zip crate takes them.
#[derive(Clone)]
struct Bytes(Arc<MappedFile>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An open archive.
pub(crate) struct Archive {
    map: Arc<MappedFile>,
    zip: ZipArchive<Cursor<Bytes>>,
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Copy)]
struct Member {
    index: usize,
    /// Size in bytes, unpacked.
    size: u64,
    /// Where a stored member's bytes begin in the file.
    stored: Option<usize>,
}

/// Deflate makes nothing smaller than this share.
const MOST_RATIO: u64 = 1032;

impl Archive {
    /// Maps the file and reads its directory.
    ///
    /// # Errors
    /// Anything but a whole zip archive; encryption, or a compression other than deflate; a member that lies outside
    /// the file or announces a size that its bytes cannot have; members of more bytes than the file, which would be
    /// unpacked over and over.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = Arc::new(MappedFile::open(path)?);
        let damaged = |e: zip::result::ZipError| Error::damaged(path, format!("no whole zip archive: {e}"));
        let mut zip = ZipArchive::new(Cursor::new(Bytes(map.clone()))).map_err(damaged)?;
        let mut members = BTreeMap::new();
        let mut all_packed = 0u64;
        for index in 0..zip.len() {
            let member = zip.by_index_raw(index).map_err(damaged)?;
            let name = member.name().map_err(damaged)?.into_owned();
            let wrong = |what: &str| Error::damaged(path, format!("the member {name:?} {what}"));
            if member.encrypted() {
                return Err(wrong("is encrypted"));
            }
            let (size, packed) = (member.size(), member.compressed_size());
            let start = member
                .data_start()
                .filter(|start| start.checked_add(packed).is_some_and(|end| end <= map.len() as u64));
            let start = start.ok_or_else(|| wrong("does not lie in the file"))?;
            all_packed += packed;
            if all_packed > map.len() as u64 {
                return Err(wrong("lies where another one lies"));
            }
            let stored = match member.compression() {
                CompressionMethod::Stored if size == packed => Some(start as usize),
                CompressionMethod::Deflated if size <= packed.saturating_mul(MOST_RATIO) => None,
                CompressionMethod::Stored | CompressionMethod::Deflated => {
                    return Err(wrong("announces a size that it cannot have"));
                }
                other => {
                    return Err(wrong(&format!("is compressed by {other}; only stored and deflated ones are read")));
                }
            };
            members.insert(name, Member { index, size, stored });
        }
        Ok(Self { map, zip, members })
    }

    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// The names of all members, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// The size of a member in bytes, unpacked.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.members.get(name).map(|member| member.size)
    }

    /// The first `most` bytes of a member, or all of it.
    ///
    /// # Errors
    /// A member that is missing, or that does not unpack to what it announced.
    pub fn head(&self, name: &str, most: u64) -> Result<Cow<'_, [u8]>, Error> {
        let wrong = |what: String| Error::damaged(self.path(), format!("the member {name:?} {what}"));
        let member = self.members.get(name).ok_or_else(|| wrong("is missing".to_owned()))?;
        let length = member.size.min(most);
        if let Some(start) = member.stored {
            return Ok(Cow::Borrowed(&self.map[start..start + length as usize]));
        }
        let mut zip = self.zip.clone();
        let mut unpacked = Vec::new();
        let mut reader = zip.by_index(member.index).map_err(|e| wrong(e.to_string()))?;
        reader.by_ref().take(length).read_to_end(&mut unpacked).map_err(|e| wrong(e.to_string()))?;
        if unpacked.len() as u64 != length {
            return Err(wrong(format!("has {} of {} bytes", unpacked.len(), member.size)));
        }
        Ok(Cow::Owned(unpacked))
    }

    /// A whole member that lies in the archive as it is.
    ///
    /// # Errors
    /// A member that is missing, or that is compressed.
    pub fn stored(&self, name: &str) -> Result<&[u8], Error> {
        let wrong = |what: &str| Error::damaged(self.path(), format!("the member {name:?} {what}"));
        let member = self.members.get(name).ok_or_else(|| wrong("is missing"))?;
        let start = member.stored.ok_or_else(|| wrong("is compressed, which its program does not do"))?;
        Ok(&self.map[start..start + member.size as usize])
    }

    /// Unpacks a member into a writer, which writes `to`.
    ///
    /// # Errors
    /// As [`Archive::head`], and the I/O error of `to`.
    pub fn copy(&self, name: &str, to: &Path, writer: &mut impl Write) -> Result<(), Error> {
        let wrong = |what: String| Error::damaged(self.path(), format!("the member {name:?} {what}"));
        let member = self.members.get(name).ok_or_else(|| wrong("is missing".to_owned()))?;
        let mut zip = self.zip.clone();
        let reader = zip.by_index(member.index).map_err(|e| wrong(e.to_string()))?;
        let copied = std::io::copy(&mut reader.take(member.size), writer).and_then(|n| writer.flush().map(|()| n));
        match copied {
            Ok(length) if length == member.size => Ok(()),
            Ok(length) => Err(wrong(format!("has {length} of {} bytes", member.size))),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => Err(wrong(e.to_string())),
            Err(e) => Err(strata_files::Error::io("write", to, e).into()),
        }
    }

    /// A whole member.
    ///
    /// # Errors
    /// As [`Archive::head`].
    pub fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        self.head(name, u64::MAX)
    }
}
