//! PyTorch's `.bin` and `.pt`: a zip archive of a pickle, which names the tensors, and of their bytes.
//!
//! `NAME/data.pkl` is the pickle, `NAME/data/KEY` the elements of the storage KEY. `pickle` reads the pickle
//! without running anything.
//!
//! PyTorch compresses neither. A compressed storage is refused: any number of tensors may lie in one, and each would
//! unpack it anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::Archive;
use crate::error::Error;
use crate::pickle::{self, PickledTensor};
use crate::tensors::{Info, Tensors};

/// An open file.
pub struct PyTorch {
    archive: Archive,
    /// The members' common beginning.
    prefix: String,
    tensors: BTreeMap<String, PickledTensor>,
}

/// A pickle of tensors has some hundred bytes for each.
const MOST_PICKLE: u64 = 256 << 20;

impl PyTorch {
    /// Maps the file and reads its pickle.
    ///
    /// # Errors
    /// Anything but a whole archive of a dictionary of contiguous tensors; [`Error::Code`] for a pickle that asks for
    /// something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        refuse_old(path)?;
        let archive = Archive::open(path)?;
        let found = archive.names().find_map(|name| name.strip_suffix("data.pkl")).map(str::to_owned);
        let prefix = found.ok_or_else(|| Error::damaged(path, "it has no data.pkl, so PyTorch did not write it"))?;
        let order = format!("{prefix}byteorder");
        if archive.size(&order).is_some() && *archive.head(&order, 16)? != *b"little" {
            return Err(Error::unsupported(path, "its numbers are big-endian; save it again on another machine"));
        }
        let pickled = format!("{prefix}data.pkl");
        if archive.size(&pickled).is_some_and(|size| size > MOST_PICKLE) {
            return Err(Error::unsupported(path, format!("its pickle is larger than {MOST_PICKLE} bytes")));
        }
        let tensors = pickle::tensors(path, archive.stored(&pickled)?)?;
        for (name, tensor) in &tensors {
            let stored = archive.stored(&format!("{prefix}data/{}", tensor.storage))?.len() as u64;
            let end = tensor.info.bytes().and_then(|bytes| bytes.checked_add(tensor.start));
            if end.is_none_or(|end| end > stored) {
                let what = format!("tensor `{name}` {:?} lies outside the bytes that are there", tensor.info.shape);
                return Err(Error::damaged(path, what));
            }
        }
        Ok(Self { archive, prefix, tensors })
    }
}

/// Files of PyTorch before 1.6 are bare pickles.
fn refuse_old(path: &Path) -> Result<(), Error> {
    let map = strata_files::MappedFile::open(path)?;
    if map.starts_with(b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") {
        let what = "saved by PyTorch before 1.6 (or with the old serialization); load it in Python and save it again";
        return Err(Error::unsupported(path, what));
    }
    Ok(())
}

impl Tensors for PyTorch {
    fn path(&self) -> &Path {
        self.archive.path()
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.tensors.get(name).map(|tensor| tensor.info.clone())
    }

    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        let missing = || Error::NoTensor { path: self.path().to_path_buf(), name: name.to_owned() };
        let tensor = self.tensors.get(name).ok_or_else(missing)?;
        let storage = self.archive.stored(&format!("{}data/{}", self.prefix, tensor.storage))?;
        // Checked against the storage's size on opening.
        let start = tensor.start as usize;
        Ok(Cow::Borrowed(&storage[start..start + tensor.info.bytes().unwrap_or(0) as usize]))
    }
}
