//! A tile: the sums of a few rows and of one panel's columns, which stay in registers through a block of the inner
//! dimension.

use strata_simd::{Floats, WIDEST, prefetch};

use super::product::After;

/// What all tiles of a block of the inner dimension have in common.
pub(super) struct Block<'a> {
    /// How far apart rows of `a` start that are read in place.
    pub a_stride: usize,
    /// Words of a packed line: values, or pairs of bfloat16.
    pub words: usize,
    /// How far apart the rows of the output start.
    pub out_stride: usize,
    pub add: bool,
    pub scale: f32,
    /// One value for each column of the output, in the last block.
    pub bias: Option<&'a [f32]>,
    /// What is done to the values, in the last block.
    pub after: After<'a>,
}

/// One tile's work.
pub(super) struct Tile<'a> {
    pub block: &'a Block<'a>,
    /// A packed strip, or the first of the rows in place.
    pub a: *const f32,
    /// A packed panel.
    pub b: *const f32,
    pub out: *mut f32,
    /// Where in the output the tile begins.
    pub row: usize,
    pub column: usize,
    /// Columns of the panel that the output has.
    pub columns: usize,
}

/// Lines that are transposed at once, and the values of each.
pub(super) const SQUARE: usize = 8;

/// The columns of a panel with the instructions of some level, which all functions need: two registers a row.
pub(super) trait Columns {
    /// Half of a row's sums.
    type Floats: Floats;
    /// One packed line of a panel.
    type Line: Copy;
    /// Columns of a panel.
    const WIDTH: usize = 2 * Self::Floats::LANES;
    /// Most rows of a tile, at most 12.
    const ROWS: usize;
    /// Whether a packed word is a pair of bfloat16.
    const PAIRS: bool;

    /// Runs `work`, an `#[inline(always)]` closure, compiled for the instructions.
    ///
    /// # Safety
    /// The processor has the instructions.
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R;
    /// Reads a packed line.
    ///
    /// # Safety
    /// The processor has the instructions, and a line lies at `from`.
    unsafe fn line(from: *const f32) -> Self::Line;
    /// `sums + word * line`.
    ///
    /// # Safety
    /// The processor has the instructions, and a word lies at `word`.
    unsafe fn multiply_add(sums: [Self::Floats; 2], word: *const f32, line: Self::Line) -> [Self::Floats; 2];
    /// Packs a square: the first [`SQUARE`] words of as many lines, `stride` apart, into rows of words `to_stride`
    /// apart.
    ///
    /// # Safety
    /// The processor has the instructions, and both squares lie within memory that may be read and written.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            Self::transpose_half(from, stride, to, to_stride);
            Self::transpose_half(from.add(SQUARE / 2 * stride), stride, to.add(SQUARE / 2), to_stride);
        }
    }
    /// The same for half as many lines.
    ///
    /// # Safety
    /// The processor has the instructions, and both halves of squares lie within memory that may be read and written.
    unsafe fn transpose_half(from: *const f32, stride: usize, to: *mut f32, to_stride: usize);
    /// Packs a word of each of `lines` neighboring lines: the values at `from`, with [`Columns::PAIRS`] each beside
    /// that `second` behind it, or beside zero. Behind the last word zeros may be written, with that sixteen words.
    ///
    /// # Safety
    /// The processor has the instructions; the values may be read, and the words written.
    #[inline(always)]
    unsafe fn copy(from: *const f32, _second: Option<usize>, to: *mut f32, lines: usize) {
        const { assert!(!Self::PAIRS, "pairs need a copy of their own") };
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(from, to, lines) }
    }
    /// With [`Columns::PAIRS`], makes words of `count` values that lie side by side. Behind the last word zeros may be
    /// written, with that sixteen words.
    ///
    /// # Safety
    /// The processor has the instructions; the values may be read, and the words written.
    #[inline(always)]
    unsafe fn round(_from: *const f32, _to: *mut f32, _count: usize) {
        unreachable!("only pairs are rounded row by row");
    }
}

