//! Sums of products of bytes with the instructions of x86.

use std::arch::x86_64::*;
use std::ops::Range;

use strata_simd::{with_avx_vnni, with_avx2, with_avx512, with_avx512_vnni};

use super::int8_tiles::{Int8Product, ROWS, Sums, Tiles, strip, tiles};
use super::tiling::Place;

/// Two sums for each of 8 columns, of the even and of the odd pairs of inputs; columns 0 to 3, then 4 to 7.
#[derive(Clone, Copy)]
pub(super) struct Widened(__m256i, __m256i);

impl Sums for Widened {
    type X = i16;
    type Weights = (__m256i, __m256i);
    type Splat = __m256i;
    type Floats = __m256;

    #[inline(always)]
    unsafe fn start(_: *const i32) -> Self {
        // SAFETY: the trait's promise, that the processor has the instructions; so below.
        unsafe { Self(_mm256_setzero_si256(), _mm256_setzero_si256()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> Self::Weights {
        // SAFETY: as above, and 32 bytes lie there.
        unsafe {
            let widen = |from: *const i8| _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast()));
            (widen(from), widen(from.add(16)))
        }
    }

    #[inline(always)]
    unsafe fn splat(from: *const i16) -> __m256i {
        // SAFETY: as above, and four values lie there.
        unsafe { _mm256_set1_epi64x(from.cast::<i64>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(self, x: __m256i, w: Self::Weights) -> Self {
        // SAFETY: as above.
        unsafe {
            Self(
                _mm256_add_epi32(self.0, _mm256_madd_epi16(x, w.0)),
                _mm256_add_epi32(self.1, _mm256_madd_epi16(x, w.1)),
            )
        }
    }

    #[inline(always)]
    unsafe fn floats(self) -> __m256 {
        // SAFETY: as above.
        unsafe {
            // Adds pairs: columns 0, 1, 4, 5, 2, 3, 6, 7; then puts the quarters in order.
            let mixed = _mm256_hadd_epi32(self.0, self.1);
            _mm256_cvtepi32_ps(_mm256_permute4x64_epi64::<0b11_01_10_00>(mixed))
        }
    }
}

tiles!(Widened, with_avx2, 1 x 4, 2 x 2, 3 x 1, 4 x 1, 5 x 1, 6 x 1);

/// As [`Widened`] for 16 columns: 0 to 7, then 8 to 15.
#[derive(Clone, Copy)]
pub(super) struct Widened512(__m512i, __m512i);

impl Sums for Widened512 {
    type X = i16;
    type Weights = (__m512i, __m512i);
    type Splat = __m512i;
    type Floats = __m512;

    #[inline(always)]
    unsafe fn start(_: *const i32) -> Self {
        // SAFETY: the trait's promise, that the processor has the instructions; so below.
        unsafe { Self(_mm512_setzero_si512(), _mm512_setzero_si512()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> Self::Weights {
        // SAFETY: as above, and 64 bytes lie there.
        unsafe {
            let widen = |from: *const i8| _mm512_cvtepi8_epi16(_mm256_loadu_si256(from.cast()));
            (widen(from), widen(from.add(32)))
        }
    }

    #[inline(always)]
    unsafe fn splat(from: *const i16) -> __m512i {
        // SAFETY: as above, and four values lie there.
        unsafe { _mm512_set1_epi64(from.cast::<i64>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(self, x: __m512i, w: Self::Weights) -> Self {
        // SAFETY: as above.
        unsafe {
            Self(
                _mm512_add_epi32(self.0, _mm512_madd_epi16(x, w.0)),
                _mm512_add_epi32(self.1, _mm512_madd_epi16(x, w.1)),
            )
        }
    }

    #[inline(always)]
    unsafe fn floats(self) -> __m512 {
        // SAFETY: as above.
        unsafe {
            // The even and the odd sums of both registers, in the order of columns.
            let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
            let odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
            let even = _mm512_permutex2var_epi32(self.0, even, self.1);
            let odd = _mm512_permutex2var_epi32(self.0, odd, self.1);
            _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd))
        }
    }
}

tiles!(Widened512, with_avx512, 1 x 4, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2);

/// The sums of 8 columns.
#[derive(Clone, Copy)]
pub(super) struct Vnni256(__m256i);

impl Sums for Vnni256 {
    type X = u8;
    type Weights = __m256i;
    type Splat = __m256i;
    type Floats = __m256;

    #[inline(always)]
    unsafe fn start(columns: *const i32) -> Self {
        // SAFETY: the trait's promise, that the processor has the instructions, so below, and that 8 sums lie there.
        unsafe {
            let added = _mm256_slli_epi32::<7>(_mm256_loadu_si256(columns.cast()));
            Self(_mm256_sub_epi32(_mm256_setzero_si256(), added))
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> __m256i {
        // SAFETY: as above, and 32 bytes lie there.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m256i {
        // SAFETY: as above, and four values lie there.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(self, x: __m256i, w: __m256i) -> Self {
        // SAFETY: as above. The form without saturation.
        unsafe { Self(_mm256_dpbusd_avx_epi32(self.0, x, w)) }
    }

    #[inline(always)]
    unsafe fn floats(self) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_cvtepi32_ps(self.0) }
    }
}

tiles!(Vnni256, with_avx_vnni, 1 x 8, 2 x 4, 3 x 3, 4 x 2, 5 x 2, 6 x 2);

/// The sums of 16 columns.
#[derive(Clone, Copy)]
pub(super) struct Vnni512(__m512i);

impl Sums for Vnni512 {
    type X = u8;
    type Weights = __m512i;
    type Splat = __m512i;
    type Floats = __m512;

    #[inline(always)]
    unsafe fn start(columns: *const i32) -> Self {
        // SAFETY: the trait's promise, that the processor has the instructions, so below, and that 16 sums lie there.
        unsafe {
            let added = _mm512_slli_epi32::<7>(_mm512_loadu_si512(columns.cast()));
            Self(_mm512_sub_epi32(_mm512_setzero_si512(), added))
        }
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> __m512i {
        // SAFETY: as above, and 64 bytes lie there.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const u8) -> __m512i {
        // SAFETY: as above, and four values lie there.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(self, x: __m512i, w: __m512i) -> Self {
        // SAFETY: as above. The form without saturation.
        unsafe { Self(_mm512_dpbusd_epi32(self.0, x, w)) }
    }

    #[inline(always)]
    unsafe fn floats(self) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtepi32_ps(self.0) }
    }
}

tiles!(Vnni512, with_avx512_vnni, 1 x 8, 2 x 4, 3 x 4, 4 x 4, 5 x 4, 6 x 4);
