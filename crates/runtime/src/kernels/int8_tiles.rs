//! int8 products: exact sums of products of bytes in 32 bits, then one scale for each element. Sums are exact, so all
//! instruction sets give the same bits.
//!
//! Each step takes four inputs of some columns. VNNI instructions multiply and add them at once, with unsigned rows:
//! 128 is added to a row's values, and sums start at `-128 * sum(w)`. Without VNNI, bytes are widened to 16 bits,
//! where sums of two products fit 32 bits (`vpmaddwd`): the 8-bit form (`vpmaddubsw`) saturates. ARM multiplies signed
//! bytes by signed bytes.

use std::ops::Range;

use strata_simd::{Floats, prefetch};

use super::PANEL;
use super::output::Output;
use super::quantize::Quantized;
use super::tiling::{Place, Prefetch, plainly, tile};

/// A product of quantized rows with quantized panels.
pub(crate) struct Int8Product<'a> {
    /// The bytes of `[rows, padded]` values of the type that the level takes.
    pub x: &'a [i8],
    /// The number of inputs, rounded up to a multiple of 4.
    pub padded: usize,
    /// `[rows]`
    pub row_scales: &'a [f32],
    /// `[panels, padded / 4, PANEL, 4]`
    pub values: &'a [i8],
    /// Of each column, `[panels * PANEL]`, like `sums` and `bias`.
    pub scales: &'a [f32],
    pub sums: &'a [i32],
    pub bias: &'a [f32],
    pub output: Output,
}

/// Most rows of a tile.
pub(super) const ROWS: usize = 6;

/// The tiles of some instruction set.
pub(super) trait Tiles {
    /// Columns of a unit: a panel or a part of one.
    const UNIT: usize;

    /// Runs `work`, an `#[inline(always)]` closure, compiled for the instructions.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R;
    /// Computes `rows` rows, 1 to [`ROWS`], from `row` on of all `units`.
    ///
    /// # Safety
    /// As [`super::int8::piece`], for these rows and units.
    unsafe fn strip(product: &Int8Product<'_>, row: usize, rows: usize, units: Range<usize>, place: Place);
}

/// Sums of a unit of columns in a register or two of some instruction set, which all methods need.
pub(super) trait Sums: Copy {
    /// How rows are held.
    type X: Quantized;
    /// Four inputs of all columns.
    type Weights: Copy;
    /// Four inputs of a row, for all columns.
    type Splat: Copy;
    /// Results, which have as many lanes as the unit has columns.
    type Floats: Floats;

    /// The sums before the first product. `columns` is the sum of each column's weights: what was added to the rows'
    /// values is taken off with them.
    ///
    /// # Safety
    /// The processor has the instructions, and the sums of the columns lie at `columns`.
    unsafe fn start(columns: *const i32) -> Self;
    /// The weights at `from`.
    ///
    /// # Safety
    /// The processor has the instructions, and four weights of each column lie at `from`.
    unsafe fn load(from: *const i8) -> Self::Weights;
    /// The inputs at `from`.
    ///
    /// # Safety
    /// The processor has the instructions, and four inputs lie at `from`.
    unsafe fn splat(from: *const Self::X) -> Self::Splat;
    /// Adds the products of four inputs to each sum.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn dot(self, x: Self::Splat, w: Self::Weights) -> Self;
    /// The sums of products.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn floats(self) -> Self::Floats;
}

/// Computes `rows` and `panels` of `product`.
///
/// # Safety
/// The processor has the instructions of `T`. Rows and panels are within the product, whose slices have the sizes that
/// its fields say, with rows of the type that the tiles take, and no other thread writes them.
pub(super) unsafe fn run<T: Tiles>(product: &Int8Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        T::with(
            #[inline(always)]
            || {
                tile(
                    rows,
                    panels,
                    ROWS,
                    product.padded * PANEL,
                    #[inline(always)]
                    |row, rows, panels, place| {
                        let in_panel = PANEL / T::UNIT;
                        let units = panels.start * in_panel..panels.end * in_panel;
                        T::strip(product, row, rows, units, place);
                    },
                );
            },
        );
    }
}

/// The tiles of sums of a type: for each number of rows from 1 to 6, how many units side by side fit the registers.
macro_rules! tiles {
    ($sums:ty, $with:expr, $($rows:literal x $units:literal),*) => {
        impl Tiles for $sums {
            const UNIT: usize = <<$sums as Sums>::Floats as strata_simd::Floats>::LANES;

            #[inline(always)]
            unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
                // SAFETY: the trait's promise, that the processor has the instructions.
                unsafe { $with(work) }
            }

            #[inline(always)]
            unsafe fn strip(product: &Int8Product<'_>, row: usize, rows: usize, units: Range<usize>, place: Place) {
                // SAFETY: the caller's promise.
                unsafe {
                    match rows {
                        $($rows => strip::<Self, $rows, $units>(product, row, units, place),)*
                        _ => unreachable!("a tile of {rows} rows, of at most {ROWS}"),
                    }
                }
            }
        }
    };
}
pub(super) use tiles;