/// Computes a tile of `rows` rows, 1 to [`Columns::ROWS`], which are read in place or from a packed strip.
///
/// # Safety
/// The processor has the instructions; strip, panel and output have the sizes that `tile` says.
#[inline(always)]
pub(super) unsafe fn multiply_tile<C: Columns>(rows: usize, in_place: bool, tile: &Tile) {
    macro_rules! choose {
        ($($rows:literal)*) => {
            match (rows, in_place) {
                $(
                    // SAFETY: the caller's promise.
                    ($rows, true) => unsafe { compute::<C, $rows, true>(tile) },
                    // SAFETY: the caller's promise.
                    ($rows, false) => unsafe { compute::<C, $rows, false>(tile) },
                )*
                _ => unreachable!("a tile of {rows} rows, of at most {}", C::ROWS),
            }
        };
    }
    // SAFETY (all): the caller's promise.
    choose!(1 2 3 4 5 6 7 8 9 10 11 12)
}

/// Computes a tile of `R` rows: a function of its own for each number of rows, so that all sums are in registers.
///
/// # Safety
/// The processor has the instructions of `C`, and what the tile points to may be read and written.
#[inline(never)]
unsafe fn compute<C: Columns, const R: usize, const IN_PLACE: bool>(tile: &Tile) {
    if const { R > C::ROWS } {
        unreachable!("a tile of {R} rows, of at most {}", C::ROWS);
    } else {
        // SAFETY: the caller's promise.
        unsafe {
            C::with(
                #[inline(always)]
                || sums::<C, R, IN_PLACE>(tile),
            );
        }
    }
}

/// The sums of a tile of `R` rows, stored when they are done.
///
/// # Safety
/// The processor has the instructions of `C`, and what the tile points to may be read and written.
#[inline(always)]
unsafe fn sums<C: Columns, const R: usize, const IN_PLACE: bool>(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        let Block { a_stride, words, out_stride, .. } = *tile.block;
        // By the time that the sums are done, the output is in the cache: a row of both registers, line by line.
        for r in 0..R {
            for half in 0..2 {
                prefetch(tile.out.wrapping_add(r * out_stride + half * C::Floats::LANES));
            }
        }
        let mut sums = [[C::Floats::zero(); 2]; R];
        let (mut a, mut b) = (tile.a, tile.b);
        let step = if IN_PLACE { 1 } else { C::ROWS };
        // Rows in place are read one value at a time: of several, the compiler would load all before their turn, which
        // leaves too few registers for the sums.
        let at_once = if IN_PLACE { 1 } else { 4 };
        for _ in 0..words / at_once {
            for i in 0..at_once {
                add_line::<C, R, IN_PLACE>(&mut sums, a.add(i * step), b.add(i * C::WIDTH), a_stride);
            }
            a = a.add(at_once * step);
            b = b.add(at_once * C::WIDTH);
        }
        for _ in 0..words % at_once {
            add_line::<C, R, IN_PLACE>(&mut sums, a, b, a_stride);
            a = a.add(step);
            b = b.add(C::WIDTH);
        }
        // Only the copy has an address, so the sums above stay in registers.
        let done = sums;
        finish_tile::<C>(tile, &done);
    }
}

/// Adds the products of one value of the inner dimension to all sums.
///
/// # Safety
/// As [`sums`].
#[inline(always)]
unsafe fn add_line<C: Columns, const R: usize, const IN_PLACE: bool>(
    sums: &mut [[C::Floats; 2]; R],
    a: *const f32,
    b: *const f32,
    a_stride: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let line = C::line(b);
        for (r, sums) in sums.iter_mut().enumerate() {
            *sums = C::multiply_add(*sums, a.add(if IN_PLACE { r * a_stride } else { r }), line);
        }
    }
}

