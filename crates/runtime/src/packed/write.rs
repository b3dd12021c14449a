//! Writing a packed folder, in the newest version of the format: a safetensors file of the parts, and copies of what
//! else the model folder holds.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use strata_store::model_folder::{CONFIG_FILE, LANGUAGES_FILE, TOKENIZER_FILE};
use strata_store::{
    Dtype, Existing, FolderWriter, ModelFolder, SHORTLIST_FILE, TensorSource, TensorSpec, write_aligned_tensors,
};

use super::{HEADER_FILE, PARTS_FILE, format};
use crate::error::Error;
use crate::linear::Precision;
use crate::model::Model;
use crate::parts::Part;
use crate::storage::ALIGNMENT;

/// Packs the model of `folder` and writes it as a packed folder, with further files by name, which appears at `output`
/// whole or not at all. Returns `output`.
///
/// # Errors
/// As [`Model::load`]; [`Error::Store`] for a folder that cannot be written, or is there and `existing` forbids to
/// replace it; [`Error::Packed`] if it would replace the model itself.
pub fn write_packed(
    folder: &ModelFolder,
    precision: Precision,
    output: &Path,
    existing: Existing,
    extra: &[(&str, &[u8])],
) -> Result<PathBuf, Error> {
    keep_the_model(folder, output)?;
    let mut out = FolderWriter::new(output)?;
    for name in [CONFIG_FILE, TOKENIZER_FILE, LANGUAGES_FILE] {
        out.write(name, &folder.read(name)?)?;
    }
    if folder.file(SHORTLIST_FILE).exists() {
        out.write(SHORTLIST_FILE, &folder.read(SHORTLIST_FILE)?)?;
    }
    for (name, bytes) in extra {
        out.write(name, bytes)?;
    }
    let header = serde_json::to_string_pretty(&format::Header::new(precision));
    let header = header.map_err(|e| Error::Packed { path: output.join(HEADER_FILE), what: e.to_string() })?;
    out.write(HEADER_FILE, format!("{header}\n").as_bytes())?;
    let model = Model::load(folder, precision)?;
    write_aligned_tensors(&mut out, PARTS_FILE, &PackedParts::of(&model), ALIGNMENT)?;
    Ok(out.commit(existing)?)
}

/// Refuses to replace the model folder by what is exported from it: an export does not hold the original weights.
pub(crate) fn keep_the_model(folder: &ModelFolder, output: &Path) -> Result<(), Error> {
    if folder.is_at(output) {
        let what = "the export would replace the model that it is made from; choose another output".to_owned();
        return Err(Error::Packed { path: output.to_path_buf(), what });
    }
    Ok(())
}

/// A model's parts as tensors, without a copy.
struct PackedParts<'a>(Vec<(TensorSpec, &'a [u8])>);

impl<'a> PackedParts<'a> {
    fn of(model: &'a Model) -> Self {
        let mut tensors = Vec::new();
        let mut add = |name: String, dtype, shape, bytes: &'a [u8]| {
            tensors.push((TensorSpec { name, dtype, shape }, bytes));
        };
        model.visit(&mut |name, part| match part {
            Part::Linear(linear) => {
                for tensor in linear.tensors() {
                    add(format!("{name}.{}", tensor.name), tensor.dtype, tensor.shape, tensor.bytes);
                }
            }
            Part::Vector(values) => {
                let bytes: &[u8] = bytemuck::cast_slice(values);
                add(name.to_owned(), Dtype::F32, vec![values.len()], bytes);
                let padding = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
                if padding > 0 {
                    // Tensors are sorted by name, so it comes right after the vector.
                    let shape = vec![padding / size_of::<f32>()];
                    add(format!("{name}.padding"), Dtype::F32, shape, &[0; ALIGNMENT][..padding]);
                }
            }
        });
        Self(tensors)
    }
}

impl TensorSource for PackedParts<'_> {
    fn specs(&self) -> Vec<TensorSpec> {
        self.0.iter().map(|(spec, _)| spec.clone()).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, strata_store::Error> {
        Ok(Cow::Borrowed(self.0[index].1))
    }
}
