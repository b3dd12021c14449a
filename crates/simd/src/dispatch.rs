//! Running code with the instructions of a level. This file alone names processor features to the compiler.

use crate::floats::{Floats, WIDEST};
use crate::level::{Level, Vectors};

/// Runs `work` compiled for the widest vectors of the current level, if it is inlined: an `#[inline(always)]` closure.
///
/// Loops in `work` keep their order of operations (nothing is contracted or reassociated), so results have the same
/// bits at every level.
#[inline(always)]
pub fn simd<R>(work: impl FnOnce() -> R) -> R {
    simd_at(Level::current(), work)
}

/// [`simd`] at a level of choice.
#[inline(always)]
pub fn simd_at<R>(level: Level, work: impl FnOnce() -> R) -> R {
    match level.vectors() {
        Vectors::Portable => work(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a level exists only where the processor has its instructions.
        Vectors::Avx2 => unsafe { with_avx2(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Vectors::Avx512 => unsafe { with_avx512(work) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Vectors::Neon => unsafe { with_neon(work) },
    }
}

/// Work on registers of any kind.
pub trait FloatWork {
    /// What it gives.
    type Output;

    /// Does the work; to be `#[inline(always)]`.
    ///
    /// # Safety
    /// The processor has the instructions of `F`.
    unsafe fn run<F: Floats>(self) -> Self::Output;
}

/// Runs `work` on the registers of the current level.
#[inline(always)]
pub fn simd_floats<W: FloatWork>(work: W) -> W::Output {
    match Level::current().vectors() {
        // SAFETY: a level exists only where the processor has its instructions; so below.
        Vectors::Portable => unsafe { work.run::<[f32; WIDEST]>() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Vectors::Avx2 => unsafe {
            with_avx2(
                #[inline(always)]
                || work.run::<std::arch::x86_64::__m256>(),
            )
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Vectors::Avx512 => unsafe {
            with_avx512(
                #[inline(always)]
                || work.run::<std::arch::x86_64::__m512>(),
            )
        },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Vectors::Neon => unsafe {
            with_neon(
                #[inline(always)]
                || work.run::<std::arch::aarch64::float32x4_t>(),
            )
        },
    }
}

/// A function that runs a closure, inlined into it, with some instructions.
macro_rules! with {
    ($arch:literal: $name:ident, $features:literal, $isa:literal) => {
        #[doc = concat!("Runs `work`, an `#[inline(always)]` closure, compiled for ", $isa, ".")]
        ///
        /// # Safety
        /// The processor has the instructions.
        #[cfg(target_arch = $arch)]
        #[target_feature(enable = $features)]
        pub fn $name<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
    };
}

with!("x86_64": with_avx2, "avx2,fma", "AVX2 and FMA");
with!("x86_64": with_avx_vnni, "avx2,fma,avxvnni", "AVX2, FMA and AVX-VNNI");
with!("x86_64": with_avx512, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl", "AVX-512 (F, BW, DQ, VL)");
with!("x86_64": with_avx512_vnni, "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni", "AVX-512 with VNNI");
with!(
    "x86_64": with_avx512_bf16,
    "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16",
    "AVX-512 with VNNI and BF16"
);

with!("aarch64": with_neon, "neon", "NEON");
with!("aarch64": with_neon_dotprod, "neon,dotprod", "NEON with dot products of bytes");
with!("aarch64": with_neon_i8mm, "neon,dotprod,i8mm", "NEON with dot products and matrix products of bytes");
