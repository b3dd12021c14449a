//! Packed weights of a linear map `y = act(x W^T + b)` and its application to rows.
//!
//! Weights lie in *panels* of [`PANEL`] output columns, the same for every instruction set:
//! - f32: `[panels, inputs, PANEL]`, so that a step of the inner loop reads one line of 16 weights;
//! - int8: `[panels, ceil(inputs / 4), PANEL, 4]`, so that each column has four inputs side by side, as instructions for
//!   dot products of bytes want them. Quantisation is symmetric: a weight is `scale * q` with one scale for a column and
//!   `q` in -127..=127; a row of `x` is quantised when it comes, likewise with one scale.
//!
//! The last panel is filled up with zeros. A row's result has the same bits whatever other rows are computed with it, on
//! any number of threads; int8 results have the same bits on every processor, and f32 results on all that have
//! fused multiply-add.

use std::ops::Range;
use std::sync::Arc;

use strata_simd::Level;
use strata_store::MappedFile;

use crate::kernels::drive::{self, Job};
use crate::kernels::quantize;
pub use crate::product::{Activation, ProductOptions as Options, Scratch};
use crate::product::{PANEL, PackedWeights as Weights, pack_f32};
use crate::storage::{LayoutError, Storage};

/// Longest sum of products of bytes that certainly fits 32 bits; longer rows stay f32.
const MAX_INT8_INPUTS: usize = 1 << 17;

/// How weights are held and multiplied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 8-bit integers with a scale for each output; inputs are quantised row by row when they come.
    Int8,
}

impl Precision {
    /// As reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

/// A linear map `[outputs, inputs]` with a bias, packed.
#[derive(Debug)]
pub struct Linear {
    outputs: usize,
    inputs: usize,
    weights: Weights,
    /// `[panels * PANEL]`; zeros where the map has none.
    bias: Storage<f32>,
}

/// A named piece of a packed map, for writing it to a file.
#[derive(Debug)]
pub struct Part<'a> {
    /// `weight`, `scales`, `sums` or `bias`.
    pub name: &'static str,
    /// `f32`, `i32` or `i8`.
    pub kind: &'static str,
    /// The shape of the values.
    pub shape: Vec<usize>,
    /// The values in the machine's byte order.
    pub bytes: &'a [u8],
}

/// What a packed map is, without its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Width of results.
    pub outputs: usize,
    /// Width of rows.
    pub inputs: usize,
    /// Of the weights.
    pub precision: Precision,
}

