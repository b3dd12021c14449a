//! f32 products: tiles of a few rows and panels whose sums stay in registers.
//!
//! Each output element is one chain of fused multiply-adds over the inputs in order, beginning at zero, and the bias
//! comes after it: whatever the tile, the chain is the same, and so are the bits.

use std::ops::Range;

use strata_simd::{Floats, Level, Vectors, prefetch};

use super::PANEL;
use super::output::Output;
use super::tiling::{Place, Prefetch, plainly, tile};

/// A product `x W^T + b`.
pub(crate) struct F32Product<'a> {
    /// `[rows, inputs]`
    pub x: &'a [f32],
    pub inputs: usize,
    /// `[panels, inputs, PANEL]`
    pub weights: &'a [f32],
    /// `[panels * PANEL]`
    pub bias: &'a [f32],
    pub output: Output,
}

/// Registers of some instruction set, which all functions need, and the tiles that fit it.
trait Tiles: Floats {
    /// Most rows of a tile.
    const ROWS: usize;

    /// Runs `work`, an `#[inline(always)]` closure, compiled for the instructions.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R;
    /// Computes `rows` rows, 1 to [`Tiles::ROWS`], from `row` on of all `panels`.
    ///
    /// # Safety
    /// As [`piece`], for these rows and the panels of the place's tile.
    unsafe fn strip(product: &F32Product<'_>, row: usize, rows: usize, panels: Range<usize>, place: Place);
}

/// Computes `rows` and `panels` of `product` with the instructions of `level`.
///
/// # Safety
/// Rows and panels are within the product, whose slices have the sizes that its fields say, and no other thread writes
/// them.
pub(super) unsafe fn piece(level: Level, product: &F32Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    match level.vectors() {
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Portable => unsafe { run::<[f32; PANEL]>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx2 => unsafe { run::<std::arch::x86_64::__m256>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx512 => unsafe { run::<std::arch::x86_64::__m512>(product, rows, panels) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Neon => unsafe { run::<std::arch::aarch64::float32x4_t>(product, rows, panels) },
    }
}

/// [`piece`] with the instructions of `F`.
///
/// # Safety
/// As [`piece`], and the processor has the instructions of `F`.
unsafe fn run<F: Tiles>(product: &F32Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    let panel_bytes = product.inputs * PANEL * size_of::<f32>();
    // SAFETY: the caller's promise.
    unsafe {
        F::with(
            #[inline(always)]
            || {
                tile(
                    rows,
                    panels,
                    F::ROWS,
                    panel_bytes,
                    #[inline(always)]
                    |row, rows, panels, place| F::strip(product, row, rows, panels, place),
                );
            },
        );
    }
}

/// Computes `R` rows from `row` on of the `P` panels from `panel` on, each in `K` registers.
///
/// # Safety
/// As [`piece`], for these rows and panels, and the processor has the instructions of `F`.
#[inline(always)]
unsafe fn product_tile<F: Tiles, const R: usize, const P: usize, const K: usize>(
    p: &F32Product<'_>,
    row: usize,
    panel: usize,
    place: Place,
) {
    // SAFETY: rows and panels are within the product, whose slices hold `inputs` values for each row, and `inputs`
    // lines for each panel.
    unsafe {
        let x = p.x.as_ptr().add(row * p.inputs);
        let w = p.weights.as_ptr().add(panel * p.inputs * PANEL);
        let Prefetch { distance, step } = place.prefetch(PANEL * size_of::<f32>(), p.inputs, 1, 0);
        let mut sums = [[[F::zero(); K]; P]; R];
        for i in 0..p.inputs {
            let mut weights = [[F::zero(); K]; P];
            for c in 0..P {
                let from = w.add((c * p.inputs + i) * PANEL);
                // Many panels side by side are many streams already.
                if P < 4 {
                    prefetch(w.wrapping_add(c * p.inputs * PANEL).wrapping_byte_add(distance + i * step));
                }
                for k in 0..K {
                    weights[c][k] = F::load(from.add(k * F::LANES));
                }
            }
            for r in 0..R {
                let x = F::splat(*x.add(r * p.inputs + i));
                for c in 0..P {
                    for k in 0..K {
                        sums[r][c][k] = x.mul_add(weights[c][k], sums[r][c][k]);
                    }
                }
            }
        }
        // Only the copy has an address, so the sums above stay in registers through the loop.
        let done = sums;
        store_tile(p, row, panel, &done);
    }
}

/// Stores the sums of rows from `row` on and of panels from `panel` on, with the bias added. Out of line: inlined, it
/// is too large for its loops to be unrolled, and sums that a loop indexes would live in memory.
///
/// # Safety
/// As [`product_tile`].
#[inline(never)]
unsafe fn store_tile<F: Tiles, const P: usize, const K: usize>(
    p: &F32Product<'_>,
    row: usize,
    panel: usize,
    sums: &[[[F; K]; P]],
) {
    // SAFETY: the caller's promise.
    unsafe {
        F::with(
            #[inline(always)]
            || {
                for c in 0..P {
                    for k in 0..K {
                        let first = (panel + c) * PANEL + k * F::LANES;
                        let bias = F::load(p.bias.as_ptr().add(first));
                        for (r, sums) in sums.iter().enumerate() {
                            p.output.store(row + r, first, sums[c][k].add(bias));
                        }
                    }
                }
            },
        );
    }
}

/// The tiles of a register type: for each number of rows, how many panels side by side keep the multipliers busy with
/// the registers there are.
macro_rules! tiles {
    ($register:ty, $with:expr, $($rows:literal x $panels:literal),*; most $most:literal rows) => {
        impl Tiles for $register {
            const ROWS: usize = $most;

            #[inline(always)]
            unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
                // SAFETY: the caller's promise, that the processor has the instructions.
                unsafe { $with(work) }
            }

            #[inline(always)]
            unsafe fn strip(product: &F32Product<'_>, row: usize, rows: usize, panels: Range<usize>, place: Place) {
                const K: usize = PANEL / <$register as Floats>::LANES;
                let mut panel = panels.start;
                match rows {
                    $($rows => {
                        // SAFETY: the caller's promise.
                        unsafe {
                            while panels.end - panel >= $panels {
                                product_tile::<Self, $rows, $panels, K>(product, row, panel, place);
                                panel += $panels;
                            }
                            while panel < panels.end {
                                product_tile::<Self, $rows, 1, K>(product, row, panel, place);
                                panel += 1;
                            }
                        }
                    })*
                    _ => unreachable!("a tile of {rows} rows, of at most {}", Self::ROWS),
                }
            }
        }
    };
}

tiles!([f32; PANEL], plainly, 1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1; most 6 rows);

// 12 of 16 registers hold sums; fewer than 8 sums leave the multipliers waiting for one another.
#[cfg(target_arch = "x86_64")]
tiles!(std::arch::x86_64::__m256, strata_simd::with_avx2, 1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1; most 6 rows);

// At most 24 of 32 registers hold sums.
#[cfg(target_arch = "x86_64")]
tiles!(
    std::arch::x86_64::__m512, strata_simd::with_avx512,
    1 x 8, 2 x 4, 3 x 4, 4 x 4, 5 x 4, 6 x 4, 7 x 3, 8 x 3; most 8 rows
);

// A panel is four registers. At most 24 of 32 registers hold sums.
#[cfg(target_arch = "aarch64")]
tiles!(
    std::arch::aarch64::float32x4_t, strata_simd::with_neon,
    1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1; most 6 rows
);