/// Computes `R` rows from `row` on of all `units`, `U` at a time.
///
/// # Safety
/// As [`super::int8::piece`], for these rows and units, and the processor has the instructions of `S`.
#[inline(always)]
pub(super) unsafe fn strip<S: Sums + Tiles, const R: usize, const U: usize>(
    p: &Int8Product<'_>,
    row: usize,
    units: Range<usize>,
    place: Place,
) {
    let mut unit = units.start;
    // SAFETY: the caller's promise.
    unsafe {
        while unit + U <= units.end {
            product_tile::<S, R, U>(p, row, unit, place);
            unit += U;
        }
        while unit < units.end {
            product_tile::<S, R, 1>(p, row, unit, place);
            unit += 1;
        }
    }
}

/// Computes `R` rows from `row` on of the `U` units from `unit` on.
///
/// # Safety
/// As [`strip`].
#[inline(always)]
unsafe fn product_tile<S: Sums + Tiles, const R: usize, const U: usize>(
    p: &Int8Product<'_>,
    row: usize,
    unit: usize,
    place: Place,
) {
    // SAFETY: rows and units are within the product, whose slices hold `padded` values for each row and column.
    unsafe {
        let n = S::Floats::LANES;
        let x = p.x.as_ptr().cast::<S::X>().add(row * p.padded);
        let w: [*const i8; U] = std::array::from_fn(
            #[inline(always)]
            |u| {
                let first = (unit + u) * n;
                p.values.as_ptr().add(first / PANEL * p.padded * PANEL + first % PANEL * 4)
            },
        );
        // Units that are parts of a panel share its lines.
        let shares = (PANEL / (U * n)).max(1);
        let share = unit * n % PANEL / (U * n);
        let Prefetch { distance, step } = place.prefetch(4 * PANEL, p.padded / 4, shares, share);
        // One pointer for each row, hidden from the compiler, which would otherwise compute them again in each step.
        let x: [*const S::X; R] = std::hint::black_box(std::array::from_fn(
            #[inline(always)]
            |r| x.add(r * p.padded),
        ));
        let start: [S; U] = std::array::from_fn(
            #[inline(always)]
            |u| S::start(p.sums.as_ptr().add((unit + u) * n)),
        );
        let mut sums = [start; R];
        for group in 0..p.padded / 4 {
            prefetch(w[0].wrapping_add(distance + group * step));
            let mut weights = [S::load(w[0].add(group * 4 * PANEL)); U];
            for u in 1..U {
                if (u * n).is_multiple_of(PANEL) {
                    prefetch(w[u].wrapping_add(distance + group * step));
                }
                weights[u] = S::load(w[u].add(group * 4 * PANEL));
            }
            for r in 0..R {
                let x = S::splat(x[r].add(group * 4));
                for u in 0..U {
                    sums[r][u] = sums[r][u].dot(x, weights[u]);
                }
            }
        }
        // Only the copy has an address, so the sums above stay in registers through the loop.
        let done = sums;
        store_tile(p, row, unit, &done);
    }
}

/// Stores the sums of rows from `row` on and of units from `unit` on. Out of line: inlined, it is too large for its
/// loops to be unrolled, and sums that a loop indexes would live in memory.
///
/// # Safety
/// As [`strip`].
#[inline(never)]
unsafe fn store_tile<S: Sums + Tiles, const U: usize>(p: &Int8Product<'_>, row: usize, unit: usize, sums: &[[S; U]]) {
    // SAFETY: the caller's promise.
    unsafe {
        S::with(
            #[inline(always)]
            || {
                for u in 0..U {
                    let columns = p.columns((unit + u) * S::Floats::LANES);
                    for (r, sums) in sums.iter().enumerate() {
                        columns.store(row + r, sums[u].floats());
                    }
                }
            },
        );
    }
}

/// What the columns of a unit have in common, and where their results go.
pub(super) struct Columns<F> {
    /// The first of them.
    first: usize,
    scales: F,
    bias: F,
    /// The scale of each of the product's rows.
    row_scales: *const f32,
    output: Output,
}

impl Int8Product<'_> {
    /// The columns from `first` on. Read once for all rows: whatever is read after a store, the compiler takes for
    /// changed by it.
    ///
    /// # Safety
    /// The processor has the instructions of `F`, and its lanes' columns are within the product's panels.
    #[inline(always)]
    pub unsafe fn columns<F: Floats>(&self, first: usize) -> Columns<F> {
        // SAFETY: the caller's promise.
        let (scales, bias) =
            unsafe { (F::load(self.scales.as_ptr().add(first)), F::load(self.bias.as_ptr().add(first))) };
        Columns { first, scales, bias, row_scales: self.row_scales.as_ptr(), output: self.output }
    }
}

