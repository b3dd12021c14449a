//! ARM's products of bytes. In assembler, because the compiler's own functions for them are not stable yet.

use std::arch::aarch64::{int8x16_t, int32x4_t};
use std::arch::asm;

/// Adds to each sum the dot product of four bytes of `w` with the first four of `x` (`vdotq_laneq_s32`).
///
/// # Safety
/// The processor has the instruction.
#[inline]
#[target_feature(enable = "neon,dotprod")]
pub fn dot_of_first(mut sums: int32x4_t, w: int8x16_t, x: int32x4_t) -> int32x4_t {
    // SAFETY: the instruction only computes.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {w:v}.16b, {x:v}.4b[0]",
            sums = inout(vreg) sums,
            w = in(vreg) w,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds to `sums`, row by row, the products of two rows with two columns of eight bytes each
/// (`vmmlaq_s32`).
///
/// The assembler is not said to leave memory alone, so that loads stay in their place: all loads of a step before its
/// products would need more registers than there are.
///
/// # Safety
/// The processor has the instruction.
#[inline]
#[target_feature(enable = "neon,i8mm")]
pub fn matrix_product(mut sums: int32x4_t, rows: int8x16_t, columns: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction only computes.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {rows:v}.16b, {columns:v}.16b",
            sums = inout(vreg) sums,
            rows = in(vreg) rows,
            columns = in(vreg) columns,
            options(nostack, preserves_flags),
        );
    }
    sums
}
