//! What all formats have in common: tensors by name, read one at a time.

use std::borrow::Cow;
use std::path::Path;

use half::{bf16, f16};

use crate::error::Error;

/// How a tensor's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// Signed integers, quantized weights among them.
    I8,
    /// 16-bit integers, quantized weights among them.
    I16,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
    /// Bytes and booleans.
    U8,
}

impl Element {
    /// Size in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 => 8,
        }
    }

    /// The elements as f32; none for types that hold no real numbers by themselves.
    pub(crate) fn widen(self, bytes: &[u8]) -> Option<Vec<f32>> {
        let pairs = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        Some(match self {
            Self::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Self::F16 => pairs().map(|bits| f16::from_bits(bits).to_f32()).collect(),
            Self::Bf16 => pairs().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
            _ => return None,
        })
    }
}

/// Type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// How its elements are stored.
    pub element: Element,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
}

impl Info {
    /// Its size in bytes, or none where that is no number.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let elements = self.shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64));
        elements?.checked_mul(self.element.size() as u64)
    }
}

/// Tensors by name, each read when it is asked for.
pub trait Tensors {
    /// The file, or the first of several.
    fn path(&self) -> &Path;

    /// All names.
    fn names(&self) -> Vec<&str>;

    /// Type and shape of a tensor.
    fn info(&self, name: &str) -> Option<Info>;

    /// The elements of a tensor, row-major and little-endian.
    ///
    /// # Errors
    /// [`Error::NoTensor`], or a file that does not hold what it announced.
    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error>;

    /// The values of a tensor of that shape; quantized ones are multiplied out.
    ///
    /// # Errors
    /// [`Error::NoTensor`], [`Error::Shape`], or elements that are no real numbers.
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let info = self.expect(name, shape)?;
        let values = info.element.widen(&self.bytes(name)?);
        values.ok_or_else(|| {
            Error::unsupported(self.path(), format!("tensor `{name}` holds {:?}, not floats", info.element))
        })
    }

    /// Type and shape of a tensor that must have that shape.
    ///
    /// # Errors
    /// [`Error::NoTensor`], [`Error::Shape`].
    fn expect(&self, name: &str, shape: &[usize]) -> Result<Info, Error> {
        let missing = || Error::NoTensor { path: self.path().to_path_buf(), name: name.to_owned() };
        let info = self.info(name).ok_or_else(missing)?;
        if info.shape != shape {
            let (path, name) = (self.path().to_path_buf(), name.to_owned());
            return Err(Error::Shape { path, name, found: info.shape, expected: shape.to_vec() });
        }
        Ok(info)
    }
}
