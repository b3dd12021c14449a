//! f32 products with weights in f32 or bfloat16: tiles of a few rows and panels whose sums stay in registers.
//!
//! Each output element is one chain of fused multiply-adds over the inputs in order, beginning at zero, and the bias
//! comes after it: whatever the tile, the chain is the same, and so are the bits. A bfloat16 weight is widened to f32
//! in its register, so the result is that of f32 weights with the same values.

use std::ops::Range;

use bytemuck::Pod;
use strata_simd::{Floats, Level, Vectors, prefetch};

use super::PANEL;
use super::output::Output;
use super::tiling::{Place, Prefetch, plainly, tile};

/// How weights lie in a line of [`PANEL`] lanes of 32 bits.
pub(crate) trait Lines {
    /// Inputs of a line.
    const INPUTS: usize;
    /// A weight.
    type Weight: Pod + Sync;

    /// The weights of a line's input `input` as f32; `line` holds some of its lanes.
    ///
    /// # Safety
    /// The processor has the instructions of `F`.
    unsafe fn weights<F: Floats>(line: F, input: usize) -> F;
}

/// One f32 in each lane: `[panels, inputs, PANEL]`.
pub(crate) struct F32Lines;

impl Lines for F32Lines {
    const INPUTS: usize = 1;
    type Weight = f32;

    #[inline(always)]
    unsafe fn weights<F: Floats>(line: F, _: usize) -> F {
        line
    }
}

/// The bfloat16 of two inputs in each lane: `[panels, ceil(inputs / 2), PANEL, 2]`.
pub(crate) struct Bf16Lines;

impl Lines for Bf16Lines {
    const INPUTS: usize = 2;
    type Weight = u16;

    #[inline(always)]
    unsafe fn weights<F: Floats>(line: F, input: usize) -> F {
        // SAFETY: the caller's promise.
        unsafe { if input == 0 { line.lower_bf16() } else { line.upper_bf16() } }
    }
}

/// A product `x W^T + b`.
pub(super) struct FloatProduct<'a, L: Lines> {
    /// `[rows, inputs]`
    pub x: &'a [f32],
    pub inputs: usize,
    /// Panels of [`FloatProduct::lines`] lines.
    pub weights: &'a [L::Weight],
    /// `[panels * PANEL]`
    pub bias: &'a [f32],
    pub output: Output,
}

impl<L: Lines> FloatProduct<'_, L> {
    /// Lines of a panel.
    fn lines(&self) -> usize {
        self.inputs.div_ceil(L::INPUTS)
    }
}

/// Registers of some instruction set, which all functions need, and the tiles that fit it.
trait Tiles: Floats {
    /// Most rows of a tile with weights that lie in such lines.
    fn most_rows<L: Lines>() -> usize;

    /// Runs `work`, an `#[inline(always)]` closure, compiled for the instructions.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R;
    /// Computes `rows` rows, 1 to [`Tiles::most_rows`], from `row` on of all `panels`.
    ///
    /// # Safety
    /// As [`piece`], for these rows and the panels of the place's tile.
    unsafe fn strip<L: Lines>(
        product: &FloatProduct<'_, L>,
        row: usize,
        rows: usize,
        panels: Range<usize>,
        place: Place,
    );
}

