//! [safetensors](https://github.com/huggingface/safetensors) files of any float type.

use std::borrow::Cow;
use std::path::Path;

use strata_store::TensorFile;
use strata_store::tensors::Dtype;

use crate::error::Error;
use crate::tensors::{Element, Info, Tensors};

/// One safetensors file, mapped.
#[derive(Debug)]
pub struct Safetensors {
    file: TensorFile,
}

impl Safetensors {
    /// Maps the file and checks its header against its length.
    ///
    /// # Errors
    /// Anything but a whole safetensors file; a type of elements that is not read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = TensorFile::open(path)?;
        for name in file.names() {
            let dtype = file.view(name)?.dtype;
            if element(dtype).is_none() {
                return Err(Error::unsupported(path, format!("tensor `{name}` is {dtype}, which is not read")));
            }
        }
        Ok(Self { file })
    }
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        Dtype::U8 | Dtype::BOOL => Element::U8,
        _ => return None,
    })
}

impl Tensors for Safetensors {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn names(&self) -> Vec<&str> {
        self.file.names().collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        let view = self.file.view(name).ok()?;
        Some(Info { element: element(view.dtype)?, shape: view.shape.to_vec() })
    }

    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        Ok(Cow::Borrowed(self.file.view(name)?.bytes))
    }
}
