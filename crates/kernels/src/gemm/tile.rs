//! A tile: the sums of a few rows and of one panel's columns, which stay in registers through a block of the inner dimension.

use super::After;
use super::pack::{SQUARE, prefetch};

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

/// One row's sums for all columns of a panel, in registers of some instruction set, which all functions need.
pub(super) trait Columns: Copy {
    /// Columns of a panel, at most [`WIDEST`].
    const WIDTH: usize;
    /// Most rows of a tile.
    const ROWS: usize;
    /// Whether a packed word is a pair of bfloat16.
    const PAIRS: bool;
    /// One packed line of a panel.
    type Line: Copy;

    unsafe fn zero() -> Self;
    unsafe fn line(from: *const f32) -> Self::Line;
    /// `self + word * line`.
    unsafe fn multiply_add(self, word: *const f32, line: Self::Line) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn scale(self, by: f32) -> Self;
    unsafe fn relu(self) -> Self;
    /// Zero where `of` is not positive.
    unsafe fn where_positive(self, of: Self) -> Self;
    /// Transposes a square of [`SQUARE`] lines `stride` apart into lines `to_stride` apart.
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize);
    /// Computes a tile of `rows` rows, which are read in place or from a packed strip.
    unsafe fn tile(rows: usize, in_place: bool, tile: &Tile);
}

/// Columns of the widest panel.
pub(super) const WIDEST: usize = 32;

/// Computes a tile of `R` rows.
///
/// # Safety
/// The processor has the instructions; strip, panel and output have the sizes that `tile` says.
#[inline(always)]
pub(super) unsafe fn compute<C: Columns, const R: usize, const IN_PLACE: bool>(tile: &Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        let Block { a_stride, words, out_stride, .. } = *tile.block;
        // The output is there by the time that the sums are.
        for r in 0..R {
            prefetch(tile.out.add(r * out_stride));
        }
        let mut sums = [C::zero(); R];
        let (mut a, mut b) = (tile.a, tile.b);
        let step = if IN_PLACE { 1 } else { C::ROWS };
        for _ in 0..words / 4 {
            for i in 0..4 {
                let line = C::line(b.add(i * C::WIDTH));
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.multiply_add(a.add(if IN_PLACE { i + r * a_stride } else { i * C::ROWS + r }), line);
                }
            }
            a = a.add(4 * step);
            b = b.add(4 * C::WIDTH);
        }
        for _ in 0..words % 4 {
            let line = C::line(b);
            for (r, sum) in sums.iter_mut().enumerate() {
                *sum = sum.multiply_add(a.add(if IN_PLACE { r * a_stride } else { r }), line);
            }
            a = a.add(step);
            b = b.add(C::WIDTH);
        }
        for (r, sum) in sums.into_iter().enumerate() {
            let out = tile.out.add(r * out_stride);
            let bias = tile.block.bias.map(|bias| bias.as_ptr().add(tile.column));
            let positive = match tile.block.after {
                After::ReluGradient(y) => Some(y.at(tile.row + r, tile.column)),
                _ => None,
            };
            if tile.columns == C::WIDTH {
                finish(sum, tile.block, out, bias, positive);
            } else {
                finish_part(sum, tile, out, bias, positive);
            }
        }
    }
}

/// Stores a row's sums with all that comes after them.
#[inline(always)]
unsafe fn finish<C: Columns>(
    mut sum: C,
    block: &Block,
    out: *mut f32,
    bias: Option<*const f32>,
    positive: Option<*const f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if block.scale != 1.0 {
            sum = sum.scale(block.scale);
        }
        if block.add {
            sum = C::load(out).add(sum);
        }
        if let Some(bias) = bias {
            sum = sum.add(C::load(bias));
        }
        if let After::Relu = block.after {
            sum = sum.relu();
        }
        if let Some(y) = positive {
            sum = sum.where_positive(C::load(y));
        }
        sum.store(out);
    }
}

/// The same for a panel that is wider than what is left of the output.
#[inline(always)]
unsafe fn finish_part<C: Columns>(
    sum: C,
    tile: &Tile,
    out: *mut f32,
    bias: Option<*const f32>,
    positive: Option<*const f32>,
) {
    let columns = tile.columns;
    // SAFETY: the caller's promise, and `columns` is below `WIDEST`.
    unsafe {
        let whole = |from: *const f32| {
            let mut values = [0.0f32; WIDEST];
            std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), columns);
            values
        };
        let mut values = if tile.block.add { whole(out) } else { [0.0; WIDEST] };
        let (bias, positive) = (bias.map(whole), positive.map(whole));
        let pointer = |values: &Option<[f32; WIDEST]>| values.as_ref().map(|v| v.as_ptr());
        finish(sum, tile.block, values.as_mut_ptr(), pointer(&bias), pointer(&positive));
        std::ptr::copy_nonoverlapping(values.as_ptr(), out, columns);
    }
}

/// Chooses the tile of a number of rows: every one is compiled by itself, as a function of its own, so that all sums
/// are in registers.
macro_rules! tiles {
    ([$($feature:literal)?] $($rows:literal)*) => {
        unsafe fn tile(rows: usize, in_place: bool, tile: &Tile) {
            $(#[target_feature(enable = $feature)])?
            #[inline(never)]
            unsafe fn go<const R: usize, const IN_PLACE: bool>(tile: &Tile) {
                // SAFETY: the caller's promise.
                unsafe { compute::<This, R, IN_PLACE>(tile) }
            }
            // SAFETY (all): the caller's promise.
            match (rows, in_place) {
                $(
                    ($rows, true) => unsafe { go::<$rows, true>(tile) },
                    ($rows, false) => unsafe { go::<$rows, false>(tile) },
                )*
                _ => debug_assert!(rows == 0, "a tile of {rows} rows"),
            }
        }
    };
}
pub(super) use tiles;

/// Columns in whatever registers the compiler has for the target.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; 8]);

type This = Plain;

impl Columns for Plain {
    const WIDTH: usize = 8;
    const ROWS: usize = 6;
    const PAIRS: bool = false;
    type Line = [f32; 8];

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 8])
    }

    #[inline(always)]
    unsafe fn line(from: *const f32) -> [f32; 8] {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn multiply_add(mut self, word: *const f32, line: [f32; 8]) -> Self {
        // Where there is no instruction for it, `mul_add` is a slow call.
        const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        // SAFETY: the caller's promise.
        let x = unsafe { *word };
        for (sum, w) in self.0.iter_mut().zip(line) {
            *sum = if FUSED { x.mul_add(w, *sum) } else { *sum + x * w };
        }
        self
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { Self::line(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn scale(self, by: f32) -> Self {
        Self(self.0.map(|v| v * by))
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|v| v.max(0.0)))
    }

    #[inline(always)]
    unsafe fn where_positive(self, of: Self) -> Self {
        Self(std::array::from_fn(|i| if of.0[i] > 0.0 { self.0[i] } else { 0.0 }))
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        for i in 0..SQUARE {
            for k in 0..SQUARE {
                // SAFETY: the caller's promise.
                unsafe { *to.add(k * to_stride + i) = *from.add(i * stride + k) };
            }
        }
    }

    tiles!([] 1 2 3 4 5 6);
}
