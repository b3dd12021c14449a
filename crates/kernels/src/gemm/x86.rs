//! Columns with AVX2 and AVX-512.

use std::arch::x86_64::*;

use strata_simd::{Floats, with_avx2, with_avx512, with_avx512_bf16};

use super::tile::{Columns, SQUARE, f32_words};

/// Packs lines whose words the function `$eight` reads, eight of a line at once.
macro_rules! transposes {
    ($eight:ident) => {
        #[inline(always)]
        unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
            // SAFETY: the caller's promise.
            unsafe { transpose(lines!($eight, from, stride), to, to_stride) }
        }

        #[inline(always)]
        unsafe fn transpose_half(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
            // SAFETY: the caller's promise.
            unsafe { transpose_half(lines!($eight, from, stride), to, to_stride) }
        }
    };
}

/// Eight words of each of some lines, `$stride` apart.
macro_rules! lines {
    ($eight:ident, $from:ident, $stride:ident) => {
        std::array::from_fn(
            #[inline(always)]
            |i| $eight($from.add(i * $stride)),
        )
    };
}

/// f32 columns of a register type, with the function that compiles for its instructions.
macro_rules! f32_columns {
    ($name:ident, $register:ty, $with:ident, $rows:literal rows, $doc:literal) => {
        #[doc = $doc]
        pub(super) struct $name;

        impl Columns for $name {
            const ROWS: usize = $rows;

            #[inline(always)]
            unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
                // SAFETY: the caller's promise, that the processor has the instructions.
                unsafe { $with(work) }
            }

            f32_words!($register);
            transposes!(eight);
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

    transposes!(eight_pairs);

    #[inline(always)]
    unsafe fn copy(from: *const f32, second: Option<usize>, to: *mut f32, lines: usize) {
        for i in (0..lines).step_by(16) {
            // SAFETY: as above; the mask keeps reads within the lines, and there is room for words behind them.
            unsafe {
                let mask = first_lanes(lines - i);
                let low = _mm512_maskz_loadu_ps(mask, from.add(i));
                let high = second.map_or(_mm512_setzero_ps(), |far| _mm512_maskz_loadu_ps(mask, from.add(far + i)));
                _mm512_storeu_si512(to.add(i).cast(), side_by_side(low, high));
            }
        }
    }

    #[inline(always)]
    unsafe fn round(from: *const f32, to: *mut f32, count: usize) {
        let whole = count / 32 * 32;
        // SAFETY: as above; the masks keep reads within the values, and there is room for words behind them.
        unsafe {
            for i in (0..whole).step_by(32) {
                let (low, high) = (_mm512_loadu_ps(from.add(i)), _mm512_loadu_ps(from.add(i + 16)));
                _mm512_storeu_si512(to.add(i / 2).cast(), rounded(low, high));
            }
            if whole < count {
                let (rest, from) = (count - whole, from.add(whole));
                let low = _mm512_maskz_loadu_ps(first_lanes(rest), from);
                let high = _mm512_maskz_loadu_ps(first_lanes(rest.saturating_sub(16)), from.wrapping_add(16));
                _mm512_storeu_si512(to.add(whole / 2).cast(), rounded(low, high));
            }
        }
    }
}

/// The mask of the first `count` lanes of sixteen, or of all.
#[inline(always)]
fn first_lanes(count: usize) -> u16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}

/// The values of `low` and then those of `high`, rounded to bfloat16.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: plain bits of the same size.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// Words of bfloat16 pairs: `low` in the lower halves, `high` in the upper ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn side_by_side(low: __m512, high: __m512) -> __m512i {
    // The conversion puts all of `low` in front of all of `high`.
    let order: [i16; 32] = std::array::from_fn(|i| (i / 2 + i % 2 * 16) as i16);
    // SAFETY: plain bits of the same size.
    let order = unsafe { std::mem::transmute::<[i16; 32], __m512i>(order) };
    _mm512_permutexvar_epi16(order, rounded(low, high))
}

/// Eight values.
///
/// # Safety
/// They lie at `from`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight(from: *const f32) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_loadu_ps(from) }
}

/// Sixteen values as eight words of bfloat16 pairs.
///
/// # Safety
/// They lie at `from`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn eight_pairs(from: *const f32) -> __m256 {
    // SAFETY: the caller's promise; plain bits of the same size.
    unsafe { std::mem::transmute::<__m256bh, __m256>(_mm512_cvtneps_pbh(_mm512_loadu_ps(from))) }
}

/// Stores the words of eight lines as rows of one word of each, `to_stride` apart.
///
/// # Safety
/// There is room for eight rows of eight words.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose(lines: [__m256; SQUARE], to: *mut f32, to_stride: usize) {
    let [a, b, c, d, e, f, g, h] = lines;
    let (near, far) = (fours([a, b, c, d]), fours([e, f, g, h]));
    for i in 0..4 {
        // SAFETY: the caller's promise.
        unsafe {
            _mm256_storeu_ps(to.add(i * to_stride), _mm256_permute2f128_ps::<0x20>(near[i], far[i]));
            _mm256_storeu_ps(to.add((i + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(near[i], far[i]));
        }
    }
}

/// The same for four lines.
///
/// # Safety
/// There is room for eight rows of four words.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose_half(lines: [__m256; SQUARE / 2], to: *mut f32, to_stride: usize) {
    for (i, words) in fours(lines).into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            _mm_storeu_ps(to.add(i * to_stride), _mm256_castps256_ps128(words));
            _mm_storeu_ps(to.add((i + 4) * to_stride), _mm256_extractf128_ps::<1>(words));
        }
    }
}

/// Transposes the halves of four lines: register `i` has their words `i` and `i + 4`.
#[inline]
#[target_feature(enable = "avx2")]
fn fours(lines: [__m256; 4]) -> [__m256; 4] {
    let [a, b, c, d] = lines;
    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
    [
        _mm256_shuffle_ps::<0x44>(ab, cd),
        _mm256_shuffle_ps::<0xee>(ab, cd),
        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
        _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
    ]
}