impl<F: Floats> Columns<F> {
    /// Stores the sums of one row, with scales and bias.
    ///
    /// # Safety
    /// As for [`run`]; the row is within the product.
    #[inline(always)]
    pub unsafe fn store(&self, row: usize, sums: F) {
        // SAFETY: the caller's promise.
        unsafe {
            let scales = F::splat(*self.row_scales.add(row)).mul(self.scales);
            self.output.store(row, self.first, sums.mul(scales).add(self.bias));
        }
    }
}

impl Sums for [i32; 8] {
    type X = i16;
    type Weights = [i8; 32];
    type Splat = [i16; 4];
    type Floats = [f32; 8];

    #[inline(always)]
    unsafe fn start(_: *const i32) -> Self {
        [0; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> [i8; 32] {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[i8; 32]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(from: *const i16) -> [i16; 4] {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[i16; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn dot(mut self, x: [i16; 4], w: [i8; 32]) -> Self {
        for i in 0..8 {
            for j in 0..4 {
                self[i] = self[i].wrapping_add(i32::from(x[j]).wrapping_mul(i32::from(w[i * 4 + j])));
            }
        }
        self
    }

    #[inline(always)]
    unsafe fn floats(self) -> [f32; 8] {
        self.map(|sum| sum as f32)
    }
}

tiles!([i32; 8], plainly, 1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1);

#[cfg(test)]
mod tests {
    use strata_simd::testing::values;

    use super::*;
    use crate::kernels::quantize::{pack_int8, quantize_rows};
    use crate::product::PackedWeights;

    /// What the instructions of VNNI do, so that rows with 128 added are tested on processors without them.
    #[derive(Clone, Copy)]
    struct Emulated([i32; 8]);

    impl Sums for Emulated {
        type X = u8;
        type Weights = [i8; 32];
        type Splat = [u8; 4];
        type Floats = [f32; 8];

        unsafe fn start(columns: *const i32) -> Self {
            // SAFETY: the trait's promise, that the sums of 8 columns lie there.
            Self(unsafe { columns.cast::<[i32; 8]>().read_unaligned() }.map(|sum| -128 * sum))
        }

        unsafe fn load(from: *const i8) -> [i8; 32] {
            // SAFETY: the caller's promise; so below.
            unsafe { from.cast::<[i8; 32]>().read_unaligned() }
        }

        unsafe fn splat(from: *const u8) -> [u8; 4] {
            // SAFETY: as above.
            unsafe { from.cast::<[u8; 4]>().read_unaligned() }
        }

        unsafe fn dot(mut self, x: [u8; 4], w: [i8; 32]) -> Self {
            for (i, w) in w.iter().enumerate() {
                self.0[i / 4] += i32::from(x[i % 4]) * i32::from(*w);
            }
            self
        }

        unsafe fn floats(self) -> [f32; 8] {
            self.0.map(|sum| sum as f32)
        }
    }

    tiles!(Emulated, plainly, 1 x 8, 2 x 4, 3 x 3, 4 x 2, 5 x 2, 6 x 2);

    #[test]
    fn rows_with_128_added_give_the_same_bits() {
        for (rows, inputs, outputs) in [(1, 4, 1), (5, 70, 37), (6, 513, 16), (14, 33, 100)] {
            let (x, weight, bias) = (values(rows * inputs, 1), values(outputs * inputs, 2), values(outputs + 15, 3));
            let PackedWeights::Int8 { values, scales, sums } = pack_int8(&weight, outputs, inputs, 1) else {
                unreachable!()
            };
            let padded = inputs.next_multiple_of(4);
            let (mut wide, mut bytes, mut row_scales) =
                (vec![0i16; rows * padded], vec![0u8; rows * padded], vec![0.0; rows]);
            quantize_rows(&x, inputs, padded, &mut wide, &mut row_scales, false);
            quantize_rows(&x, inputs, padded, &mut bytes, &mut row_scales, false);
            let (mut signed, mut unsigned) = (vec![0.0; rows * outputs], vec![1.0; rows * outputs]);
            for (x, out) in [(bytemuck::cast_slice(&wide), &mut signed), (bytemuck::cast_slice(&bytes), &mut unsigned)]
            {
                let output = Output { out: out.as_mut_ptr(), stride: outputs, outputs, relu: false, accumulate: false };
                let (row_scales, values, scales, sums, bias) = (&row_scales, &values, &scales, &sums, &bias);
                let product = Int8Product { x, padded, row_scales, values, scales, sums, bias, output };
                let panels = 0..outputs.div_ceil(PANEL);
                // SAFETY: sizes are as the product's fields say; neither needs special instructions.
                unsafe {
                    if x.len() == rows * padded {
                        run::<Emulated>(&product, 0..rows, panels);
                    } else {
                        run::<[i32; 8]>(&product, 0..rows, panels);
                    }
                }
            }
            assert_eq!(signed, unsigned, "{rows} x {inputs} x {outputs}");
        }
    }
}
