//! Products of rows with packed panels: how they are cut into pieces, and which instructions run the pieces.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::cast_slice_mut;
use strata_simd::Level;

use super::PANEL;
use super::float_tiles::{self, FloatProduct, Lines};
use super::int8::{self, RowType};
use super::int8_tiles::Int8Product;
use super::output::Output;
use super::quantize::quantize_rows;
use crate::product::{Activation, ProductOptions, Scratch};

/// Fewest multiplications that are worth a further thread.
const GRAIN: usize = 1 << 17;

/// Pieces for each thread, so that a thread that is held up does not hold up all.
const PIECES: usize = 4;

/// Fewest rows of a piece where products are cut by rows too.
const PIECE_ROWS: usize = 24;

/// What is to be multiplied.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// `[panels * PANEL]`
    pub bias: &'a [f32],
    pub options: ProductOptions,
}

impl Job<'_> {
    fn output(&self, out: &mut [f32]) -> Output {
        let stride = self.options.out_stride.unwrap_or(self.outputs);
        assert!(stride >= self.outputs, "rows of {} outputs cannot lie {stride} apart", self.outputs);
        let needed = if self.rows == 0 { 0 } else { (self.rows - 1) * stride + self.outputs };
        assert!(out.len() >= needed, "{} rows of {} outputs do not fit {} values", self.rows, self.outputs, out.len());
        assert_eq!(self.bias.len(), self.outputs.next_multiple_of(PANEL), "bias");
        Output {
            out: out.as_mut_ptr(),
            stride,
            outputs: self.outputs,
            relu: self.options.activation == Activation::Relu,
            accumulate: self.options.accumulate,
        }
    }

    /// Threads that the product is worth.
    pub fn threads(&self) -> usize {
        if self.options.threads < 2 {
            return 1;
        }
        let worth = self.rows.saturating_mul(self.inputs).saturating_mul(self.outputs) / GRAIN;
        self.options.threads.min(worth).min(rayon::current_num_threads()).max(1)
    }

    /// Calls `work(rows, panels)` for pieces that cover all rows and panels, on several threads if that pays.
    fn pieces(&self, work: impl Fn(Range<usize>, Range<usize>) + Sync) {
        let panels = self.outputs.div_ceil(PANEL);
        let threads = self.threads();
        if threads == 1 {
            return work(0..self.rows, 0..panels);
        }
        let by_panel = panels.min(threads * PIECES);
        let by_row = (threads * PIECES).div_ceil(by_panel).min(self.rows / PIECE_ROWS).max(1);
        let next = AtomicUsize::new(0);
        let run = || {
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= by_panel * by_row {
                    return;
                }
                // Threads that take turns go through panels that follow one another, each in its own share.
                let column = match (piece % by_panel, by_panel / threads) {
                    (turn, share) if share * threads == by_panel => turn % threads * share + turn / threads,
                    (turn, _) => turn,
                };
                let cut = |n: usize, i: usize, of: usize| n * i / of..n * (i + 1) / of;
                work(cut(self.rows, piece / by_panel, by_row), cut(panels, column, by_panel));
            }
        };
        rayon::scope(|scope| {
            (1..threads).for_each(|_| scope.spawn(|_| run()));
            run();
        });
    }
}

/// `out = act(x W^T + b)` with `weights` in panels of lines of the form `L`.
pub(crate) fn floats<L: Lines>(level: Level, job: Job<'_>, x: &[f32], weights: &[L::Weight], out: &mut [f32]) {
    let panels = job.outputs.div_ceil(PANEL);
    assert!(x.len() >= job.rows * job.inputs, "{} values for {} rows of {}", x.len(), job.rows, job.inputs);
    assert_eq!(weights.len(), panels * job.inputs.next_multiple_of(L::INPUTS) * PANEL, "weights");
    let output = job.output(out);
    let product = FloatProduct::<L> { x, inputs: job.inputs, weights, bias: job.bias, output };
    // SAFETY: the sizes are checked above, and pieces do not overlap.
    job.pieces(|rows, panels| unsafe { float_tiles::piece(level, &product, rows, panels) });
}

/// Quantizes the rows `x` of `job` into `scratch`, as [`int8`] takes them.
pub(crate) fn quantize(level: Level, job: Job<'_>, x: &[f32], scratch: &mut Scratch) {
    let padded = job.inputs.next_multiple_of(4);
    assert!(x.len() >= job.rows * job.inputs, "{} values for {} rows of {}", x.len(), job.rows, job.inputs);
    let x = &x[..job.rows * job.inputs];
    scratch.row_scales.resize(scratch.row_scales.len().max(job.rows), 0.0);
    let row_scales = &mut scratch.row_scales[..job.rows];
    let parallel = job.threads() > 1;
    let bytes = scratch.rows.resize(job.rows * padded * int8::row_type(level).size());
    match int8::row_type(level) {
        RowType::Wide => quantize_rows::<i16>(x, job.inputs, padded, cast_slice_mut(bytes), row_scales, parallel),
        #[cfg(target_arch = "x86_64")]
        RowType::Unsigned => quantize_rows::<u8>(x, job.inputs, padded, cast_slice_mut(bytes), row_scales, parallel),
        #[cfg(target_arch = "aarch64")]
        RowType::Signed => quantize_rows::<i8>(x, job.inputs, padded, bytes, row_scales, parallel),
    }
}

/// `out = act(x W^T + b)` for rows that [`quantize`] put into `rows`, with `values` `[panels, ceil(inputs / 4), PANEL,
/// 4]`, `scales` and `sums` `[panels * PANEL]`.
pub(crate) fn int8(
    level: Level,
    job: Job<'_>,
    rows: &Scratch,
    values: &[i8],
    scales: &[f32],
    sums: &[i32],
    out: &mut [f32],
) {
    let padded = job.inputs.next_multiple_of(4);
    let panels = job.outputs.div_ceil(PANEL);
    assert!(rows.rows.len() >= job.rows * padded * int8::row_type(level).size(), "{} quantized rows", job.rows);
    assert!(rows.row_scales.len() >= job.rows, "scales of {} rows", job.rows);
    assert_eq!(values.len(), panels * padded * PANEL, "weights");
    assert!(scales.len() == panels * PANEL && sums.len() == panels * PANEL, "scales and sums");
    let output = job.output(out);
    let product = Int8Product {
        x: &rows.rows,
        padded,
        row_scales: &rows.row_scales,
        values,
        scales,
        sums,
        bias: job.bias,
        output,
    };
    // SAFETY: the sizes are checked above, rows have the type that the level takes, and pieces do not overlap.
    job.pieces(|rows, panels| unsafe { int8::piece(level, &product, rows, panels) });
}
