//! Memory of packed weights: owned, or a range of a mapped file used in place.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use strata_store::MappedFile;

/// Alignment of all storage in bytes: a cache line, and the widest vector register.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

// SAFETY: 64 bytes without padding, for which every bit pattern, so also zero, is valid.
unsafe impl Zeroable for Line {}
// SAFETY: as above; it is `Copy`, `'static`, and `repr(C)`.
unsafe impl Pod for Line {}

/// Why a range of a file cannot be used as weights.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A part that the file does not have.
    #[error("packed weights have no part `{0}`")]
    Missing(&'static str),
    /// A range outside of the file.
    #[error("part `{part}` lies at bytes {}..{} but the file has {file} bytes", range.start, range.end)]
    Outside {
        /// The part's name.
        part: &'static str,
        /// Where it should lie.
        range: Range<usize>,
        /// The file's size.
        file: usize,
    },
    /// A range whose size does not fit the shape.
    #[error("part `{part}` has {found} bytes, its shape needs {needed}")]
    Size {
        /// The part's name.
        part: &'static str,
        /// Its size in bytes.
        found: usize,
        /// What the shape needs.
        needed: usize,
    },
    /// A range that does not begin at a multiple of [`ALIGNMENT`].
    #[error("part `{part}` begins at byte {at}, which is no multiple of {ALIGNMENT}")]
    Unaligned {
        /// The part's name.
        part: &'static str,
        /// Where it begins.
        at: usize,
    },
}

/// Values at a 64-byte boundary, owned or mapped, in the machine's byte order.
pub struct Storage<T> {
    memory: Memory,
    /// Number of values.
    len: usize,
    kind: std::marker::PhantomData<T>,
}

enum Memory {
    Owned(Vec<Line>),
    Mapped(Arc<MappedFile>, Range<usize>),
}

impl<T: Pod> Storage<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let lines = (len * size_of::<T>()).div_ceil(ALIGNMENT);
        Self { memory: Memory::Owned(vec![Line::zeroed(); lines]), len, kind: Default::default() }
    }

    /// A copy of `values`.
    pub fn copy(values: &[T]) -> Self {
        let mut storage = Self::zeros(values.len());
        storage.as_mut().copy_from_slice(values);
        storage
    }

    /// The bytes `range` of `file` as values, without a copy; `part` names them in errors.
    ///
    /// # Errors
    /// [`LayoutError`] for a range outside of the file, of another size than `len` values, or not aligned.
    pub fn mapped(
        file: &Arc<MappedFile>,
        range: Range<usize>,
        len: usize,
        part: &'static str,
    ) -> Result<Self, LayoutError> {
        let bytes =
            file.get(range.clone()).ok_or(LayoutError::Outside { part, range: range.clone(), file: file.len() })?;
        let needed = len.saturating_mul(size_of::<T>());
        if bytes.len() != needed {
            return Err(LayoutError::Size { part, found: bytes.len(), needed });
        }
        if bytes.as_ptr().align_offset(ALIGNMENT) != 0 {
            return Err(LayoutError::Unaligned { part, at: range.start });
        }
        Ok(Self { memory: Memory::Mapped(Arc::clone(file), range), len, kind: Default::default() })
    }

    /// Makes it `len` values long and owned, with unspecified content. Allocates only to grow.
    pub(crate) fn resize(&mut self, len: usize) -> &mut [T] {
        let lines = (len * size_of::<T>()).div_ceil(ALIGNMENT);
        match &mut self.memory {
            Memory::Owned(owned) if owned.len() >= lines => {}
            Memory::Owned(owned) => owned.resize(lines, Line::zeroed()),
            Memory::Mapped(..) => self.memory = Memory::Owned(vec![Line::zeroed(); lines]),
        }
        self.len = len;
        self.as_mut()
    }

    /// The values, to change them; mapped ones are copied first.
    pub(crate) fn as_mut(&mut self) -> &mut [T] {
        if matches!(self.memory, Memory::Mapped(..)) {
            *self = Self::copy(self);
        }
        match &mut self.memory {
            Memory::Owned(lines) => &mut bytemuck::cast_slice_mut(lines)[..self.len],
            Memory::Mapped(..) => &mut [],
        }
    }

    /// The values as bytes.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl<T: Pod> Deref for Storage<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.memory {
            Memory::Owned(lines) => &bytemuck::cast_slice(lines)[..self.len],
            Memory::Mapped(file, range) => bytemuck::cast_slice(&file[range.clone()]),
        }
    }
}

impl<T: Pod> Default for Storage<T> {
    fn default() -> Self {
        Self::zeros(0)
    }
}

impl<T> fmt::Debug for Storage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.memory {
            Memory::Owned(_) => "owned".to_string(),
            Memory::Mapped(file, range) => format!("{}:{range:?}", file.path().display()),
        };
        write!(f, "Storage({} values, {place})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_storage_is_aligned_and_keeps_its_values_when_it_shrinks_and_grows() {
        let mut storage = Storage::copy(&(0..37).map(|i| i as f32).collect::<Vec<_>>());
        assert_eq!(storage.as_ptr().align_offset(ALIGNMENT), 0);
        assert_eq!(storage[36], 36.0);
        assert_eq!(storage.resize(3), [0.0, 1.0, 2.0]);
        assert_eq!(storage.resize(1000).len(), 1000);
        assert_eq!(storage.as_ptr().align_offset(ALIGNMENT), 0);
        assert!(Storage::<i8>::default().is_empty());
    }

    #[test]
    fn mapped_storage_reads_the_file_and_refuses_bad_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let values: Vec<i32> = (0..40).collect();
        std::fs::write(&path, bytemuck::cast_slice::<i32, u8>(&values)).unwrap();
        let file = Arc::new(MappedFile::open(&path).unwrap());
        let open = |range, len| Storage::<i32>::mapped(&file, range, len, "weight");
        let mut storage = open(64..128, 16).unwrap();
        assert_eq!(*storage, values[16..32]);
        assert!(matches!(open(64..128, 15), Err(LayoutError::Size { found: 64, needed: 60, .. })));
        assert!(matches!(open(4..8, 1), Err(LayoutError::Unaligned { at: 4, .. })));
        assert!(matches!(open(128..164, 9), Err(LayoutError::Outside { file: 160, .. })));
        storage.as_mut()[0] = -1;
        assert_eq!((storage[0], storage[1]), (-1, 17));
    }
}