/// Computes `rows` and `panels` of `product` with the instructions of `level`.
///
/// # Safety
/// Rows and panels are within the product, whose slices have the sizes that its fields say, and no other thread writes
/// them.
pub(super) unsafe fn piece<L: Lines>(
    level: Level,
    product: &FloatProduct<'_, L>,
    rows: Range<usize>,
    panels: Range<usize>,
) {
    match level.vectors() {
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Portable => unsafe { run::<[f32; PANEL], L>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx2 => unsafe { run::<std::arch::x86_64::__m256, L>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx512 => unsafe { run::<std::arch::x86_64::__m512, L>(product, rows, panels) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Neon => unsafe { run::<std::arch::aarch64::float32x4_t, L>(product, rows, panels) },
    }
}

/// [`piece`] with the instructions of `F`.
///
/// # Safety
/// As [`piece`], and the processor has the instructions of `F`.
unsafe fn run<F: Tiles, L: Lines>(product: &FloatProduct<'_, L>, rows: Range<usize>, panels: Range<usize>) {
    let panel_bytes = product.lines() * PANEL * size_of::<f32>();
    // SAFETY: the caller's promise.
    unsafe {
        F::with(
            #[inline(always)]
            || {
                tile(
                    rows,
                    panels,
                    F::most_rows::<L>(),
                    panel_bytes,
                    #[inline(always)]
                    |row, rows, panels, place| F::strip(product, row, rows, panels, place),
                );
            },
        );
    }
}

/// Sums of `R` rows with `P` panels, each in `K` registers.
type Sums<F, const R: usize, const P: usize, const K: usize> = [[[F; K]; P]; R];

/// Computes `R` rows from `row` on of the `P` panels from `panel` on.
///
/// # Safety
/// As [`piece`], for these rows and panels, and the processor has the instructions of `F`.
#[inline(always)]
unsafe fn product_tile<F: Tiles, L: Lines, const R: usize, const P: usize, const K: usize>(
    p: &FloatProduct<'_, L>,
    row: usize,
    panel: usize,
    place: Place,
) {
    let lines = p.lines();
    // SAFETY: rows and panels are within the product, whose slices hold `inputs` values for each row, and `lines` lines
    // for each panel.
    unsafe {
        let x = p.x.as_ptr().add(row * p.inputs);
        let w = p.weights.as_ptr().cast::<f32>().add(panel * lines * PANEL);
        let prefetch = place.prefetch(PANEL * size_of::<f32>(), lines, 1, 0);
        let mut sums = [[[F::zero(); K]; P]; R];
        let whole = p.inputs / L::INPUTS;
        for line in 0..whole {
            sums = add_line::<F, L, R, P, K>(sums, p, x, w, line, L::INPUTS, &prefetch);
        }
        if whole < lines {
            sums = add_line::<F, L, R, P, K>(sums, p, x, w, whole, 1, &prefetch);
        }
        // Only the copy has an address, so the sums above stay in registers through the loop.
        let done = sums;
        store_tile(p.bias, p.output, row, panel, &done);
    }
}

/// `sums` and the products of the first `inputs` inputs of line `line`, of rows from `x` and panels from `w` on.
///
/// # Safety
/// As [`product_tile`]; the line has so many inputs.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn add_line<F: Tiles, L: Lines, const R: usize, const P: usize, const K: usize>(
    mut sums: Sums<F, R, P, K>,
    p: &FloatProduct<'_, L>,
    x: *const f32,
    w: *const f32,
    line: usize,
    inputs: usize,
    next: &Prefetch,
) -> Sums<F, R, P, K> {
    let panel = p.lines() * PANEL;
    // SAFETY: the caller's promise.
    unsafe {
        let mut weights = [[F::zero(); K]; P];
        for c in 0..P {
            // Many panels side by side are many streams already.
            if P < 4 {
                prefetch(w.wrapping_add(c * panel).wrapping_byte_add(next.distance + line * next.step));
            }
            for k in 0..K {
                weights[c][k] = F::load(w.add(c * panel + line * PANEL + k * F::LANES));
            }
        }
        for input in 0..inputs {
            for r in 0..R {
                let x = F::splat(*x.add(r * p.inputs + line * L::INPUTS + input));
                for c in 0..P {
                    for k in 0..K {
                        sums[r][c][k] = x.mul_add(L::weights(weights[c][k], input), sums[r][c][k]);
                    }
                }
            }
        }
    }
    sums
}

/// Stores the sums of rows from `row` on and of panels from `panel` on, with the bias added. Out of line: inlined, it
/// is too large for its loops to be unrolled, and sums that a loop indexes would live in memory.
///
/// # Safety
/// As [`product_tile`].
#[inline(never)]
unsafe fn store_tile<F: Tiles, const P: usize, const K: usize>(
    bias: &[f32],
    output: Output,
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
                        let bias = F::load(bias.as_ptr().add(first));
                        for (r, sums) in sums.iter().enumerate() {
                            output.store(row + r, first, sums[c][k].add(bias));
                        }
                    }
                }
            },
        );
    }
}

