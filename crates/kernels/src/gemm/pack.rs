//! Packing: lines of a matrix side by side, as tiles read them. Panel `p` holds the lines `p * width..`, and of each of
//! them one word after another: `[words, width]`. A word is a value, or with [`Columns::PAIRS`] two neighboring values
//! rounded to bfloat16, the first in the lower half.

use std::ops::Range;

use strata_simd::{prefetch, to_bf16};

use super::tile::{Columns, SQUARE};

/// Packs `lines` lines of `depth` values into panels of `width` lines, `length` words apart; lines beyond the last are
/// zero.
///
/// The value `k` of line `i` is at `start + i * strides.0 + k * strides.1`.
///
/// # Safety
/// The matrix has these values, and `packed` room for the panels.
#[inline(always)]
pub(super) unsafe fn pack<C: Columns>(
    packed: *mut f32,
    length: usize,
    width: usize,
    start: *const f32,
    strides: (usize, usize),
    lines: usize,
    depth: usize,
) {
    if strides.0 == 1 {
        // SAFETY: the caller's promise.
        return unsafe { pack_side_by_side::<C>(packed, length, width, start, strides.1, lines, depth) };
    }
    let values = if C::PAIRS { 2 } else { 1 };
    let words = depth.div_ceil(values);
    for (panel, line) in (0..lines).step_by(width).enumerate() {
        let count = width.min(lines - line);
        // SAFETY: the caller's promise.
        unsafe {
            let to = packed.add(panel * length);
            let from = start.add(line * strides.0);
            let one_by_one = |lines: Range<usize>, words: Range<usize>| {
                pack_one_by_one::<C>(to, width, from, strides, lines, words, depth);
            };
            let mut i = 0;
            if strides.1 == 1 {
                let squares = depth / (SQUARE * values) * SQUARE;
                while i + SQUARE <= count {
                    for w in (0..squares).step_by(SQUARE) {
                        let from = from.add(i * strides.0 + w * values);
                        // Lines are too short for the hardware prefetcher to find the next ones by itself.
                        for line in SQUARE..2 * SQUARE {
                            prefetch(from.wrapping_add(line * strides.0));
                        }
                        C::transpose(from, strides.0, to.add(w * width + i), width);
                    }
                    one_by_one(i..i + SQUARE, squares..words);
                    i += SQUARE;
                }
                // The strips of 12 lines of AVX-512 and NEON end with half a square.
                if i + SQUARE / 2 <= count {
                    for w in (0..squares).step_by(SQUARE) {
                        let from = from.add(i * strides.0 + w * values);
                        C::transpose_half(from, strides.0, to.add(w * width + i), width);
                    }
                    one_by_one(i..i + SQUARE / 2, squares..words);
                    i += SQUARE / 2;
                }
            }
            one_by_one(i..count, 0..words);
            clear(to, width, count..width, words);
        }
    }
}

/// The words that no square covers. A function of its own, as its loops would become scatters in every caller.
#[inline(never)]
unsafe fn pack_one_by_one<C: Columns>(
    to: *mut f32,
    width: usize,
    from: *const f32,
    strides: (usize, usize),
    lines: Range<usize>,
    words: Range<usize>,
    depth: usize,
) {
    for i in lines {
        for w in words.clone() {
            // SAFETY: the caller's promise.
            unsafe { *to.add(w * width + i) = word::<C>(from.add(i * strides.0), strides.1, w, depth) };
        }
    }
}

/// Sets lines of a panel to zero that the matrix does not have.
#[inline(never)]
unsafe fn clear(panel: *mut f32, width: usize, lines: Range<usize>, words: usize) {
    for w in 0..words {
        for i in lines.clone() {
            // SAFETY: the caller's promise.
            unsafe { *panel.add(w * width + i) = 0.0 };
        }
    }
}

/// The word `w` of a line of `depth` values, `stride` apart.
///
/// # Safety
/// The line has these values.
#[inline(always)]
unsafe fn word<C: Columns>(line: *const f32, stride: usize, w: usize, depth: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        if !C::PAIRS {
            return *line.add(w * stride);
        }
        let low = to_bf16(*line.add(2 * w * stride));
        let high = if 2 * w + 1 < depth { to_bf16(*line.add((2 * w + 1) * stride)) } else { 0 };
        f32::from_bits(low | high << 16)
    }
}

/// Panels that are filled together where lines lie side by side: enough to read whole cache lines of the source, few
/// enough that the lines written stay in the first-level cache from one value of the inner dimension to the next.
const TOGETHER: usize = 8;

/// The same where the values of neighboring lines lie side by side: runs of `width` values are copied.
///
/// # Safety
/// As [`pack`].
#[inline(always)]
unsafe fn pack_side_by_side<C: Columns>(
    packed: *mut f32,
    length: usize,
    width: usize,
    start: *const f32,
    stride: usize,
    lines: usize,
    depth: usize,
) {
    let values = if C::PAIRS { 2 } else { 1 };
    for line in (0..lines).step_by(TOGETHER * width) {
        let together = (lines - line).min(TOGETHER * width);
        let (whole, rest) = (together / width, together % width);
        let words = depth.div_ceil(values);
        if rest > 0 {
            // SAFETY: the caller's promise.
            unsafe { clear(packed.add((line / width + whole) * length), width, rest..width, words) };
        }
        for w in 0..words {
            // SAFETY: the caller's promise.
            unsafe {
                let from = start.add(w * values * stride + line);
                // Rows lie pages apart, beyond the hardware prefetcher's reach.
                for row in 0..values {
                    for line in (0..together).step_by(16) {
                        prefetch(from.wrapping_add((AHEAD + row) * stride + line));
                    }
                }
                let to = packed.add(line / width * length + w * width);
                let second = (C::PAIRS && 2 * w + 1 < depth).then_some(stride);
                for panel in 0..whole {
                    C::copy(from.add(panel * width), second, to.add(panel * length), width);
                }
                if rest > 0 {
                    C::copy(from.add(whole * width), second, to.add(whole * length), rest);
                }
            }
        }
    }
}

/// Makes words of rows whose values lie side by side, for tiles to read as they read rows in place: `rows` rows of
/// `depth` values, which start `stride` values apart, into rows of words `length` words apart.
///
/// # Safety
/// The matrix has these values, and `words` room for the rows.
#[inline(always)]
pub(super) unsafe fn round_rows<C: Columns>(
    words: *mut f32,
    length: usize,
    start: *const f32,
    stride: usize,
    rows: usize,
    depth: usize,
) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe { C::round(start.add(row * stride), words.add(row * length), depth) };
    }
}

/// How many rows ahead of their use values are prefetched.
const AHEAD: usize = 8;

/// Rounds `count` values to bfloat16.
///
/// # Safety
/// There are `count` values.
#[inline(always)]
pub(super) unsafe fn to_rounded(values: *mut f32, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *values.add(i) = f32::from_bits(to_bf16(*values.add(i)) << 16) };
    }
}
