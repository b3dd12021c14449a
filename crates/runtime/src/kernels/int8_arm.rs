//! Sums of products of bytes with NEON, without and with its dot products.

use std::arch::aarch64::*;
use std::ops::Range;

use strata_simd::{dot_of_first, with_neon, with_neon_dotprod};

use super::int8_tiles::{Int8Product, ROWS, Sums, Tiles, strip, tiles};
use super::tiling::Place;

/// Two sums for each of 4 columns, of the first and of the last two inputs; columns 0 and 1, then 2 and 3. A product of
/// two bytes fits 16 bits, and pairs of them are added in 32.
#[derive(Clone, Copy)]
pub(super) struct Halves(int32x4_t, int32x4_t);

impl Sums for Halves {
    type X = i8;
    type Weights = int8x16_t;
    type Splat = int8x16_t;
    type Floats = float32x4_t;

    #[inline(always)]
    unsafe fn start(_: *const i32) -> Self {
        // SAFETY: the trait's promise, that the processor has the instructions; so below.
        unsafe { Self(vdupq_n_s32(0), vdupq_n_s32(0)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> int8x16_t {
        // SAFETY: as above, and 16 bytes lie there.
        unsafe { vld1q_s8(from) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const i8) -> int8x16_t {
        // SAFETY: as above, and four values lie there.
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn dot(self, x: int8x16_t, w: int8x16_t) -> Self {
        // SAFETY: as above.
        unsafe {
            Self(
                vpadalq_s16(self.0, vmull_s8(vget_low_s8(w), vget_low_s8(x))),
                vpadalq_s16(self.1, vmull_high_s8(w, x)),
            )
        }
    }

    #[inline(always)]
    unsafe fn floats(self) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vcvtq_f32_s32(vpaddq_s32(self.0, self.1)) }
    }
}

tiles!(Halves, with_neon, 1 x 8, 2 x 4, 3 x 2, 4 x 2, 5 x 1, 6 x 1);

/// The sums of 4 columns.
#[derive(Clone, Copy)]
pub(super) struct Dot(int32x4_t);

impl Sums for Dot {
    type X = i8;
    type Weights = int8x16_t;
    type Splat = int32x4_t;
    type Floats = float32x4_t;

    #[inline(always)]
    unsafe fn start(_: *const i32) -> Self {
        // SAFETY: the trait's promise, that the processor has the instructions; so below.
        unsafe { Self(vdupq_n_s32(0)) }
    }

    #[inline(always)]
    unsafe fn load(from: *const i8) -> int8x16_t {
        // SAFETY: as above, and 16 bytes lie there.
        unsafe { vld1q_s8(from) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const i8) -> int32x4_t {
        // SAFETY: as above, and four values lie there. The instruction takes them from the first lane, so that a plain
        // load will do.
        unsafe { vsetq_lane_s32::<0>(from.cast::<i32>().read_unaligned(), vdupq_n_s32(0)) }
    }

    #[inline(always)]
    unsafe fn dot(self, x: int32x4_t, w: int8x16_t) -> Self {
        // SAFETY: as above.
        unsafe { Self(dot_of_first(self.0, w, x)) }
    }

    #[inline(always)]
    unsafe fn floats(self) -> float32x4_t {
        // SAFETY: as above.
        unsafe { vcvtq_f32_s32(self.0) }
    }
}

tiles!(Dot, with_neon_dotprod, 1 x 8, 2 x 8, 3 x 4, 4 x 4, 5 x 4, 6 x 4);
