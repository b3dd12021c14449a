//! Packing: lines of a matrix side by side, as tiles read them. Panel `p` holds the lines `p * width..`, and of each of
//! them one value after another: `[depth, width]`.

use strata_simd::{prefetch, to_bf16};

use super::tile::{Columns, SQUARE};

/// Packs `lines` lines of `depth` values into panels of `width` lines, `length` values apart; lines beyond the last are
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
        return unsafe { pack_side_by_side(packed, length, width, start, strides.1, lines, depth) };
    }
    for (panel, line) in (0..lines).step_by(width).enumerate() {
        let count = width.min(lines - line);
        // SAFETY: the caller's promise.
        unsafe {
            let to = packed.add(panel * length);
            let from = start.add(line * strides.0);
            let mut i = 0;
            while strides.1 == 1 && i + SQUARE <= count {
                let squares = depth / SQUARE * SQUARE;
                for k in (0..squares).step_by(SQUARE) {
                    C::transpose(from.add(i * strides.0 + k), strides.0, to.add(k * width + i), width);
                }
                for k in squares..depth {
                    for j in i..i + SQUARE {
                        *to.add(k * width + j) = *from.add(j * strides.0 + k);
                    }
                }
                i += SQUARE;
            }
            for i in i..width {
                if i < count {
                    let from = from.add(i * strides.0);
                    for k in 0..depth {
                        *to.add(k * width + i) = *from.add(k * strides.1);
                    }
                } else {
                    for k in 0..depth {
                        *to.add(k * width + i) = 0.0;
                    }
                }
            }
        }
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
unsafe fn pack_side_by_side(
    packed: *mut f32,
    length: usize,
    width: usize,
    start: *const f32,
    stride: usize,
    lines: usize,
    depth: usize,
) {
    for line in (0..lines).step_by(TOGETHER * width) {
        let together = (lines - line).min(TOGETHER * width);
        let (whole, rest) = (together / width, together % width);
        for k in 0..depth {
            // SAFETY: the caller's promise.
            unsafe {
                let from = start.add(k * stride + line);
                // Rows lie pages apart, beyond the hardware prefetcher's reach.
                for line in (0..together).step_by(16) {
                    prefetch(from.wrapping_add(AHEAD * stride + line));
                }
                let to = packed.add(line / width * length + k * width);
                for panel in 0..whole {
                    std::ptr::copy_nonoverlapping(from.add(panel * width), to.add(panel * length), width);
                }
                if rest > 0 {
                    let to = to.add(whole * length);
                    std::ptr::copy_nonoverlapping(from.add(whole * width), to, rest);
                    std::ptr::write_bytes(to.add(rest), 0, width - rest);
                }
            }
        }
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

/// Turns a panel of `depth` lines of `width` f32 into half as many lines of pairs of bfloat16: line `2 k` in the lower
/// half of each word, line `2 k + 1` in the upper.
///
/// # Safety
/// There are `depth` lines.
#[inline(always)]
pub(super) unsafe fn to_pairs(panel: *mut f32, width: usize, depth: usize) {
    for k in 0..depth.div_ceil(2) {
        // SAFETY: the caller's promise.
        unsafe {
            let low = panel.add(2 * k * width);
            let high = (2 * k + 1 < depth).then(|| low.add(width).cast_const());
            let to = panel.add(k * width);
            let mut i = 0;
            while i + 16 <= width {
                pair::<16>(low, high, to, i);
                i += 16;
            }
            while i + 4 <= width {
                pair::<4>(low, high, to, i);
                i += 4;
            }
            while i < width {
                pair::<1>(low, high, to, i);
                i += 1;
            }
        }
    }
}

/// `N` words of [`to_pairs`] from place `i` of a line on. All values are read before a word is written, which may take
/// the place of the first of them.
///
/// # Safety
/// Each line has values up to `i + N`, and `to` has room for as many words.
#[inline(always)]
unsafe fn pair<const N: usize>(low: *const f32, high: Option<*const f32>, to: *mut f32, i: usize) {
    // SAFETY: the caller's promise, that each line has values up to `i + N`.
    unsafe {
        let read = |line: *const f32| line.add(i).cast::<[f32; N]>().read_unaligned();
        let (low, high) = (read(low), high.map_or([0.0; N], read));
        let mut words = [0u32; N];
        for j in 0..N {
            words[j] = to_bf16(low[j]) | to_bf16(high[j]) << 16;
        }
        to.add(i).cast::<[u32; N]>().write_unaligned(words);
    }
}
