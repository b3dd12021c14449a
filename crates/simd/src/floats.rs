//! f32 registers of each kind of instructions behind one trait.

use crate::sums::{LANES, fold};

/// The most values of a register.
pub const WIDEST: usize = 16;

/// The upper half of a lane.
const UPPER: u32 = 0xffff_0000;

/// Some f32 values in one register.
///
/// # Safety
/// All methods need a processor with the instructions of the register's type. Pointers need no alignment, but must be
/// valid for [`Floats::LANES`] values.
#[allow(clippy::missing_safety_doc)] // said once above, for all methods
pub trait Floats: Copy {
    /// The number of values, at most [`WIDEST`].
    const LANES: usize;

    /// Zeros.
    unsafe fn zero() -> Self;
    /// `value` in every lane.
    unsafe fn splat(value: f32) -> Self;
    /// The values at `from`.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes the values to `to`.
    unsafe fn store(self, to: *mut f32);
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * by + to`, rounded once where the processor can; without such an instruction the portable form rounds
    /// twice, because `f32::mul_add` would be a slow call.
    unsafe fn mul_add(self, by: Self, to: Self) -> Self;
    /// `max(0, self)`; NaN stays.
    unsafe fn relu(self) -> Self;
    /// `self` where `of` is positive, zero elsewhere.
    unsafe fn where_positive(self, of: Self) -> Self;
    /// The bfloat16 in the lower half of each lane's bits, widened.
    unsafe fn lower_bf16(self) -> Self;
    /// The bfloat16 in the upper half of each lane's bits, widened.
    unsafe fn upper_bf16(self) -> Self;
    /// The sum of each of [`Floats::LANES`] rows of [`LANES`] values, which lie one after another from `rows` on: the
    /// first half of a row plus the second, and so on.
    unsafe fn sum_rows(rows: *const f32) -> Self;
}

impl<const N: usize> Floats for [f32; N] {
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; N]
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; N]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * other[i])
    }

    #[inline(always)]
    unsafe fn mul_add(self, by: Self, mut to: Self) -> Self {
        const FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        for i in 0..N {
            to[i] = if FUSED { self[i].mul_add(by[i], to[i]) } else { self[i] * by[i] + to[i] };
        }
        to
    }

    #[inline(always)]
    unsafe fn relu(self) -> Self {
        self.map(|v| if v < 0.0 { 0.0 } else { v })
    }

    #[inline(always)]
    unsafe fn where_positive(self, of: Self) -> Self {
        std::array::from_fn(|i| if of[i] > 0.0 { self[i] } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn lower_bf16(self) -> Self {
        self.map(|v| f32::from_bits(v.to_bits() << 16))
    }

    #[inline(always)]
    unsafe fn upper_bf16(self) -> Self {
        self.map(|v| f32::from_bits(v.to_bits() & UPPER))
    }

    #[inline(always)]
    unsafe fn sum_rows(rows: *const f32) -> Self {
        // SAFETY: the caller's promise.
        std::array::from_fn(|i| fold(unsafe { rows.add(i * LANES).cast::<[f32; LANES]>().read_unaligned() }))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Floats, UPPER};

    /// The trait for a register type of x86, by the names of its instructions.
    macro_rules! register {
        (
            $register:ty, $lanes:literal, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $mul:ident,
            $mul_add:ident, $max:ident, $where_positive:ident, $lower_bf16:ident, $upper_bf16:ident,
            $sum_rows:ident
        ) => {
            impl Floats for $register {
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller's promise, that the processor has the instructions; so below.
                    unsafe { $zero() }
                }

                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: as above.
                    unsafe { $splat(value) }
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    // SAFETY: as above, and the pointer is valid.
                    unsafe { $load(from) }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: as above.
                    unsafe { $store(to, self) }
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $add(self, other) }
                }

                #[inline(always)]
                unsafe fn mul(self, other: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $mul(self, other) }
                }

                #[inline(always)]
                unsafe fn mul_add(self, by: Self, to: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $mul_add(self, by, to) }
                }

                #[inline(always)]
                unsafe fn relu(self) -> Self {
                    // SAFETY: as above. If one operand is NaN, the instruction gives the second.
                    unsafe { $max($zero(), self) }
                }

                #[inline(always)]
                unsafe fn where_positive(self, of: Self) -> Self {
                    // SAFETY: as above.
                    unsafe { $where_positive(self, of) }
                }

                #[inline(always)]
                unsafe fn lower_bf16(self) -> Self {
                    // SAFETY: as above.
                    unsafe { $lower_bf16(self) }
                }

                #[inline(always)]
                unsafe fn upper_bf16(self) -> Self {
                    // SAFETY: as above.
                    unsafe { $upper_bf16(self) }
                }

                #[inline(always)]
                unsafe fn sum_rows(rows: *const f32) -> Self {
                    // SAFETY: as above, and the rows are there.
                    unsafe { $sum_rows(rows) }
                }
            }
        };
    }

    register!(
        __m256,
        8,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps,
        _mm256_max_ps,
        where_positive_256,
        lower_bf16_256,
        upper_bf16_256,
        sum_rows_256
    );
    register!(
        __m512,
        16,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps,
        _mm512_max_ps,
        where_positive_512,
        lower_bf16_512,
        upper_bf16_512,
        sum_rows_512
    );

    /// [`Floats::sum_rows`]: rows are halved together, so that registers stay full.
    ///
    /// # Safety
    /// 8 rows of 16 values lie at `rows`.
    #[inline]
    #[target_feature(enable = "avx")]
    unsafe fn sum_rows_256(rows: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        let halved = |i: usize| unsafe {
            _mm256_add_ps(_mm256_loadu_ps(rows.add(16 * i)), _mm256_loadu_ps(rows.add(16 * i + 8)))
        };
        // Four values of a row in each half of a register.
        let quarters = |a: usize, b: usize| {
            let (a, b) = (halved(a), halved(b));
            _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b))
        };
        let pairs = |a: __m256, b: __m256| {
            let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
            let (first, second) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            _mm256_add_ps(_mm256_castpd_ps(first), _mm256_castpd_ps(second))
        };
        let first = pairs(quarters(0, 4), quarters(1, 5));
        let second = pairs(quarters(2, 6), quarters(3, 7));
        _mm256_add_ps(
            _mm256_shuffle_ps::<0b10_00_10_00>(first, second),
            _mm256_shuffle_ps::<0b11_01_11_01>(first, second),
        )
    }

    /// [`Floats::sum_rows`], as [`sum_rows_256`].
    ///
    /// # Safety
    /// 16 rows of 16 values lie at `rows`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn sum_rows_512(rows: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        let row = |i: usize| unsafe { _mm512_loadu_ps(rows.add(16 * i)) };
        let halved = |a: usize, b: usize| {
            let (a, b) = (row(a), row(b));
            let (first, second) =
                (_mm512_shuffle_f32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
            _mm512_add_ps(first, second)
        };
        // Four values of a row in each quarter of a register.
        let quarters = |a: usize| {
            let (a, b) = (halved(a, a + 4), halved(a + 8, a + 12));
            let (first, second) =
                (_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
            _mm512_add_ps(first, second)
        };
        let pairs = |a: __m512, b: __m512| {
            let (a, b) = (_mm512_castps_pd(a), _mm512_castps_pd(b));
            let (first, second) = (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
            _mm512_add_ps(_mm512_castpd_ps(first), _mm512_castpd_ps(second))
        };
        let first = pairs(quarters(0), quarters(1));
        let second = pairs(quarters(2), quarters(3));
        _mm512_add_ps(
            _mm512_shuffle_ps::<0b10_00_10_00>(first, second),
            _mm512_shuffle_ps::<0b11_01_11_01>(first, second),
        )
    }

    #[inline]
    #[target_feature(enable = "avx")]
    fn where_positive_256(v: __m256, of: __m256) -> __m256 {
        _mm256_and_ps(v, _mm256_cmp_ps::<_CMP_GT_OQ>(of, _mm256_setzero_ps()))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn lower_bf16_256(v: __m256) -> __m256 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(v)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn upper_bf16_256(v: __m256) -> __m256 {
        _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(UPPER as i32)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn lower_bf16_512(v: __m512) -> __m512 {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(v)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn upper_bf16_512(v: __m512) -> __m512 {
        _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(UPPER as i32)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn where_positive_512(v: __m512, of: __m512) -> __m512 {
        _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(of, _mm512_setzero_ps()), v)
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{Floats, UPPER};

    impl Floats for float32x4_t {
        const LANES: usize = 4;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller's promise, that the processor has the instructions; so below.
            unsafe { vdupq_n_f32(0.0) }
        }

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as above.
            unsafe { vdupq_n_f32(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and the pointer is valid.
            unsafe { vld1q_f32(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above.
            unsafe { vst1q_f32(to, self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { vaddq_f32(self, other) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { vmulq_f32(self, other) }
        }

        #[inline(always)]
        unsafe fn mul_add(self, by: Self, to: Self) -> Self {
            // SAFETY: as above.
            unsafe { vfmaq_f32(to, self, by) }
        }

        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: as above. The instruction's maximum with NaN is NaN.
            unsafe { vmaxq_f32(vdupq_n_f32(0.0), self) }
        }

        #[inline(always)]
        unsafe fn where_positive(self, of: Self) -> Self {
            // SAFETY: as above.
            unsafe { vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self), vcgtzq_f32(of))) }
        }

        #[inline(always)]
        unsafe fn lower_bf16(self) -> Self {
            // SAFETY: as above.
            unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_f32(self))) }
        }

        #[inline(always)]
        unsafe fn upper_bf16(self) -> Self {
            // SAFETY: as above.
            unsafe { vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self), vdupq_n_u32(UPPER))) }
        }

        #[inline(always)]
        unsafe fn sum_rows(rows: *const f32) -> Self {
            // SAFETY: as above, and the rows are there.
            unsafe {
                let quarter = |row: usize, i: usize| vld1q_f32(rows.add(16 * row + 4 * i));
                let row = |row: usize| {
                    let (first, second) = (quarter(row, 0), quarter(row, 1));
                    vaddq_f32(vaddq_f32(first, quarter(row, 2)), vaddq_f32(second, quarter(row, 3)))
                };
                let pairs = |a: Self, b: Self| {
                    let first = vcombine_f32(vget_low_f32(a), vget_low_f32(b));
                    vaddq_f32(first, vcombine_f32(vget_high_f32(a), vget_high_f32(b)))
                };
                vpaddq_f32(pairs(row(0), row(1)), pairs(row(2), row(3)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16::from_bf16;
    use crate::level::{Level, Vectors};
    use crate::testing::values;

    /// All operations on registers of one type, the results one after another.
    #[inline(always)]
    unsafe fn all<F: Floats>() -> Vec<f32> {
        let mut inputs = [values(WIDEST, 1), values(WIDEST, 2), values(WIDEST, 3)];
        inputs[0][1] = f32::NAN;
        inputs[1][2] = f32::NAN;
        let rows = values(WIDEST * LANES, 4);
        let mut results = [0.0; 9 * WIDEST];
        for first in (0..WIDEST).step_by(F::LANES) {
            // SAFETY: the caller's promise, and all rows have WIDEST values.
            unsafe {
                let [a, b, c] = inputs.each_ref().map(|row| F::load(row.as_ptr().add(first)));
                let found = [
                    F::zero().add(a),
                    F::splat(0.5).mul(a),
                    a.mul(b),
                    a.mul_add(b, c),
                    a.relu(),
                    a.where_positive(b),
                    c.lower_bf16(),
                    c.upper_bf16(),
                    F::sum_rows(rows.as_ptr().add(first * LANES)),
                ];
                for (i, found) in found.into_iter().enumerate() {
                    found.store(results.as_mut_ptr().add(i * WIDEST + first));
                }
            }
        }
        results.to_vec()
    }

    #[test]
    fn registers_of_every_level_compute_the_same() {
        // SAFETY: arrays need no special instructions.
        let portable = unsafe { all::<[f32; 4]>() };
        assert!(portable[4 * WIDEST + 1].is_nan(), "ReLU keeps NaN");
        assert_eq!(portable[5 * WIDEST + 2], 0.0, "NaN is not positive");
        for (i, value) in values(WIDEST, 3).into_iter().enumerate() {
            let bits = value.to_bits();
            assert_eq!(portable[6 * WIDEST + i].to_bits(), bits << 16, "the lower half");
            assert_eq!(portable[7 * WIDEST + i], from_bf16((bits >> 16) as u16), "the upper half");
        }
        for (i, row) in values(WIDEST * LANES, 4).chunks(LANES).enumerate() {
            assert_eq!(portable[8 * WIDEST + i], crate::sum([row], |[v]| v), "the sum of a row");
        }
        for level in Level::available() {
            let ours = match level.vectors() {
                // SAFETY: as above.
                Vectors::Portable => unsafe { all::<[f32; WIDEST]>() },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the level says that the processor has the instructions.
                Vectors::Avx2 => unsafe { crate::with_avx2(|| all::<std::arch::x86_64::__m256>()) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                Vectors::Avx512 => unsafe { crate::with_avx512(|| all::<std::arch::x86_64::__m512>()) },
                #[cfg(target_arch = "aarch64")]
                // SAFETY: as above.
                Vectors::Neon => unsafe { crate::with_neon(|| all::<std::arch::aarch64::float32x4_t>()) },
            };
            for (i, (a, b)) in ours.iter().zip(&portable).enumerate() {
                let same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                // A fused multiply-add rounds once, the portable form twice.
                let close = i / WIDEST == 3 && (a - b).abs() < 3e-7;
                assert!(same || close, "{} operation {}: {a} and {b}", level.name(), i / WIDEST);
            }
        }
    }
}
