//! Writing a packed folder, in the newest version of the format.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use strata_store::model_folder::{CONFIG_FILE, LANGUAGES_FILE, TOKENIZER_FILE};
use strata_store::{Dtype, Existing, FolderWriter, ModelFolder, TensorSource, TensorSpec, write_aligned_tensors};

use super::{HEADER_FILE, PACKED_VERSION, PARTS_FILE, v1};
use crate::error::Error;
use crate::linear::Precision;
use crate::model::{Model, Part};
use crate::storage::ALIGNMENT;

/// Packs the model of `folder` and writes it as a packed folder, which appears at `output` whole or not at all. Returns
/// `output`.
///
/// # Errors
/// As [`Model::load`]; [`Error::Store`] for a folder that cannot be written, or is there and `existing` forbids to
/// replace it; [`Error::Packed`] if it would replace the model itself.
pub fn write_packed(
    folder: &ModelFolder,
    precision: Precision,
    output: &Path,
    existing: Existing,
) -> Result<PathBuf, Error> {
    keep_the_model(folder, output)?;
    let mut out = FolderWriter::new(output)?;
    for name in [CONFIG_FILE, TOKENIZER_FILE, LANGUAGES_FILE] {
        out.write(name, &folder.read(name)?)?;
    }
    let header = serde_json::to_string_pretty(&v1::Header::new(PACKED_VERSION, precision));
    let header = header.map_err(|e| Error::Packed { path: output.join(HEADER_FILE), what: e.to_string() })?;
    out.write(HEADER_FILE, format!("{header}\n").as_bytes())?;
    let model = Model::load(folder, precision)?;
    write_aligned_tensors(&mut out, PARTS_FILE, &PackedParts::of(&model), ALIGNMENT)?;
    Ok(out.commit(existing)?)
}

/// Refuses to put an exported model in the place of the folder that it is made from: weights cannot be had back from
/// it.
pub(crate) fn keep_the_model(folder: &ModelFolder, output: &Path) -> Result<(), Error> {
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(folder.path(), output) {
        let what = "the export would replace the model that it is made from; choose another output".to_owned();
        return Err(Error::Packed { path: output.to_path_buf(), what });
    }
    Ok(())
}

/// A model's parts as tensors, each copied when it is written.
struct PackedParts<'a> {
    model: &'a Model,
    tensors: Vec<(TensorSpec, Place)>,
}

/// Where a tensor comes from: which of the parts in the order of [`Model::visit`], and which of a product's parts.
#[derive(Clone, Copy)]
enum Place {
    Part(usize, usize),
    /// Zeros, so many bytes.
    Padding(usize),
}

impl<'a> PackedParts<'a> {
    fn of(model: &'a Model) -> Self {
        let d = model.config().d_model;
        let mut tensors = Vec::new();
        let mut add = |name: String, dtype, shape, place| tensors.push((TensorSpec { name, dtype, shape }, place));
        let mut count = 0;
        model.visit(&mut |name, part| {
            match part {
                Part::Linear(linear) => {
                    for (i, part) in linear.parts().into_iter().enumerate() {
                        let dtype = match part.kind {
                            "i8" => Dtype::I8,
                            "i32" => Dtype::I32,
                            _ => Dtype::F32,
                        };
                        add(format!("{name}.{}", part.name), dtype, part.shape, Place::Part(count, i));
                    }
                }
                Part::Vector(values) => {
                    let shape = if values.len() == d { vec![d] } else { vec![values.len() / d, d] };
                    add(name.to_owned(), Dtype::F32, shape, Place::Part(count, 0));
                    let bytes = size_of_val(values);
                    let padding = bytes.next_multiple_of(ALIGNMENT) - bytes;
                    if padding > 0 {
                        // Sorted by name it comes right behind.
                        let name = format!("{name}.padding");
                        add(name, Dtype::F32, vec![padding / size_of::<f32>()], Place::Padding(padding));
                    }
                }
            }
            count += 1;
        });
        Self { model, tensors }
    }
}

impl TensorSource for PackedParts<'_> {
    fn specs(&self) -> Vec<TensorSpec> {
        self.tensors.iter().map(|(spec, _)| spec.clone()).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, strata_store::Error> {
        let (part, which) = match self.tensors[index].1 {
            Place::Padding(bytes) => return Ok(Cow::Owned(vec![0; bytes])),
            Place::Part(part, which) => (part, which),
        };
        // A visitor sees parts only for the length of its call, so each tensor takes a visit of its own.
        let (mut count, mut bytes) = (0, Vec::new());
        self.model.visit(&mut |_, found| {
            if count == part {
                match found {
                    Part::Linear(linear) => bytes.extend_from_slice(linear.parts()[which].bytes),
                    Part::Vector(values) => bytes.extend_from_slice(bytemuck::cast_slice(values)),
                }
            }
            count += 1;
        });
        Ok(Cow::Owned(bytes))
    }
}
