//! Tensors by name in [safetensors](https://github.com/huggingface/safetensors) files: memory-mapped reading without a
//! copy, and writing one tensor at a time, so that a model on a GPU is never in host memory as a whole.
//!
//! A file is a little-endian `u64` header length, a JSON header (name to dtype, shape, byte range), then the bytes,
//! row-major and little-endian. Names, not positions, identify tensors.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use safetensors::Dtype;
use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorInfo};

use strata_files::{Error as FilesError, FileWriter, FolderWriter, MappedFile};

use crate::error::Error;
use crate::finite;

#[cfg(target_endian = "big")]
compile_error!("safetensors files are little-endian and are mapped as they are; this needs a little-endian machine");

/// Bytes of the length field in front of the header.
const LENGTH_FIELD: usize = 8;

/// The largest header that readers of the format accept, in bytes.
const MAX_HEADER: usize = 100_000_000;

/// An open safetensors file; its tensors are views of the memory map.
#[derive(Debug)]
pub struct TensorFile {
    map: Arc<MappedFile>,
    data_start: usize,
    metadata: Metadata,
    names: Vec<String>,
}

/// One tensor of a [`TensorFile`].
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    /// Its element type.
    pub dtype: Dtype,
    /// Its shape, outermost dimension first.
    pub shape: &'a [usize],
    /// Its elements, row-major and little-endian.
    pub bytes: &'a [u8],
}

impl TensorFile {
    /// Maps the file and checks its header against its length; the content is not read.
    ///
    /// # Errors
    /// [`strata_files::Error::CutShort`] or [`strata_files::Error::Damaged`] for anything but a whole safetensors file,
    /// else the I/O error.
    pub fn open(path: impl AsRef<Path>) -> Result<TensorFile, Error> {
        let map = Arc::new(MappedFile::open(path)?);
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| header_error(map.path(), &map, &e))?;
        let names = metadata.offset_keys();
        Ok(TensorFile { map, data_start: LENGTH_FIELD + header, metadata, names })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// The whole file, for callers that keep views of it; each tensor is at its [`TensorFile::range`].
    pub fn mapped(&self) -> &Arc<MappedFile> {
        &self.map
    }

    /// The tensors' names in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The tensor `name`, of whatever type and shape.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is none.
    pub fn view(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let info = self.info(name)?;
        Ok(TensorView { dtype: info.dtype, shape: &info.shape, bytes: &self.map[self.range_of(info)] })
    }

    /// The bytes of the file that are the tensor `name`.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is none.
    pub fn range(&self, name: &str) -> Result<Range<usize>, Error> {
        Ok(self.range_of(self.info(name)?))
    }

    /// Looks for numbers that are not finite in all f32, bf16 and f16 tensors; it reads the whole file.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for the first.
    pub fn check_finite(&self) -> Result<(), Error> {
        for name in self.names() {
            if let Some((index, value)) = finite::first_fault(self.view(name)?) {
                let path = self.path().to_path_buf();
                return Err(Error::NotFinite { path, name: name.to_string(), index, value });
            }
        }
        Ok(())
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, Error> {
        let missing = || Error::NoTensor { path: self.path().to_path_buf(), name: name.to_string() };
        self.metadata.info(name).ok_or_else(missing)
    }

    fn range_of(&self, info: &TensorInfo) -> Range<usize> {
        let (start, end) = info.data_offsets; // checked against the file's length on opening
        self.data_start + start..self.data_start + end
    }

    /// The tensor `name` of that type and shape.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is none, [`Error::TensorMismatch`] for another type or shape.
    pub fn expect(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<TensorView<'_>, Error> {
        let view = self.view(name)?;
        if view.dtype != dtype || view.shape != shape {
            return Err(Error::TensorMismatch {
                path: self.path().to_path_buf(),
                name: name.to_string(),
                found: describe(view.dtype, view.shape),
                expected: describe(dtype, shape),
            });
        }
        Ok(view)
    }

    /// The elements of the f32 tensor `name` of that shape. Borrowed from the map, except from files of other
    /// programs that do not align their data.
    ///
    /// # Errors
    /// As [`TensorFile::expect`].
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        Ok(self.expect(name, Dtype::F32, shape)?.elements())
    }
}