impl Linear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`. Rows of more than 131,072 inputs are kept in f32.
    ///
    /// # Panics
    /// For slices of other sizes.
    pub fn pack(weight: &[f32], bias: Option<&[f32]>, outputs: usize, inputs: usize, precision: Precision) -> Self {
        assert_eq!(weight.len(), outputs * inputs, "weight of a {outputs} x {inputs} map");
        assert!(bias.is_none_or(|b| b.len() == outputs), "bias of a {outputs} x {inputs} map");
        let padded = outputs.next_multiple_of(PANEL);
        let weights = match precision {
            Precision::Int8 if inputs <= MAX_INT8_INPUTS => quantize::pack_int8(weight, outputs, inputs),
            _ => {
                let mut packed = Storage::zeros(padded * inputs);
                pack_f32(weight, inputs, outputs, inputs, packed.as_mut());
                Weights::F32(packed)
            }
        };
        let mut padded_bias = Storage::zeros(padded);
        if let Some(bias) = bias {
            padded_bias.as_mut()[..outputs].copy_from_slice(bias);
        }
        Self { outputs, inputs, weights, bias: padded_bias }
    }

    /// Width of results.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Width of rows.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How the weights are held.
    pub fn precision(&self) -> Precision {
        match self.weights {
            Weights::F32(_) => Precision::F32,
            Weights::Int8 { .. } => Precision::Int8,
        }
    }

    /// Size of the packed values.
    pub fn bytes(&self) -> usize {
        self.parts().iter().map(|p| p.bytes.len()).sum()
    }

    /// `out[r] = act(x[r] W^T + b)` for `x` `[rows, inputs]` and `out` `[rows, outputs]` (rows `out_stride` apart).
    ///
    /// # Panics
    /// For slices that are too short.
    pub fn apply(&self, x: &[f32], rows: usize, out: &mut [f32], options: Options, scratch: &mut Scratch) {
        self.apply_at(Level::current(), x, rows, out, options, scratch);
    }

    /// [`Linear::apply`] for some of the outputs, in the order of `columns`: `out` `[rows, columns]`, with the same bits.
    ///
    /// The columns are copied together first, which costs about as much as a product of few rows: for several products
    /// with the same columns use [`Linear::select`].
    ///
    /// # Panics
    /// For slices that are too short and columns that are not there.
    pub fn apply_columns(
        &self,
        x: &[f32],
        rows: usize,
        columns: &[u32],
        out: &mut [f32],
        options: Options,
        scratch: &mut Scratch,
    ) {
        self.select(columns).apply(x, rows, out, options, scratch);
    }

    /// Writes the weights of `output`, row `output` of `W`, into `row` `[inputs]`; those of an int8 map as `scale * q`.
    ///
    /// # Panics
    /// For an output that is not there and a row of another width.
    pub(crate) fn row(&self, output: usize, row: &mut [f32]) {
        assert!(
            output < self.outputs && row.len() == self.inputs,
            "row {output} of a {} x {} map",
            self.outputs,
            self.inputs
        );
        let (panel, column) = (output / PANEL, output % PANEL);
        match &self.weights {
            Weights::F32(values) => {
                let lines = values[panel * self.inputs * PANEL..].chunks_exact(PANEL);
                row.iter_mut().zip(lines).for_each(|(w, line)| *w = line[column]);
            }
            Weights::Int8 { values, scales, .. } => {
                let lines = values[panel * self.inputs.div_ceil(4) * PANEL * 4..].chunks_exact(PANEL * 4);
                for (row, line) in row.chunks_mut(4).zip(lines) {
                    let four = &line[column * 4..][..4];
                    row.iter_mut().zip(four).for_each(|(w, q)| *w = scales[output] * f32::from(*q));
                }
            }
        }
    }

    /// The map to some of the outputs, in the order of `columns`: a vocabulary shortlist.
    ///
    /// # Panics
    /// For columns that are not there.
    pub fn select(&self, columns: &[u32]) -> Linear {
        let weights = match self.weights {
            Weights::F32(_) => Weights::F32(Storage::default()),
            Weights::Int8 { .. } => {
                Weights::Int8 { values: Storage::default(), scales: Storage::default(), sums: Storage::default() }
            }
        };
        let mut selected = Linear { outputs: 0, inputs: self.inputs, weights, bias: Storage::default() };
        self.select_into(columns, &mut selected);
        selected
    }

    /// [`Linear::select`] into memory that is there; a map of another precision is replaced.
    pub fn select_into(&self, columns: &[u32], selected: &mut Linear) {
        if selected.precision() != self.precision() {
            *selected = self.select(&[]);
        }
        (selected.outputs, selected.inputs) = (columns.len(), self.inputs);
        gather(&self.bias, columns, 1, 1, &mut selected.bias);
        match (&self.weights, &mut selected.weights) {
            (Weights::F32(from), Weights::F32(to)) => gather(from, columns, self.inputs, 1, to),
            (Weights::Int8 { values, scales, sums }, Weights::Int8 { values: v, scales: s, sums: u }) => {
                gather(values, columns, self.inputs.div_ceil(4), 4, v);
                gather(scales, columns, 1, 1, s);
                gather(sums, columns, 1, 1, u);
            }
            _ => {}
        }
    }

    /// The packed values by name; [`Linear::mapped`] makes the map of them again.
    pub fn parts(&self) -> Vec<Part<'_>> {
        let panels = self.outputs.div_ceil(PANEL);
        let line = |name, kind, bytes| Part { name, kind, shape: vec![panels * PANEL], bytes };
        let mut parts = match &self.weights {
            Weights::F32(values) => {
                let shape = vec![panels, self.inputs, PANEL];
                vec![Part { name: "weight", kind: "f32", shape, bytes: values.bytes() }]
            }
            Weights::Int8 { values, scales, sums } => {
                let shape = vec![panels, self.inputs.div_ceil(4), PANEL, 4];
                vec![
                    Part { name: "weight", kind: "i8", shape, bytes: values.bytes() },
                    line("scales", "f32", scales.bytes()),
                    line("sums", "i32", sums.bytes()),
                ]
            }
        };
        parts.push(line("bias", "f32", self.bias.bytes()));
        parts
    }

    /// The map whose [`Linear::parts`] lie in `file` where `find` says, without a copy.
    ///
    /// # Errors
    /// [`LayoutError`] for a part that is missing or does not fit `shape`.
    pub fn mapped(
        file: &Arc<MappedFile>,
        shape: Shape,
        find: impl Fn(&'static str) -> Option<Range<usize>>,
    ) -> Result<Self, LayoutError> {
        let Shape { outputs, inputs, precision } = shape;
        let padded = outputs.next_multiple_of(PANEL);
        let range = |part| find(part).ok_or(LayoutError::Missing(part));
        let line = |part| Storage::mapped(file, range(part)?, padded, part);
        let weights = match precision {
            Precision::F32 => {
                Weights::F32(Storage::mapped(file, range("weight")?, padded.saturating_mul(inputs), "weight")?)
            }
            Precision::Int8 => Weights::Int8 {
                values: Storage::mapped(
                    file,
                    range("weight")?,
                    padded.saturating_mul(inputs.next_multiple_of(4)),
                    "weight",
                )?,
                scales: line("scales")?,
                sums: Storage::mapped(file, range("sums")?, padded, "sums")?,
            },
        };
        Ok(Self { outputs, inputs, weights, bias: line("bias")? })
    }

    /// [`Linear::apply`] with the instructions of `level`, which the processor must have.
    pub(crate) fn apply_at(
        &self,
        level: Level,
        x: &[f32],
        rows: usize,
        out: &mut [f32],
        options: Options,
        scratch: &mut Scratch,
    ) {
        let job = Job { rows, inputs: self.inputs, outputs: self.outputs, bias: &self.bias, options };
        match &self.weights {
            Weights::F32(values) => drive::f32(level, job, x, values, out),
            Weights::Int8 { values, scales, sums } => drive::int8(level, job, x, values, scales, sums, out, scratch),
        }
    }
}

/// Copies columns of panels of `depth` lines `[PANEL, group]` together, and fills the last panel up with zeros.
fn gather<T: bytemuck::Pod>(from: &[T], columns: &[u32], depth: usize, group: usize, to: &mut Storage<T>) {
    let panel = depth * PANEL * group;
    let to = to.resize(columns.len().div_ceil(PANEL) * panel);
    if !columns.len().is_multiple_of(PANEL) {
        let last = to.len() - panel;
        to[last..].fill(T::zeroed());
    }
    for (i, column) in columns.iter().enumerate() {
        let column = *column as usize;
        let source = &from[column / PANEL * panel..][..panel];
        let target = &mut to[i / PANEL * panel..][..panel];
        let (s, t) = (column % PANEL * group, i % PANEL * group);
        for (source, target) in source.chunks_exact(PANEL * group).zip(target.chunks_exact_mut(PANEL * group)) {
            target[t..t + group].copy_from_slice(&source[s..s + group]);
        }
    }
}

#[cfg(test)]
#[path = "linear_tests.rs"]
mod tests;
