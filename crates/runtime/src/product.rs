//! Products `y = act(x W^T + b)`: packed weights, what is done with the results, and the buffers that it takes.
//!
//! Weights lie in *panels* of [`PANEL`] output columns, the same for every instruction set:
//! - f32: `[panels, inputs, PANEL]`, so that a step of the inner loop reads one line of 16 weights;
//! - bf16: `[panels, ceil(inputs / 2), PANEL, 2]`: each column has two inputs side by side, so that a shift and a mask
//!   widen them in their register;
//! - int8: `[panels, ceil(inputs / 4), PANEL, 4]`: each column has four inputs side by side, as byte dot product
//!   instructions take them. Quantization is symmetric: a weight is `scale * q` with one scale per column and `q` in
//!   -127..=127. Rows of `x` are quantized on the fly, with one scale per row.
//!
//! The last panel is padded with zeros.

use strata_simd::to_bf16;

use crate::storage::Storage;

/// Output columns of a panel of packed weights.
pub(crate) const PANEL: usize = 16;

/// What is applied to a product's results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(0, y)`.
    Relu,
}

/// What becomes of a product's results, and how many threads compute them.
#[derive(Clone, Copy, Debug)]
pub struct ProductOptions {
    /// Applied to `x W^T + b`.
    pub activation: Activation,
    /// Whether results are added to what `out` holds (after the activation) instead of replacing it.
    pub accumulate: bool,
    /// Most threads to use; 1 is the calling thread alone. Small products use fewer, and none uses more than the
    /// current rayon pool has.
    pub threads: usize,
    /// Distance of rows in `out`, for writing into some columns of a wider buffer; the number of outputs if `None`.
    pub out_stride: Option<usize>,
}

impl Default for ProductOptions {
    fn default() -> Self {
        Self { activation: Activation::None, accumulate: false, threads: usize::MAX, out_stride: None }
    }
}

/// `x W^T + b`
pub(crate) fn plain(threads: usize) -> ProductOptions {
    ProductOptions { threads, ..ProductOptions::default() }
}

/// `max(0, x W^T + b)`
pub(crate) fn relu(threads: usize) -> ProductOptions {
    ProductOptions { activation: Activation::Relu, ..plain(threads) }
}

/// `out + x W^T + b`
pub(crate) fn added(threads: usize) -> ProductOptions {
    ProductOptions { accumulate: true, ..plain(threads) }
}

/// Buffers of products; they only grow, so that repeated calls do not allocate.
#[derive(Default, Debug)]
pub struct Scratch {
    /// Quantized rows.
    pub(crate) rows: Storage<i8>,
    /// Their scales.
    pub(crate) row_scales: Vec<f32>,
}

/// Weights of a linear map in panels.
#[derive(Debug)]
pub(crate) enum PackedWeights {
    /// `[panels, inputs, PANEL]`
    F32(Storage<f32>),
    /// The bits of bfloat16, `[panels, ceil(inputs / 2), PANEL, 2]`.
    Bf16(Storage<u16>),
    Int8 {
        /// `[panels, ceil(inputs / 4), PANEL, 4]`
        values: Storage<i8>,
        /// Of each column, `[panels * PANEL]`.
        scales: Storage<f32>,
        /// Sum of each column's values, `[panels * PANEL]`.
        sums: Storage<i32>,
    },
}

/// `weight` `[outputs, inputs]` as bfloat16 panels, each weight rounded to the nearest.
pub(crate) fn pack_bf16(weight: &[f32], outputs: usize, inputs: usize) -> PackedWeights {
    let panel = inputs.next_multiple_of(2) * PANEL;
    let mut packed = Storage::zeros(outputs.div_ceil(PANEL) * panel);
    for (o, row) in weight.chunks_exact(inputs.max(1)).enumerate() {
        let lines = packed.as_mut()[o / PANEL * panel..][..panel].chunks_exact_mut(2 * PANEL);
        for (line, pair) in lines.zip(row.chunks(2)) {
            let to = &mut line[o % PANEL * 2..][..2];
            to.iter_mut().zip(pair).for_each(|(to, w)| *to = to_bf16(*w) as u16);
        }
    }
    PackedWeights::Bf16(packed)
}

/// Writes `weight` `[outputs, inputs]` (rows `stride` apart) as f32 panels; columns beyond `outputs` are left alone.
pub(crate) fn pack_f32(weight: &[f32], stride: usize, outputs: usize, inputs: usize, packed: &mut [f32]) {
    for o in 0..outputs {
        let panel = &mut packed[o / PANEL * inputs * PANEL..][..inputs * PANEL];
        let row = &weight[o * stride..][..inputs];
        for (line, w) in panel.chunks_exact_mut(PANEL).zip(row) {
            line[o % PANEL] = *w;
        }
    }
}
