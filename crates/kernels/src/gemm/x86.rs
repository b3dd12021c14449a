//! Columns with AVX2 and AVX-512.

use std::arch::x86_64::*;

use strata_simd::{with_avx2, with_avx512, with_avx512_bf16};

use super::tile::{Columns, SQUARE, f32_line, f32_multiply_add};

/// f32 columns of a register type, with the function that compiles for its instructions.
macro_rules! f32_columns {
    ($name:ident, $register:ty, $with:ident, $rows:literal rows, $doc:literal) => {
        #[doc = $doc]
        pub(super) struct $name;

        impl Columns for $name {
            type Floats = $register;
            type Line = [$register; 2];
            const ROWS: usize = $rows;
            const PAIRS: bool = false;

            #[inline(always)]
            unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
                // SAFETY: the caller's promise, that the processor has the instructions; so below.
                unsafe { $with(work) }
            }

            #[inline(always)]
            unsafe fn line(from: *const f32) -> Self::Line {
                // SAFETY: as above, and a line lies there.
                unsafe { f32_line(from) }
            }

            #[inline(always)]
            unsafe fn multiply_add(sums: [$register; 2], word: *const f32, line: Self::Line) -> [$register; 2] {
                // SAFETY: as above.
                unsafe { f32_multiply_add(sums, word, line) }
            }

            #[inline(always)]
            unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
                // SAFETY: as above.
                unsafe { transpose(from, stride, to, to_stride) }
            }
        }
    };
}

f32_columns!(Avx2, __m256, with_avx2, 6 rows, "16 columns; 12 of 16 registers hold sums.");
f32_columns!(Avx512, __m512, with_avx512, 12 rows, "32 columns; 24 of 32 registers hold sums.");

/// 32 columns of pairs of bfloat16; 24 of 32 registers hold sums.
pub(super) struct Bf16;

impl Columns for Bf16 {
    type Floats = __m512;
    type Line = [__m512bh; 2];
    const ROWS: usize = 12;
    const PAIRS: bool = true;

    #[inline(always)]
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
        // SAFETY: the caller's promise, that the processor has the instructions; so below.
        unsafe { with_avx512_bf16(work) }
    }

    #[inline(always)]
    unsafe fn line(from: *const f32) -> Self::Line {
        // SAFETY: as above, and a line lies there; any bits are pairs of bfloat16.
        unsafe {
            let pairs = |from: *const f32| std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(from.cast()));
            [pairs(from), pairs(from.add(16))]
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(sums: [__m512; 2], word: *const f32, line: Self::Line) -> [__m512; 2] {
        // SAFETY: as above.
        unsafe {
            let x = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*word.cast::<i32>()));
            [_mm512_dpbf16_ps(sums[0], x, line[0]), _mm512_dpbf16_ps(sums[1], x, line[1])]
        }
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: as above.
        unsafe { transpose(from, stride, to, to_stride) }
    }
}

/// Transposes a square in eight registers.
///
/// # Safety
/// As [`Columns::transpose`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let r: [__m256; SQUARE] = std::array::from_fn(|i| _mm256_loadu_ps(from.add(i * stride)));
        // Pairs of rows, then fours, then the two halves.
        let pairs: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (r[i / 2 * 2], r[i / 2 * 2 + 1]);
            if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
        });
        let fours: [__m256; 8] = std::array::from_fn(|i| {
            let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
            if i % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xee>(a, b) }
        });
        for i in 0..4 {
            _mm256_storeu_ps(to.add(i * to_stride), _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]));
            _mm256_storeu_ps(to.add((i + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]));
        }
    }
}