/// Stores the sums of a tile's rows with all that comes after them.
///
/// # Safety
/// The processor has the instructions of `C`, and what the tile points to may be read and written.
#[inline(never)]
unsafe fn finish_tile<C: Columns>(tile: &Tile, sums: &[[C::Floats; 2]]) {
    // SAFETY: the caller's promise.
    unsafe {
        C::with(
            #[inline(always)]
            || {
                for (r, sums) in sums.iter().enumerate() {
                    let out = tile.out.add(r * tile.block.out_stride);
                    let bias = tile.block.bias.map(|bias| bias.as_ptr().add(tile.column));
                    let positive = match tile.block.after {
                        After::ReluGradient(y) => Some(y.at(tile.row + r, tile.column)),
                        _ => None,
                    };
                    for (half, sum) in sums.iter().enumerate() {
                        let first = half * C::Floats::LANES;
                        let at = |from: Option<*const f32>| from.map(|from| from.wrapping_add(first));
                        let (out, bias, positive) = (out.wrapping_add(first), at(bias), at(positive));
                        if tile.columns >= first + C::Floats::LANES {
                            finish(*sum, tile.block, out, bias, positive);
                        } else if tile.columns > first {
                            finish_part(*sum, tile.block, tile.columns - first, out, bias, positive);
                        }
                    }
                }
            },
        );
    }
}

/// Stores a register of sums with all that comes after them.
///
/// # Safety
/// The processor has the instructions of `F`, and each pointer is valid for its lanes.
#[inline(always)]
unsafe fn finish<F: Floats>(
    mut sum: F,
    block: &Block,
    out: *mut f32,
    bias: Option<*const f32>,
    positive: Option<*const f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if block.scale != 1.0 {
            sum = sum.mul(F::splat(block.scale));
        }
        if block.add {
            sum = F::load(out).add(sum);
        }
        if let Some(bias) = bias {
            sum = sum.add(F::load(bias));
        }
        if let After::Relu = block.after {
            sum = sum.relu();
        }
        if let Some(y) = positive {
            sum = sum.where_positive(F::load(y));
        }
        sum.store(out);
    }
}

/// The same for a register of which the output has only the first `columns`.
///
/// # Safety
/// The processor has the instructions of `F`, and each pointer is valid for `columns` values, fewer than
/// [`WIDEST`].
#[inline(always)]
unsafe fn finish_part<F: Floats>(
    sum: F,
    block: &Block,
    columns: usize,
    out: *mut f32,
    bias: Option<*const f32>,
    positive: Option<*const f32>,
) {
    // SAFETY: the caller's promise, and `columns` is below `WIDEST`.
    unsafe {
        let whole = |from: *const f32| {
            let mut values = [0.0f32; WIDEST];
            std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), columns);
            values
        };
        let mut values = if block.add { whole(out) } else { [0.0; WIDEST] };
        let (bias, positive) = (bias.map(whole), positive.map(whole));
        let pointer = |values: &Option<[f32; WIDEST]>| values.as_ref().map(|v| v.as_ptr());
        finish(sum, block, values.as_mut_ptr(), pointer(&bias), pointer(&positive));
        std::ptr::copy_nonoverlapping(values.as_ptr(), out, columns);
    }
}

/// The part of [`Columns`] that is the same for f32 in every register type.
macro_rules! f32_words {
    ($register:ty) => {
        type Floats = $register;
        type Line = [$register; 2];
        const PAIRS: bool = false;

        #[inline(always)]
        unsafe fn line(from: *const f32) -> Self::Line {
            // SAFETY: the caller's promise.
            unsafe {
                [<$register as Floats>::load(from), <$register as Floats>::load(from.add(<$register as Floats>::LANES))]
            }
        }

        #[inline(always)]
        unsafe fn multiply_add(sums: [$register; 2], word: *const f32, line: Self::Line) -> [$register; 2] {
            // SAFETY: the caller's promise.
            unsafe {
                let x = <$register as Floats>::splat(*word);
                [Floats::mul_add(x, line[0], sums[0]), Floats::mul_add(x, line[1], sums[1])]
            }
        }
    };
}
pub(super) use f32_words;

/// Columns in whatever registers the compiler has for the target.
pub(super) struct Plain;

impl Columns for Plain {
    const ROWS: usize = 6;

    f32_words!([f32; 4]);

    #[inline(always)]
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    #[inline(always)]
    unsafe fn transpose_half(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        for i in 0..SQUARE / 2 {
            for k in 0..SQUARE {
                // SAFETY: the caller's promise.
                unsafe { *to.add(k * to_stride + i) = *from.add(i * stride + k) };
            }
        }
    }
}