impl<'a> TensorView<'a> {
    /// The bytes as numbers, borrowed where they are aligned.
    fn elements<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self) -> Cow<'a, [T]> {
        bytemuck::try_cast_slice(self.bytes)
            .map_or_else(|_| Cow::Owned(bytemuck::pod_collect_to_vec(self.bytes)), Cow::Borrowed)
    }
}

/// Name, type and shape of a tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, unique in the file.
    pub name: String,
    /// Its element type.
    pub dtype: Dtype,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
}

/// Tensors that can be written one after the other, such as a model's parameters on whatever device they are.
pub trait TensorSource {
    /// What there is to write. The order does not matter; the file is sorted by alignment, then name.
    fn specs(&self) -> Vec<TensorSpec>;

    /// The elements of the tensor at `index` of [`TensorSource::specs`], row-major and little-endian. Called once per
    /// tensor, in the order of the file.
    ///
    /// # Errors
    /// Whatever keeps the tensor from being read.
    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, Error>;
}

/// Tensors in memory, owned or borrowed.
#[derive(Clone, Debug, Default)]
pub struct TensorList<'a> {
    tensors: Vec<(TensorSpec, Data<'a>)>,
}

#[derive(Clone, Debug)]
enum Data<'a> {
    F32(Cow<'a, [f32]>),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> TensorList<'a> {
    /// An empty list.
    pub fn new() -> TensorList<'a> {
        TensorList::default()
    }

    /// Adds an f32 tensor. That `data` fits `shape` is checked on writing.
    pub fn push_f32(&mut self, name: impl Into<String>, shape: &[usize], data: impl Into<Cow<'a, [f32]>>) {
        self.add(name.into(), Dtype::F32, shape, Data::F32(data.into()));
    }

    /// Adds a tensor of any type by its little-endian bytes.
    pub fn push(&mut self, name: impl Into<String>, dtype: Dtype, shape: &[usize], bytes: impl Into<Cow<'a, [u8]>>) {
        self.add(name.into(), dtype, shape, Data::Bytes(bytes.into()));
    }

    /// The elements of the f32 tensor `name`, if there is one of that shape.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Option<&[f32]> {
        let (spec, data) = self.tensors.iter().find(|(spec, _)| spec.name == name)?;
        match data {
            Data::F32(values) if spec.shape == shape => Some(values),
            _ => None,
        }
    }

    fn add(&mut self, name: String, dtype: Dtype, shape: &[usize], data: Data<'a>) {
        self.tensors.push((TensorSpec { name, dtype, shape: shape.to_vec() }, data));
    }
}

impl TensorSource for TensorList<'_> {
    fn specs(&self) -> Vec<TensorSpec> {
        self.tensors.iter().map(|(spec, _)| spec.clone()).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, Error> {
        Ok(Cow::Borrowed(match &self.tensors[index].1 {
            Data::F32(data) => bytemuck::cast_slice(data),
            Data::Bytes(data) => data,
        }))
    }
}

/// Writes `source` as a safetensors file into a folder that is being written.
///
/// # Errors
/// [`Error::BadTensor`] for a name that is taken or bytes that do not fit the shape, else the I/O error or the
/// source's.
pub fn write_tensors(folder: &mut FolderWriter, name: &str, source: &dyn TensorSource) -> Result<(), Error> {
    folder.file(name, |file| stream(file, source, LENGTH_FIELD))
}

