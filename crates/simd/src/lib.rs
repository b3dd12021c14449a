//! What the kernels of training and inference share: instruction levels and run-time dispatch, vector registers, and
//! arithmetic in a fixed order.
//!
//! A [`Level`] is a set of instructions that this processor has. Plain loops are compiled once for each kind of vector
//! registers and chosen at run time by [`simd`]; matrix products choose their own tiles by [`Level::isa`]. Nothing here
//! reassociates or contracts floating-point operations, so a loop gives the same bits at every level.

mod bf16;
#[cfg(target_arch = "aarch64")]
mod bytes;
mod dispatch;
mod floats;
mod level;
mod math;
pub mod peak;
mod prefetch;
pub mod random;
mod sums;
pub mod testing;

pub use bf16::{from_bf16, to_bf16};
#[cfg(target_arch = "aarch64")]
pub use bytes::{dot_of_first, matrix_product};
pub use dispatch::{FloatWork, simd, simd_at, simd_floats};
#[cfg(target_arch = "x86_64")]
pub use dispatch::{with_avx_vnni, with_avx2, with_avx512, with_avx512_bf16, with_avx512_vnni};
#[cfg(target_arch = "aarch64")]
pub use dispatch::{with_neon, with_neon_dotprod, with_neon_i8mm};
pub use floats::{Floats, WIDEST};
pub use level::{ISA_VARIABLE, InvalidIsa, Isa, Level, Vectors};
pub use math::{exp, exponentials, log_sum_exp, softmax};
pub use prefetch::prefetch;
pub use sums::{LANES, dot, max, max_and_sum, sum};

#[cfg(test)]
mod level_tests {
    #[test]
    fn all_tests_pass_at_every_level() {
        crate::testing::repeat_tests_at_every_level();
    }
}
