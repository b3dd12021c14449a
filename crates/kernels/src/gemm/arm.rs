//! Columns with NEON.

use std::arch::aarch64::*;

use strata_simd::{Floats, with_neon};

use super::tile::{Columns, SQUARE, f32_words};

/// 8 columns; 24 of 32 registers hold sums.
pub(super) struct Neon;

impl Columns for Neon {
    const ROWS: usize = 12;

    f32_words!(float32x4_t);

    #[inline(always)]
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
        // SAFETY: the caller's promise, that the processor has the instructions; so below.
        unsafe { with_neon(work) }
    }

    #[inline(always)]
    unsafe fn transpose_half(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        for first in [0, SQUARE / 2] {
            // SAFETY: as above.
            unsafe {
                let words = fours(std::array::from_fn(|i| vld1q_f32(from.add(i * stride + first))));
                for (i, words) in words.into_iter().enumerate() {
                    vst1q_f32(to.add((first + i) * to_stride), words);
                }
            }
        }
    }
}

/// Transposes four lines of four words.
#[inline]
#[target_feature(enable = "neon")]
fn fours(lines: [float32x4_t; 4]) -> [float32x4_t; 4] {
    let [a, b, c, d] = lines;
    // Words 0 and 1, then 2 and 3, of two lines side by side.
    let pairs = |a, b| [vzip1q_f32(a, b), vzip2q_f32(a, b)].map(|pairs| vreinterpretq_f64_f32(pairs));
    let (ab, cd) = (pairs(a, b), pairs(c, d));
    [vzip1q_f64(ab[0], cd[0]), vzip2q_f64(ab[0], cd[0]), vzip1q_f64(ab[1], cd[1]), vzip2q_f64(ab[1], cd[1])]
        .map(|words| vreinterpretq_f32_f64(words))
}
