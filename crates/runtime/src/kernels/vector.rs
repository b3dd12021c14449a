//! Vectors of results, for what follows a product: bias, activation, addition to what is there.

/// `N` floats in registers of some instruction set, which all methods need.
pub(crate) trait Floats<const N: usize>: Copy {
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `max(0, self)`; NaN stays.
    unsafe fn relu(self) -> Self;
    unsafe fn store(self, to: *mut f32);
}

impl<const N: usize> Floats<N> for [f32; N] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; so below.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; N]
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
    unsafe fn relu(self) -> Self {
        self.map(|v| if v < 0.0 { 0.0 } else { v })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
}

/// Asks for the line of `from`, which need not exist.
#[inline(always)]
pub(crate) fn prefetch<T>(from: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, and it never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(from.cast::<i8>());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// The trait for a register type of x86: its number of values, and the names of its instructions.
#[cfg(target_arch = "x86_64")]
macro_rules! register {
    ($register:ty, $n:literal, $load:ident, $set:ident, $add:ident, $mul:ident, $max:ident, $zero:ident, $store:ident) => {
        impl Floats<$n> for $register {
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's promise, that the processor has the instructions and values lie there; so below.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: as above.
                unsafe { $set(value) }
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
            unsafe fn relu(self) -> Self {
                // SAFETY: as above. The second operand is given back if one is NaN.
                unsafe { $max($zero(), self) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Floats;

    register!(
        __m256,
        8,
        _mm256_loadu_ps,
        _mm256_set1_ps,
        _mm256_add_ps,
        _mm256_mul_ps,
        _mm256_max_ps,
        _mm256_setzero_ps,
        _mm256_storeu_ps
    );
    register!(
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_set1_ps,
        _mm512_add_ps,
        _mm512_mul_ps,
        _mm512_max_ps,
        _mm512_setzero_ps,
        _mm512_storeu_ps
    );
}