/// The tiles of a register type: for each number of rows, how many panels side by side keep the multipliers busy with
/// the registers there are, for weights in f32 / in bfloat16, which lie in registers both as loaded and widened.
macro_rules! tiles {
    ($register:ty, $with:expr, $($rows:literal x $panels:literal / $halved:literal),*; most $most:literal / $fewest:literal rows) => {
        impl Tiles for $register {
            #[inline(always)]
            fn most_rows<L: Lines>() -> usize {
                if L::INPUTS == 1 { $most } else { $fewest }
            }

            #[inline(always)]
            unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
                // SAFETY: the caller's promise, that the processor has the instructions.
                unsafe { $with(work) }
            }

            #[inline(always)]
            unsafe fn strip<L: Lines>(
                product: &FloatProduct<'_, L>,
                row: usize,
                rows: usize,
                panels: Range<usize>,
                place: Place,
            ) {
                const K: usize = PANEL / <$register as Floats>::LANES;
                let mut panel = panels.start;
                match rows {
                    $($rows if $rows <= Self::most_rows::<L>() => {
                        // SAFETY: the caller's promise.
                        unsafe {
                            while L::INPUTS == 1 && panels.end - panel >= $panels {
                                product_tile::<Self, L, $rows, $panels, K>(product, row, panel, place);
                                panel += $panels;
                            }
                            while L::INPUTS > 1 && panels.end - panel >= $halved {
                                product_tile::<Self, L, $rows, $halved, K>(product, row, panel, place);
                                panel += $halved;
                            }
                            while panel < panels.end {
                                product_tile::<Self, L, $rows, 1, K>(product, row, panel, place);
                                panel += 1;
                            }
                        }
                    })*
                    _ => unreachable!("a tile of {rows} rows, of at most {}", Self::most_rows::<L>()),
                }
            }
        }
    };
}

tiles!(
    [f32; PANEL], plainly,
    1 x 4 / 4, 2 x 2 / 2, 3 x 1 / 1, 4 x 1 / 1, 5 x 1 / 1, 6 x 1 / 1; most 6 / 5 rows
);

// 12 of 16 registers hold sums; fewer than 8 sums leave the multipliers waiting for one another.
#[cfg(target_arch = "x86_64")]
tiles!(
    std::arch::x86_64::__m256, strata_simd::with_avx2,
    1 x 4 / 2, 2 x 2 / 1, 3 x 1 / 1, 4 x 1 / 1, 5 x 1 / 1, 6 x 1 / 1; most 6 / 5 rows
);

// At most 24 of 32 registers hold sums.
#[cfg(target_arch = "x86_64")]
tiles!(
    std::arch::x86_64::__m512, strata_simd::with_avx512,
    1 x 8 / 8, 2 x 4 / 4, 3 x 4 / 4, 4 x 4 / 4, 5 x 4 / 4, 6 x 4 / 2, 7 x 3 / 2, 8 x 3 / 1; most 8 / 8 rows
);

// A panel is four registers. At most 24 of 32 registers hold sums.
#[cfg(target_arch = "aarch64")]
tiles!(
    std::arch::aarch64::float32x4_t, strata_simd::with_neon,
    1 x 4 / 3, 2 x 2 / 2, 3 x 1 / 1, 4 x 1 / 1, 5 x 1 / 1, 6 x 1 / 1; most 6 / 5 rows
);
