//! Products of rows with packed panels: how they are cut into pieces, and which instructions run the pieces.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::PANEL;
use super::f32_tiles::{self, F32Product};
use super::int8_tiles::{self, Int8Product};
use super::level::Level;
use super::quantise::quantise_rows;
use super::vector::Floats;
use crate::linear::{Activation, Options, Scratch};

/// Fewest multiplications that are worth a further thread.
const GRAIN: usize = 1 << 17;

/// Pieces for each thread, so that a thread that is held up does not hold up all.
const PIECES: usize = 4;

/// Fewest rows of a piece where products are cut by rows too.
const PIECE_ROWS: usize = 24;

/// Bytes of panels that are multiplied with all rows before the next ones come; they should stay in a core's cache.
const CACHED: usize = 192 << 10;

/// What is to be multiplied.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// `[panels * PANEL]`
    pub bias: &'a [f32],
    pub options: Options,
}

/// Where results go.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub out: *mut f32,
    /// Distance of rows.
    pub stride: usize,
    /// Number of columns.
    pub outputs: usize,
    pub relu: bool,
    pub accumulate: bool,
}

// SAFETY: pieces on different threads write different elements.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// Stores one row's results `values` of the columns from `first`, a multiple of `N`, as far as there are columns.
    ///
    /// # Safety
    /// The processor has the instructions of `F`; `row` is one of the rows, and no other thread writes there.
    #[inline(always)]
    pub unsafe fn store<F: Floats<N>, const N: usize>(&self, row: usize, first: usize, mut values: F) {
        if first >= self.outputs {
            return;
        }
        // SAFETY: the caller's promise; `outputs - first` columns are there.
        unsafe {
            if self.relu {
                values = values.relu();
            }
            let out = self.out.add(row * self.stride + first);
            if self.outputs - first < N {
                let mut some = [0.0; N];
                values.store(some.as_mut_ptr());
                return self.store_some(out, &some[..self.outputs - first]);
            }
            if self.accumulate {
                values = F::load(out).add(values);
            }
            values.store(out);
        }
    }

    /// The end of a row; out of line, so that what is common stays short.
    ///
    /// # Safety
    /// All of `values` have their place at `out`.
    #[cold]
    #[inline(never)]
    unsafe fn store_some(&self, out: *mut f32, values: &[f32]) {
        for (i, v) in values.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { *out.add(i) = if self.accumulate { *out.add(i) + v } else { *v } };
        }
    }
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

    fn threads(&self) -> usize {
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

/// The place of a strip in its run, from which follows which weights it asks for ahead of their use.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// Panels of the run.
    run: usize,
    /// Which tile of the run it is.
    tile: usize,
    /// Tiles of the run.
    tiles: usize,
}

/// Which weights a tile asks for at each step of its loop, in bytes: those that lie `distance + i * step` behind the tile's first at
/// the `i`-th.
pub(crate) struct Ask {
    pub distance: usize,
    pub step: usize,
}

impl Ahead {
    /// For a panel of `steps` lines of `line` bytes, of which this is one of `shares` passes.
    ///
    /// Where all rows are one tile, weights are read once and in one direction, but faster than the processor itself looks ahead, and
    /// it stops at the end of each page. With several tiles the first of a run would wait for its weights at the memory's speed while
    /// the others leave the memory alone; so each asks for an equal share of the next run, as even in time as can be.
    #[inline(always)]
    pub fn ask(self, line: usize, steps: usize, shares: usize, share: usize) -> Ask {
        const SOON: usize = 4096;
        if self.tiles == 1 {
            return Ask { distance: SOON, step: line };
        }
        let step = line.div_ceil(self.tiles * shares);
        Ask { distance: self.run * steps * line + (self.tile * shares + share) * steps * step, step }
    }
}

/// Calls `strip(first_row, rows, panels, ahead)` for tiles of up to `max_rows` rows and runs of panels that fit the cache,
/// rows in tiles as equal as can be.
#[inline(always)]
pub(crate) fn tile(
    rows: Range<usize>,
    panels: Range<usize>,
    max_rows: usize,
    panel_bytes: usize,
    strip: impl Fn(usize, usize, Range<usize>, Ahead),
) {
    let tiles = rows.len().div_ceil(max_rows);
    let run = if tiles == 1 { panels.len() } else { (CACHED / panel_bytes.max(1)).clamp(1, 12) };
    let mut first = panels.start;
    while first < panels.end {
        let end = panels.end.min(first + run);
        for t in 0..tiles {
            let (start, stop) = (rows.len() * t / tiles, rows.len() * (t + 1) / tiles);
            strip(rows.start + start, stop - start, first..end, Ahead { run, tile: t, tiles });
        }
        first = end;
    }
}

/// `out = act(x W^T + b)` with `weights` `[panels, inputs, PANEL]`.
pub(crate) fn f32(level: Level, job: Job<'_>, x: &[f32], weights: &[f32], out: &mut [f32]) {
    let panels = job.outputs.div_ceil(PANEL);
    assert!(x.len() >= job.rows * job.inputs, "{} values for {} rows of {}", x.len(), job.rows, job.inputs);
    assert_eq!(weights.len(), panels * job.inputs * PANEL, "weights");
    let output = job.output(out);
    let product = F32Product { x, inputs: job.inputs, weights, bias: job.bias, output };
    job.pieces(|rows, panels| f32_tiles::piece(level, &product, rows, panels));
}

/// `out = act(x W^T + b)` with `values` `[panels, ceil(inputs / 4), PANEL, 4]`, `scales` and `sums` `[panels * PANEL]`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn int8(
    level: Level,
    job: Job<'_>,
    x: &[f32],
    values: &[i8],
    scales: &[f32],
    sums: &[i32],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let padded = job.inputs.next_multiple_of(4);
    let panels = job.outputs.div_ceil(PANEL);
    assert!(x.len() >= job.rows * job.inputs, "{} values for {} rows of {}", x.len(), job.rows, job.inputs);
    assert_eq!(values.len(), panels * padded * PANEL, "weights");
    assert!(scales.len() == panels * PANEL && sums.len() == panels * PANEL, "scales and sums");
    let output = job.output(out);
    let x = &x[..job.rows * job.inputs];
    scratch.row_scales.resize(scratch.row_scales.len().max(job.rows), 0.0);
    let row_scales = &mut scratch.row_scales[..job.rows];
    let parallel = job.threads() > 1;
    if int8_tiles::takes_unsigned(level) {
        let rows: &mut [u8] = bytemuck::cast_slice_mut(scratch.rows.resize(job.rows * padded));
        quantise_rows(x, job.inputs, padded, rows, row_scales, parallel);
    } else {
        let rows: &mut [i16] = bytemuck::cast_slice_mut(scratch.rows.resize(job.rows * padded * size_of::<i16>()));
        quantise_rows(x, job.inputs, padded, rows, row_scales, parallel);
    }
    let product = Int8Product {
        x: &scratch.rows,
        padded,
        row_scales: &scratch.row_scales,
        values,
        scales,
        sums,
        bias: job.bias,
        output,
    };
    job.pieces(|rows, panels| int8_tiles::piece(level, &product, rows, panels));
}
