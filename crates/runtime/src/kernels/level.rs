//! The instruction sets that kernels are compiled for, and the choice among them at run time.

use std::sync::OnceLock;

/// Instructions that a kernel may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// What every processor of the target has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX2 and FMA, with dot products of bytes in 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// AVX-512 (F, BW, DQ, VL).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 with dot products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Level {
    /// All levels that this processor has, the best last.
    pub fn available() -> &'static [Level] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(|| {
            #[allow(unused_mut)] // other processors have the portable level alone
            let mut levels = vec![Level::Portable];
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level::Avx2);
                if is_x86_feature_detected!("avxvnni") {
                    levels.push(Level::AvxVnni);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    levels.push(Level::Avx512);
                    if is_x86_feature_detected!("avx512vnni") {
                        levels.push(Level::Avx512Vnni);
                    }
                }
            }
            levels
        })
    }

    /// The best level of this processor.
    pub fn best() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Level::available().last().copied().unwrap_or(Level::Portable))
    }
}

/// Runs `work` compiled for the widest vectors of this processor, if it is inlined: an `#[inline(always)]` closure.
///
/// Loops in `work` keep their order of operations (nothing is contracted or reassociated), so results have the same
/// bits at every level.
#[inline(always)]
pub(crate) fn simd<R>(work: impl FnOnce() -> R) -> R {
    match Level::best() {
        Level::Portable => work(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions.
        Level::Avx2 | Level::AvxVnni => unsafe { with_avx2(work) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 | Level::Avx512Vnni => unsafe { with_avx512(work) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}
