//! Packing: lines of a matrix side by side, as tiles read them. Panel `p` holds the lines `p * width..`, and of each of them
//! one value after another: `[depth, width]`.

use super::tile::Columns;

/// Lines that are transposed at once, and the values of each.
pub(super) const SQUARE: usize = 8;

/// Packs `lines` lines of `depth` values into panels of `width` lines, `length` values apart; lines beyond the last are zero.
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

/// Panels that are filled together where lines lie side by side: enough to read whole cache lines of the source, and few enough
/// that the lines written stay in the first-level cache from one value of the inner dimension to the next.
const TOGETHER: usize = 8;

/// The same where the values of neighbouring lines lie side by side: runs of `width` values are copied.
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
                // Rows lie pages apart, which no processor guesses.
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

/// Rows that are asked for before they are needed.
const AHEAD: usize = 8;

/// Asks for the cache line of an address, which need not be one.
#[inline(always)]
pub(super) fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address has no effect that a program sees.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The upper half of an f32 as the nearest bfloat16, ties to even; NaN stays NaN.
#[inline(always)]
fn bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if value.is_nan() { (bits >> 16) | 0x40 } else { rounded }
}

/// Rounds `count` values to bfloat16.
///
/// # Safety
/// There are `count` values.
#[inline(always)]
pub(super) unsafe fn to_rounded(values: *mut f32, count: usize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { *values.add(i) = f32::from_bits(bf16(*values.add(i)) << 16) };
    }
}

/// Turns a panel of `depth` lines of `width` f32 into half as many lines of pairs of bfloat16, line `2 k` below line `2 k + 1`.
///
/// # Safety
/// There are `depth` lines, rounded up to an even number.
#[inline(always)]
pub(super) unsafe fn to_pairs(panel: *mut f32, width: usize, depth: usize) {
    for k in 0..depth.div_ceil(2) {
        for i in 0..width {
            // SAFETY: the caller's promise. Words are written behind what is still to be read.
            unsafe {
                let low = bf16(*panel.add(2 * k * width + i));
                let high = if 2 * k + 1 < depth { bf16(*panel.add((2 * k + 1) * width + i)) } else { 0 };
                *panel.add(k * width + i) = f32::from_bits(low | high << 16);
            }
        }
    }
}
