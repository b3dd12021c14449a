//! NumPy's `.npz`: a zip archive of `.npy` members
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::Archive;
use crate::error::Error;
use crate::npy;
use crate::tensors::{Info, Tensors};

/// An open `.npz`.
pub struct Npz {
    archive: Archive,
    arrays: BTreeMap<String, Array>,
}

struct Array {
    member: String,
    info: Info,
    /// Where the elements begin.
    start: usize,
}

impl Npz {
    /// Maps the file and reads the header of every array.
    ///
    /// # Errors
    /// Anything but a whole archive of arrays with numbers in C order.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let archive = Archive::open(path)?;
        let mut arrays = BTreeMap::new();
        for member in archive.names() {
            let name = member.strip_suffix(".npy");
            let name = name.ok_or_else(|| Error::damaged(path, format!("the member {member:?} is no .npy")))?;
            let head = archive.head(member, npy::MOST_HEADER as u64)?;
            let wrong = |what: String| Error::damaged(path, format!("the array {name:?}: {what}"));
            let (info, start) = npy::header(&head).map_err(wrong)?;
            let expected = info.bytes().and_then(|bytes| bytes.checked_add(start as u64));
            if expected != archive.size(member) {
                return Err(wrong(format!("its bytes do not fit its shape {:?}", info.shape)));
            }
            arrays.insert(name.to_owned(), Array { member: member.to_owned(), info, start });
        }
        Ok(Self { archive, arrays })
    }
}

impl Tensors for Npz {
    fn path(&self) -> &Path {
        self.archive.path()
    }

    fn names(&self) -> Vec<&str> {
        self.arrays.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.arrays.get(name).map(|array| array.info.clone())
    }

    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        let missing = || Error::NoTensor { path: self.path().to_path_buf(), name: name.to_owned() };
        let array = self.arrays.get(name).ok_or_else(missing)?;
        Ok(match self.archive.read(&array.member)? {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[array.start..]),
            Cow::Owned(mut bytes) => {
                bytes.drain(..array.start);
                Cow::Owned(bytes)
            }
        })
    }
}
