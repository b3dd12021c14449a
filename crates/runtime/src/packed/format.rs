//! Version 2 of the format, the only one: products as 16-column panels and vectors, by their names.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use strata_recipe::ModelConfig;
use strata_store::{Dtype, TensorFile};

use crate::error::Error;
use crate::linear::{Linear, Precision, Shape};
use crate::model::Model;
use crate::parts::{LinearSpec, Parts};
use crate::product;
use crate::storage::{LayoutError, Storage};

/// The version's number in `packed.json`.
pub(super) const VERSION: u32 = 2;
/// Columns of a panel.
const PANEL: usize = 16;
/// Inputs of a column that lie side by side in bf16 panels.
const PAIR: usize = 2;
/// Inputs of a column that lie side by side in int8 panels.
const GROUP: usize = 4;

// Panels are used where they lie. Kernels that want others need another version, and a conversion of these here.
const _: () = assert!(product::PANEL == PANEL);

/// `packed.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// [`VERSION`].
    format_version: u32,
    /// Of the program that wrote the folder.
    strata_version: String,
    precision: PrecisionName,
    /// [`PANEL`].
    panel: usize,
}

/// A precision as files name it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PrecisionName {
    F32,
    Bf16,
    Int8,
}

impl Header {
    /// The header of a folder that this program writes.
    pub fn new(precision: Precision) -> Self {
        let precision = match precision {
            Precision::F32 => PrecisionName::F32,
            Precision::Bf16 => PrecisionName::Bf16,
            Precision::Int8 => PrecisionName::Int8,
        };
        let strata_version = env!("CARGO_PKG_VERSION").to_owned();
        Self { format_version: VERSION, strata_version, precision, panel: PANEL }
    }

    pub fn precision(&self) -> Precision {
        match self.precision {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::Bf16 => Precision::Bf16,
            PrecisionName::Int8 => Precision::Int8,
        }
    }
}

/// The model of the parts in `file`.
pub(super) fn load(header: &Header, config: &ModelConfig, file: &TensorFile) -> Result<Model, Error> {
    let fault = |what: String| Err(Error::Packed { path: file.path().to_path_buf(), what });
    if header.panel != PANEL {
        return fault(format!("panels of {} columns, but version {VERSION} of the format has {PANEL}", header.panel));
    }
    let mut parts = Mapped { file, precision: header.precision(), used: HashSet::new() };
    let mut model = Model::build(config, header.precision(), &mut parts)?;
    model.file = Some(file.mapped().clone());
    let mut rest = file.names().filter(|name| !parts.used.contains(*name));
    match rest.find(|name| !name.strip_suffix(".padding").is_some_and(|of| parts.used.contains(of))) {
        Some(name) => fault(format!(
            "part `{name}` belongs to no weight of this model; config.json and the parts do not fit together"
        )),
        None => Ok(model),
    }
}

/// Parts that are views of a mapped file.
struct Mapped<'a> {
    file: &'a TensorFile,
    precision: Precision,
    /// Names that were asked for.
    used: HashSet<String>,
}

impl Mapped<'_> {
    fn expect(&mut self, name: String, dtype: Dtype, shape: &[usize]) -> Result<(), Error> {
        self.file.expect(&name, dtype, shape)?;
        self.used.insert(name);
        Ok(())
    }

    fn layout(&self, name: &str, error: &LayoutError) -> Error {
        Error::Packed { path: self.file.path().to_path_buf(), what: format!("`{name}`: {error}") }
    }
}

impl Parts for Mapped<'_> {
    fn linear(&mut self, spec: LinearSpec<'_>) -> Result<Linear, Error> {
        let LinearSpec { name, outputs, inputs, exact, .. } = spec;
        let panels = outputs.div_ceil(PANEL);
        let weight = format!("{name}.weight");
        // Some products of an int8 model are f32 all the same, such as those whose sums would overflow 32 bits.
        let precision = match self.precision {
            _ if exact => Precision::F32,
            Precision::Int8 if self.file.view(&weight)?.dtype == Dtype::F32 => Precision::F32,
            precision => precision,
        };
        match precision {
            Precision::F32 => self.expect(weight, Dtype::F32, &[panels, inputs, PANEL])?,
            Precision::Bf16 => self.expect(weight, Dtype::BF16, &[panels, inputs.div_ceil(PAIR), PANEL, PAIR])?,
            Precision::Int8 => {
                self.expect(weight, Dtype::I8, &[panels, inputs.div_ceil(GROUP), PANEL, GROUP])?;
                self.expect(format!("{name}.scales"), Dtype::F32, &[panels * PANEL])?;
                self.expect(format!("{name}.sums"), Dtype::I32, &[panels * PANEL])?;
            }
        }
        self.expect(format!("{name}.bias"), Dtype::F32, &[panels * PANEL])?;
        let find = |part: &'static str| self.file.range(&format!("{name}.{part}")).ok();
        Linear::mapped(self.file.mapped(), Shape { outputs, inputs, precision }, find)
            .map_err(|e| self.layout(name, &e))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Storage<f32>, Error> {
        self.expect(name.to_owned(), Dtype::F32, &[len])?;
        let range = self.file.range(name)?;
        Storage::mapped(self.file.mapped(), range, len, "values").map_err(|e| self.layout(name, &e))
    }
}
