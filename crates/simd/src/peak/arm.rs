//! Loops over registers with the products of ARM processors.

use std::arch::aarch64::*;

use super::{chains, multiply_adds};
use crate::bytes::{dot_of_first, matrix_product};

/// The operations of f32 multiply-adds; 24 of 32 registers are sums.
#[target_feature(enable = "neon")]
pub fn f32_neon() -> f64 {
    // SAFETY: the caller has the instructions.
    unsafe { multiply_adds::<float32x4_t, 24>() }
}

// Without products of bytes, those of half a register are 16 bits wide, and pairs of them are added.
chains!(int8_neon, "neon", 24 of 8, vdupq_n_s32(0), vdup_n_s8(1), |sum, x, y| vpadalq_s16(sum, vmull_s8(x, y)));
chains!(int8_dotprod, "neon,dotprod", 24 of 16, vdupq_n_s32(0), vdupq_n_s8(1), add_dots);
chains!(int8_i8mm, "neon,i8mm", 24 of 32, vdupq_n_s32(0), vdupq_n_s8(1), matrix_product);

#[inline]
#[target_feature(enable = "neon,dotprod")]
fn add_dots(sum: int32x4_t, x: int8x16_t, y: int8x16_t) -> int32x4_t {
    dot_of_first(sum, x, vreinterpretq_s32_s8(y))
}
