//! Packed weights of a linear map `y = act(x W^T + b)` and its application to rows.
//!
//! A row's result has the same bits whatever other rows are computed with it, on any number of threads. int8 results
//! have the same bits on every processor, f32 and bf16 results on all that have fused multiply-add.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use strata_simd::Level;
use strata_simd::from_bf16;
use strata_store::{Dtype, MappedFile};

use crate::kernels::drive::{self, Job};
use crate::kernels::{Bf16Lines, F32Lines, quantize};
use crate::product::{PANEL, PackedWeights, ProductOptions, Scratch, pack_bf16, pack_f32, plain};
use crate::storage::{LayoutError, Storage};

/// Most products of bytes whose sum is sure to fit 32 bits; maps with more inputs stay f32.
const MAX_INT8_INPUTS: usize = 1 << 17;

/// How weights are held and multiplied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// bfloat16, the upper half of an f32, widened to f32 where it is multiplied; inputs and sums are f32.
    Bf16,
    /// 8-bit integers with a scale for each output; inputs are quantized row by row on the fly.
    Int8,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// Bytes of a weight.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Its name: `f32`, `bf16` or `int8`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// Reads [`Precision::name`].
impl FromStr for Precision {
    type Err = InvalidPrecision;

    fn from_str(name: &str) -> Result<Self, InvalidPrecision> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| InvalidPrecision(name.to_owned()))
    }
}

/// The name of no [`Precision`].
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no precision; choose f32, bf16 or int8")]
pub struct InvalidPrecision(String);

/// A linear map `[outputs, inputs]` with a bias, packed.
#[derive(Debug)]
pub struct Linear {
    outputs: usize,
    inputs: usize,
    weights: PackedWeights,
    /// `[panels * PANEL]`; zeros where the map has none.
    bias: Storage<f32>,
}

/// Rows in the form in which a map multiplies them.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// `[rows, inputs]`
    x: &'a [f32],
    count: usize,
    /// The same, quantized, for a map with int8 weights.
    quantized: &'a Scratch,
}

/// A named tensor of a packed map, for writing it to a file.
#[derive(Debug)]
pub(crate) struct PackedTensor<'a> {
    /// `weight`, `scales`, `sums` or `bias`.
    pub name: &'static str,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// The values in the machine's byte order.
    pub bytes: &'a [u8],
}

/// What a packed map is, without its values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub outputs: usize,
    pub inputs: usize,
    /// Of the weights.
    pub precision: Precision,
}

