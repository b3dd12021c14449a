//! Tiles with AVX2 and AVX-512.

use std::arch::x86_64::*;

use super::Product;
use super::pack::SQUARE;
use super::piece::{Packed, Piece, run};
use super::tile::{Columns, Tile, compute, tiles};
pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
pub(super) use avx512_bf16::Bf16;

/// Computes a piece with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<const ROUND: bool>(product: &Product, piece: &Piece, packed: &mut Packed) {
    // SAFETY: the caller's promise.
    unsafe { run::<Avx2, ROUND>(product, piece, packed) }
}

/// Computes a piece with AVX-512.
#[target_feature(enable = "avx2,fma,avx512f")]
pub(super) unsafe fn avx512<const ROUND: bool>(product: &Product, piece: &Piece, packed: &mut Packed) {
    // SAFETY: the caller's promise.
    unsafe { run::<Avx512, ROUND>(product, piece, packed) }
}

/// Computes a piece of bfloat16 numbers with AVX-512.
#[target_feature(enable = "avx2,fma,avx512f,avx512bf16")]
pub(super) unsafe fn avx512_bf16(product: &Product, piece: &Piece, packed: &mut Packed) {
    // SAFETY: the caller's promise.
    unsafe { run::<Bf16, true>(product, piece, packed) }
}

/// Transposes a square in eight registers.
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

/// What the columns of all levels of this file have in common: two registers a row.
macro_rules! columns {
    ($name:ident, $register:ty, $lanes:literal, $zero:ident, $load:ident, $store:ident, $add:ident, $multiply:ident, $all:ident, $max:ident, $keep:ident) => {
        #[derive(Clone, Copy)]
        pub(in super::super) struct $name([$register; 2]);

        type This = $name;

        impl $name {
            /// Both registers through `f`.
            #[inline(always)]
            fn each(self, f: impl Fn($register) -> $register) -> Self {
                Self([f(self.0[0]), f(self.0[1])])
            }
        }

        /// The functions of `Columns` that are the same for every such type.
        macro_rules! common {
            () => {
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the trait's promise, that the processor has the instructions; so below.
                    Self([unsafe { $zero() }; 2])
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { [$load(from), $load(from.add($lanes))] })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: as above.
                    unsafe {
                        $store(to, self.0[0]);
                        $store(to.add($lanes), self.0[1]);
                    }
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { [$add(self.0[0], other.0[0]), $add(self.0[1], other.0[1])] })
                }

                #[inline(always)]
                unsafe fn scale(self, by: f32) -> Self {
                    // SAFETY: as above.
                    self.each(|v| unsafe { $multiply(v, $all(by)) })
                }

                #[inline(always)]
                unsafe fn relu(self) -> Self {
                    // SAFETY: as above.
                    self.each(|v| unsafe { $max(v, $zero()) })
                }

                #[inline(always)]
                unsafe fn where_positive(self, of: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { [$keep(self.0[0], of.0[0]), $keep(self.0[1], of.0[1])] })
                }

                #[inline(always)]
                unsafe fn transpose(from: *const f32, stride: usize, to: *mut f32, to_stride: usize) {
                    // SAFETY: as above.
                    unsafe { transpose(from, stride, to, to_stride) }
                }
            };
        }
    };
}

/// Zero where `of` is not positive.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn keep_positive_256(v: __m256, of: __m256) -> __m256 {
    _mm256_and_ps(v, _mm256_cmp_ps::<_CMP_GT_OQ>(of, _mm256_setzero_ps()))
}

mod avx2 {
    use super::*;

    columns!(
        Avx2,
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_mul_ps,
        _mm256_set1_ps,
        _mm256_max_ps,
        keep_positive_256
    );

    impl Columns for Avx2 {
        const WIDTH: usize = 16;
        // 12 of 16 registers hold sums.
        const ROWS: usize = 6;
        const PAIRS: bool = false;
        type Line = [__m256; 2];

        common!();

        #[inline(always)]
        unsafe fn line(from: *const f32) -> [__m256; 2] {
            // SAFETY: as above.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, word: *const f32, line: [__m256; 2]) -> Self {
            // SAFETY: as above.
            unsafe {
                let x = _mm256_broadcast_ss(&*word);
                Self([_mm256_fmadd_ps(x, line[0], self.0[0]), _mm256_fmadd_ps(x, line[1], self.0[1])])
            }
        }

        tiles!(["avx2,fma"] 1 2 3 4 5 6);
    }
}

macro_rules! avx512_columns {
    ($name:ident) => {
        columns!(
            $name,
            __m512,
            16,
            _mm512_setzero_ps,
            _mm512_loadu_ps,
            _mm512_storeu_ps,
            _mm512_add_ps,
            _mm512_mul_ps,
            _mm512_set1_ps,
            _mm512_max_ps,
            keep_positive_512
        );
    };
}

/// Zero where `of` is not positive.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn keep_positive_512(v: __m512, of: __m512) -> __m512 {
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(of, _mm512_setzero_ps()), v)
}

mod avx512 {
    use super::*;

    avx512_columns!(Avx512);

    impl Columns for Avx512 {
        const WIDTH: usize = 32;
        // 24 of 32 registers hold sums.
        const ROWS: usize = 12;
        const PAIRS: bool = false;
        type Line = [__m512; 2];

        common!();

        #[inline(always)]
        unsafe fn line(from: *const f32) -> [__m512; 2] {
            // SAFETY: as above.
            unsafe { [_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))] }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, word: *const f32, line: [__m512; 2]) -> Self {
            // SAFETY: as above.
            unsafe {
                let x = _mm512_set1_ps(*word);
                Self([_mm512_fmadd_ps(x, line[0], self.0[0]), _mm512_fmadd_ps(x, line[1], self.0[1])])
            }
        }

        tiles!(["avx2,fma,avx512f"] 1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

mod avx512_bf16 {
    use super::*;

    avx512_columns!(Bf16);

    impl Columns for Bf16 {
        const WIDTH: usize = 32;
        const ROWS: usize = 12;
        const PAIRS: bool = true;
        type Line = [__m512bh; 2];

        common!();

        #[inline(always)]
        unsafe fn line(from: *const f32) -> [__m512bh; 2] {
            // SAFETY: as above; any bits are pairs of bfloat16.
            unsafe {
                let pairs =
                    |from: *const f32| std::mem::transmute::<__m512i, __m512bh>(_mm512_loadu_si512(from.cast()));
                [pairs(from), pairs(from.add(16))]
            }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, word: *const f32, line: [__m512bh; 2]) -> Self {
            // SAFETY: as above.
            unsafe {
                let x = std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(*word.cast::<i32>()));
                Self([_mm512_dpbf16_ps(self.0[0], x, line[0]), _mm512_dpbf16_ps(self.0[1], x, line[1])])
            }
        }

        tiles!(["avx2,fma,avx512f,avx512bf16"] 1 2 3 4 5 6 7 8 9 10 11 12);
    }
}
