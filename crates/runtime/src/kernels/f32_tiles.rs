//! f32 products: tiles of a few rows and panels whose sums stay in registers.
//!
//! Each output element is one chain of fused multiply-adds over the inputs in order, beginning at zero, and the bias comes
//! after it: whatever the tile, the chain is the same, and so are the bits.

use std::ops::Range;

use super::PANEL;
use super::drive::{Ahead, Ask, Output, tile};
use super::level::Level;
use super::vector::{Floats, prefetch};

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

/// One value for each column of a panel, in registers of some instruction set, which all methods need.
trait Columns: Copy {
    /// One value for all columns.
    type Splat: Copy;
    /// Most rows of a tile.
    const ROWS: usize;

    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn splat(from: *const f32) -> Self::Splat;
    /// `self + x * w`, rounded once.
    unsafe fn fma(self, x: Self::Splat, w: Self) -> Self;
    /// Stores the results of `row` and the columns from `first`, with `bias` added.
    unsafe fn store(self, bias: *const f32, output: &Output, row: usize, first: usize);
    /// Computes `rows` rows from `row` on of all `panels`.
    unsafe fn strip(product: &F32Product<'_>, row: usize, rows: usize, panels: Range<usize>, ahead: Ahead);
}

/// Computes `rows` and `panels` of `product` with the instructions of `level`, which the processor must have.
pub(crate) fn piece(level: Level, product: &F32Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY (all three): the level says that the processor has the instructions; `drive` has checked the sizes.
    match level {
        Level::Portable => unsafe { run::<[f32; PANEL]>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::AvxVnni => unsafe { x86::avx2(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => unsafe { x86::avx512(product, rows, panels) },
    }
}

#[inline(always)]
unsafe fn run<C: Columns>(product: &F32Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    let panel_bytes = product.inputs * PANEL * size_of::<f32>();
    tile(
        rows,
        panels,
        C::ROWS,
        panel_bytes,
        #[inline(always)]
        |row, rows, panels, ahead| {
            // SAFETY: the caller's promise.
            unsafe { C::strip(product, row, rows, panels, ahead) }
        },
    );
}

/// Computes `R` rows from `row` on of the `P` panels from `panel` on.
#[inline(always)]
unsafe fn product_tile<C: Columns, const R: usize, const P: usize>(
    p: &F32Product<'_>,
    row: usize,
    panel: usize,
    ahead: Ahead,
) {
    // SAFETY: rows and panels are within the product, whose slices hold `inputs` values for each row, and `inputs` lines
    // for each panel.
    unsafe {
        let x = p.x.as_ptr().add(row * p.inputs);
        let w = p.weights.as_ptr().add(panel * p.inputs * PANEL);
        let Ask { distance, step } = ahead.ask(PANEL * size_of::<f32>(), p.inputs, 1, 0);
        let mut sums = [[C::zero(); P]; R];
        for i in 0..p.inputs {
            let mut weights = [C::zero(); P];
            for c in 0..P {
                let from = w.add((c * p.inputs + i) * PANEL);
                // Many panels side by side are many streams already.
                if P < 4 {
                    prefetch(w.wrapping_add(c * p.inputs * PANEL).wrapping_byte_add(distance + i * step));
                }
                weights[c] = C::load(from);
            }
            for r in 0..R {
                let x = C::splat(x.add(r * p.inputs + i));
                for c in 0..P {
                    sums[r][c] = sums[r][c].fma(x, weights[c]);
                }
            }
        }
        for c in 0..P {
            let first = (panel + c) * PANEL;
            let bias = p.bias.as_ptr().add(first);
            for r in 0..R {
                sums[r][c].store(bias, &p.output, row + r, first);
            }
        }
    }
}

/// The tile for each number of rows: how many panels side by side keep the multipliers busy with the registers there are.
macro_rules! strip {
    ($columns:ty, $($rows:literal x $panels:literal),*) => {
        #[inline(always)]
        unsafe fn strip(product: &F32Product<'_>, row: usize, rows: usize, panels: Range<usize>, ahead: Ahead) {
            let mut panel = panels.start;
            match rows {
                $($rows => {
                    // SAFETY: the caller's promise.
                    unsafe {
                        while panels.end - panel >= $panels {
                            product_tile::<$columns, $rows, $panels>(product, row, panel, ahead);
                            panel += $panels;
                        }
                        while panel < panels.end {
                            product_tile::<$columns, $rows, 1>(product, row, panel, ahead);
                            panel += 1;
                        }
                    }
                })*
                _ => debug_assert!(rows == 0, "a tile of {rows} rows"),
            }
        }
    };
}

impl Columns for [f32; PANEL] {
    type Splat = f32;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; PANEL]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> f32 {
        // SAFETY: the caller's promise.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn fma(mut self, x: f32, w: Self) -> Self {
        // Where there is no instruction for it, `mul_add` is a slow call.
        const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        for i in 0..PANEL {
            self[i] = if FUSED { x.mul_add(w[i], self[i]) } else { self[i] + x * w[i] };
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, bias: *const f32, output: &Output, row: usize, first: usize) {
        // SAFETY: the caller's promise.
        unsafe { output.store(row, first, self.add(Floats::load(bias))) }
    }

    strip!([f32; PANEL], 1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::ops::Range;

    use super::{Ahead, Columns, F32Product, Floats, Output, product_tile, run};

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(product: &F32Product<'_>, rows: Range<usize>, panels: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run::<[__m256; 2]>(product, rows, panels) }
    }

    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) unsafe fn avx512(product: &F32Product<'_>, rows: Range<usize>, panels: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { run::<__m512>(product, rows, panels) }
    }

    impl Columns for [__m256; 2] {
        type Splat = __m256;
        const ROWS: usize = 6;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the trait's promise, that the processor has the instructions; so below.
            unsafe { [_mm256_setzero_ps(); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and 16 values lie there.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn splat(from: *const f32) -> __m256 {
            // SAFETY: as above.
            unsafe { _mm256_broadcast_ss(&*from) }
        }

        #[inline(always)]
        unsafe fn fma(self, x: __m256, w: Self) -> Self {
            // SAFETY: as above.
            unsafe { [_mm256_fmadd_ps(x, w[0], self[0]), _mm256_fmadd_ps(x, w[1], self[1])] }
        }

        #[inline(always)]
        unsafe fn store(self, bias: *const f32, output: &Output, row: usize, first: usize) {
            // SAFETY: as above.
            unsafe {
                output.store(row, first, self[0].add(Floats::load(bias)));
                output.store(row, first + 8, self[1].add(Floats::load(bias.add(8))));
            }
        }

        // 12 of 16 registers hold sums; fewer than 8 sums leave the multipliers waiting for one another.
        strip!([__m256; 2], 1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1);
    }

    impl Columns for __m512 {
        type Splat = __m512;
        const ROWS: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the trait's promise, that the processor has the instructions; so below.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and 16 values lie there.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn splat(from: *const f32) -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_set1_ps(*from) }
        }

        #[inline(always)]
        unsafe fn fma(self, x: __m512, w: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(x, w, self) }
        }

        #[inline(always)]
        unsafe fn store(self, bias: *const f32, output: &Output, row: usize, first: usize) {
            // SAFETY: as above.
            unsafe { output.store(row, first, self.add(Floats::load(bias))) }
        }

        // At most 24 of 32 registers hold sums.
        strip!(__m512, 1 x 8, 2 x 4, 3 x 4, 4 x 4, 5 x 4, 6 x 4, 7 x 3, 8 x 3);
    }
}