impl Linear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`. int8 keeps rows of more than 131,072 inputs in
    /// f32.
    ///
    /// # Panics
    /// For slices of other sizes.
    pub fn pack(weight: &[f32], bias: Option<&[f32]>, outputs: usize, inputs: usize, precision: Precision) -> Self {
        Self::pack_stacked(weight, bias, Shape { outputs, inputs, precision }, 1)
    }

    /// [`Linear::pack`] for `maps` matrices of the same shape one under another.
    pub(crate) fn pack_stacked(weight: &[f32], bias: Option<&[f32]>, shape: Shape, maps: usize) -> Self {
        let Shape { outputs, inputs, precision } = shape;
        assert_eq!(weight.len(), outputs * inputs, "weight of a {outputs} x {inputs} map");
        assert!(bias.is_none_or(|b| b.len() == outputs), "bias of a {outputs} x {inputs} map");
        let padded = outputs.next_multiple_of(PANEL);
        let weights = match precision {
            Precision::Bf16 => pack_bf16(weight, outputs, inputs),
            Precision::Int8 if inputs <= MAX_INT8_INPUTS => quantize::pack_int8(weight, outputs, inputs, maps),
            _ => {
                let mut packed = Storage::zeros(padded * inputs);
                pack_f32(weight, inputs, outputs, inputs, packed.as_mut());
                PackedWeights::F32(packed)
            }
        };
        let mut padded_bias = Storage::zeros(padded);
        if let Some(bias) = bias {
            padded_bias.as_mut()[..outputs].copy_from_slice(bias);
        }
        Self { outputs, inputs, weights, bias: padded_bias }
    }

    /// Width of results.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Size of the packed values.
    pub(crate) fn bytes(&self) -> usize {
        self.tensors().iter().map(|p| p.bytes.len()).sum()
    }

    /// `out[r] = act(x[r] W^T + b)` for `x` `[rows, inputs]` and `out` `[rows, outputs]` (rows `out_stride` apart).
    ///
    /// # Panics
    /// For slices that are too short.
    pub fn apply(&self, x: &[f32], rows: usize, out: &mut [f32], options: ProductOptions, scratch: &mut Scratch) {
        self.apply_at(Level::current(), x, rows, out, options, scratch);
    }

    /// Writes the weights of `output`, row `output` of `W`, into `row` `[inputs]`; those of an int8 map as `scale * q`.
    ///
    /// # Panics
    /// For an output out of range and a row of another width.
    pub(crate) fn row(&self, output: usize, row: &mut [f32]) {
        assert!(
            output < self.outputs && row.len() == self.inputs,
            "row {output} of a {} x {} map",
            self.outputs,
            self.inputs
        );
        let (panel, column) = (output / PANEL, output % PANEL);
        match &self.weights {
            PackedWeights::F32(values) => {
                let lines = values[panel * self.inputs * PANEL..].chunks_exact(PANEL);
                row.iter_mut().zip(lines).for_each(|(w, line)| *w = line[column]);
            }
            PackedWeights::Bf16(values) => {
                let lines = values[panel * self.inputs.next_multiple_of(2) * PANEL..].chunks_exact(PANEL * 2);
                for (row, line) in row.chunks_mut(2).zip(lines) {
                    let pair = &line[column * 2..][..2];
                    row.iter_mut().zip(pair).for_each(|(w, bits)| *w = from_bf16(*bits));
                }
            }
            PackedWeights::Int8 { values, scales, .. } => {
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
    /// For columns out of range.
    pub(crate) fn select(&self, columns: &[u32]) -> Linear {
        let weights = match &self.weights {
            PackedWeights::F32(values) => PackedWeights::F32(gather(values, columns, self.inputs, 1)),
            PackedWeights::Bf16(values) => PackedWeights::Bf16(gather(values, columns, self.inputs.div_ceil(2), 2)),
            PackedWeights::Int8 { values, scales, sums } => PackedWeights::Int8 {
                values: gather(values, columns, self.inputs.div_ceil(4), 4),
                scales: gather(scales, columns, 1, 1),
                sums: gather(sums, columns, 1, 1),
            },
        };
        Linear { outputs: columns.len(), inputs: self.inputs, weights, bias: gather(&self.bias, columns, 1, 1) }
    }

    /// The packed values by name; [`Linear::mapped`] makes the map from them again.
    pub(crate) fn tensors(&self) -> Vec<PackedTensor<'_>> {
        let panels = self.outputs.div_ceil(PANEL);
        let line = |name, dtype, bytes| PackedTensor { name, dtype, shape: vec![panels * PANEL], bytes };
        let mut tensors = match &self.weights {
            PackedWeights::F32(values) => {
                let shape = vec![panels, self.inputs, PANEL];
                vec![PackedTensor { name: "weight", dtype: Dtype::F32, shape, bytes: values.bytes() }]
            }
            PackedWeights::Bf16(values) => {
                let shape = vec![panels, self.inputs.div_ceil(2), PANEL, 2];
                vec![PackedTensor { name: "weight", dtype: Dtype::BF16, shape, bytes: values.bytes() }]
            }
            PackedWeights::Int8 { values, scales, sums } => {
                let shape = vec![panels, self.inputs.div_ceil(4), PANEL, 4];
                vec![
                    PackedTensor { name: "weight", dtype: Dtype::I8, shape, bytes: values.bytes() },
                    line("scales", Dtype::F32, scales.bytes()),
                    line("sums", Dtype::I32, sums.bytes()),
                ]
            }
        };
        tensors.push(line("bias", Dtype::F32, self.bias.bytes()));
        tensors
    }

    /// The map whose [`Linear::tensors`] lie in `file` at the ranges that `find` gives, without a copy.
    ///
    /// # Errors
    /// [`LayoutError`] for a tensor that is missing or does not fit `shape`.
    pub(crate) fn mapped(
        file: &Arc<MappedFile>,
        shape: Shape,
        find: impl Fn(&'static str) -> Option<Range<usize>>,
    ) -> Result<Self, LayoutError> {
        let Shape { outputs, inputs, precision } = shape;
        let padded = outputs.next_multiple_of(PANEL);
        let range = |part| find(part).ok_or(LayoutError::Missing(part));
        let line = |part| Storage::mapped(file, range(part)?, padded, part);
        let group = |inputs_together| padded.saturating_mul(inputs.next_multiple_of(inputs_together));
        let weight = range("weight")?;
        let weights = match precision {
            Precision::F32 => PackedWeights::F32(Storage::mapped(file, weight, group(1), "weight")?),
            Precision::Bf16 => PackedWeights::Bf16(Storage::mapped(file, weight, group(2), "weight")?),
            Precision::Int8 => PackedWeights::Int8 {
                values: Storage::mapped(file, weight, group(4), "weight")?,
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
        options: ProductOptions,
        scratch: &mut Scratch,
    ) {
        let rows = self.rows_at(level, x, rows, options, scratch);
        self.columns_at(level, rows, 0..self.outputs.div_ceil(PANEL), out, options);
    }

    /// Threads, of at most `threads`, that the product of so many rows is worth.
    pub(crate) fn threads(&self, rows: usize, threads: usize) -> usize {
        self.job(rows, plain(threads)).threads()
    }

    /// `x` `[rows, inputs]` as [`Linear::columns`] takes it, for products on up to `threads` threads.
    ///
    /// # Panics
    /// If `x` is too short.
    pub(crate) fn rows<'a>(&self, x: &'a [f32], rows: usize, threads: usize, scratch: &'a mut Scratch) -> Rows<'a> {
        self.rows_at(Level::current(), x, rows, plain(threads), scratch)
    }

    /// `x W^T + b` of the outputs of some `panels` alone: `out` is `[rows, outputs]` with as many outputs as there are.
    /// Runs on the calling thread.
    ///
    /// # Panics
    /// For panels out of range, and an `out` that is too short.
    pub(crate) fn columns(&self, rows: Rows<'_>, panels: Range<usize>, out: &mut [f32]) {
        self.columns_at(Level::current(), rows, panels, out, plain(1));
    }

    fn job(&self, rows: usize, options: ProductOptions) -> Job<'_> {
        Job { rows, inputs: self.inputs, outputs: self.outputs, bias: &self.bias, options }
    }

    fn rows_at<'a>(
        &self,
        level: Level,
        x: &'a [f32],
        rows: usize,
        options: ProductOptions,
        scratch: &'a mut Scratch,
    ) -> Rows<'a> {
        if let PackedWeights::Int8 { .. } = self.weights {
            drive::quantize(level, self.job(rows, options), x, scratch);
        }
        Rows { x, count: rows, quantized: scratch }
    }

    fn columns_at(&self, level: Level, rows: Rows<'_>, panels: Range<usize>, out: &mut [f32], options: ProductOptions) {
        let lines = panels.start * PANEL..panels.end * PANEL;
        let outputs = self.outputs.min(lines.end) - lines.start;
        let job = Job { outputs, bias: &self.bias[lines.clone()], ..self.job(rows.count, options) };
        let weights = |inputs_together| {
            let panel = self.inputs.next_multiple_of(inputs_together) * PANEL;
            panels.start * panel..panels.end * panel
        };
        match &self.weights {
            PackedWeights::F32(values) => drive::floats::<F32Lines>(level, job, rows.x, &values[weights(1)], out),
            PackedWeights::Bf16(values) => drive::floats::<Bf16Lines>(level, job, rows.x, &values[weights(2)], out),
            PackedWeights::Int8 { values, scales, sums } => {
                let (values, scales, sums) = (&values[weights(4)], &scales[lines.clone()], &sums[lines]);
                drive::int8(level, job, rows.quantized, values, scales, sums, out);
            }
        }
    }
}

/// The given columns of panels of `depth` lines `[PANEL, group]`, as panels; the last is padded with zeros.
fn gather<T: bytemuck::Pod>(from: &[T], columns: &[u32], depth: usize, group: usize) -> Storage<T> {
    let panel = depth * PANEL * group;
    let mut gathered = Storage::zeros(columns.len().div_ceil(PANEL) * panel);
    let to = gathered.as_mut();
    for (i, column) in columns.iter().enumerate() {
        let column = *column as usize;
        let source = &from[column / PANEL * panel..][..panel];
        let target = &mut to[i / PANEL * panel..][..panel];
        let (s, t) = (column % PANEL * group, i % PANEL * group);
        for (source, target) in source.chunks_exact(PANEL * group).zip(target.chunks_exact_mut(PANEL * group)) {
            target[t..t + group].copy_from_slice(&source[s..s + group]);
        }
    }
    gathered
}

#[cfg(test)]
mod tests;