/// [`write_tensors`] with the first tensor at a multiple of `alignment` bytes of the file, a multiple of 8. The others
/// follow without gaps, so they are aligned too if the sizes of all are multiples of it.
///
/// # Errors
/// As [`write_tensors`].
pub fn write_aligned_tensors(
    folder: &mut FolderWriter,
    name: &str,
    source: &dyn TensorSource,
    alignment: usize,
) -> Result<(), Error> {
    folder.file(name, |file| stream(file, source, alignment))
}

fn stream(file: &mut FileWriter, source: &dyn TensorSource, alignment: usize) -> Result<(), Error> {
    let specs = source.specs();
    let path = file.path().to_path_buf();
    let bad = |name: &str, what: String| Error::BadTensor { path: path.clone(), name: name.to_string(), what };
    let mut order: Vec<usize> = (0..specs.len()).collect();
    // Wider types first keeps every tensor aligned; then by name, so that equal models give equal files.
    order.sort_by(|&a, &b| specs[b].dtype.cmp(&specs[a].dtype).then_with(|| specs[a].name.cmp(&specs[b].name)));
    let (mut offset, mut infos, mut seen) = (0, Vec::with_capacity(specs.len()), HashSet::new());
    for &i in &order {
        let TensorSpec { name, dtype, shape } = &specs[i];
        if !seen.insert(name.as_str()) || name == "__metadata__" {
            return Err(bad(name, "the name is taken".to_string()));
        }
        let end = byte_len(*dtype, shape).and_then(|n| n.checked_add(offset));
        let end = end.ok_or_else(|| bad(name, format!("{} is no possible size", describe(*dtype, shape))))?;
        infos.push((name.clone(), TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: (offset, end) }));
        offset = end;
    }
    let invalid = |what: String| Error::Invalid(format!("cannot write {}: {what}", path.display()));
    let metadata = Metadata::new(None, infos).map_err(|e| invalid(e.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| invalid(e.to_string()))?;
    header.resize((LENGTH_FIELD + header.len()).next_multiple_of(alignment) - LENGTH_FIELD, b' ');
    if header.len() > MAX_HEADER {
        return Err(invalid(format!("{} tensors are too many for one file", specs.len())));
    }
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for &i in &order {
        let TensorSpec { name, dtype, shape } = &specs[i];
        let bytes = source.bytes(i)?;
        if byte_len(*dtype, shape) != Some(bytes.len()) {
            return Err(bad(name, format!("{} bytes were given for {}", bytes.len(), describe(*dtype, shape))));
        }
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// Bytes of a tensor, or `None` where they are not a whole number or overflow.
fn byte_len(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    let bits = elements.checked_mul(dtype.bitsize())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// `F32 [8, 4]`.
fn describe(dtype: Dtype, shape: &[usize]) -> String {
    format!("{dtype} {shape:?}")
}

/// Whether a file that the safetensors crate refused is cut short or something else.
fn header_error(path: &Path, map: &[u8], error: &safetensors::SafeTensorError) -> FilesError {
    let found = map.len() as u64;
    let cut = |expected: u64| FilesError::CutShort { path: path.to_path_buf(), found, expected };
    let damaged = |what: String| FilesError::Damaged { path: path.to_path_buf(), what };
    let Some(header) = map.get(..LENGTH_FIELD).and_then(|n| n.try_into().ok()).map(u64::from_le_bytes) else {
        return cut(LENGTH_FIELD as u64);
    };
    if header > MAX_HEADER as u64 {
        return damaged("its first bytes are not those of a safetensors file".to_string());
    }
    let start = LENGTH_FIELD as u64 + header;
    let Some(json) = map.get(LENGTH_FIELD..start as usize) else {
        return cut(start);
    };
    match serde_json::from_slice::<Metadata>(json) {
        Ok(metadata) if found < start + metadata.data_len() as u64 => cut(start + metadata.data_len() as u64),
        _ => damaged(format!("no valid safetensors file: {error}")),
    }
}

#[cfg(test)]
mod tests;
