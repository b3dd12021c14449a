//! Products of small matrices of bytes (ARM's I8MM): two rows by two columns, eight inputs deep, in one instruction.
//!
//! Panels hold four inputs of each column side by side; two of their lines interleaved are eight inputs of each column.
//! One row alone would waste half of each instruction and takes dot products.

use std::arch::aarch64::*;
use std::ops::Range;

use strata_simd::{matrix_product, prefetch, with_neon_i8mm};

use super::PANEL;
use super::int8_arm::Dot;
use super::int8_tiles::{Int8Product, ROWS, Tiles, strip};
use super::tiling::{Place, Prefetch};

/// Columns of a unit.
const UNIT: usize = 4;

/// Registers of a panel's sums for two rows, each of two columns.
const PAIRS: usize = PANEL / 2;

/// The tiles of products of matrices.
pub(super) struct Matrices;

impl Tiles for Matrices {
    const UNIT: usize = UNIT;

    #[inline(always)]
    unsafe fn with<R>(work: impl FnOnce() -> R) -> R {
        // SAFETY: the trait's promise, that the processor has the instructions.
        unsafe { with_neon_i8mm(work) }
    }

    #[inline(always)]
    unsafe fn strip(product: &Int8Product<'_>, row: usize, rows: usize, units: Range<usize>, place: Place) {
        const IN_PANEL: usize = PANEL / UNIT;
        let panels = units.start / IN_PANEL..units.end / IN_PANEL;
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                1 => strip::<Dot, 1, 8>(product, row, units, place),
                2 => panels.for_each(|panel| product_tile::<2, 1>(product, row, panel, place)),
                3 => panels.for_each(|panel| product_tile::<3, 2>(product, row, panel, place)),
                4 => panels.for_each(|panel| product_tile::<4, 2>(product, row, panel, place)),
                5 => panels.for_each(|panel| product_tile::<5, 3>(product, row, panel, place)),
                6 => panels.for_each(|panel| product_tile::<6, 3>(product, row, panel, place)),
                _ => unreachable!("a tile of {rows} rows, of at most {ROWS}"),
            }
        }
    }
}

/// Computes `R` rows from `row` on, which are `P` pairs, of one panel; at most 24 of 32 registers hold sums.
///
/// # Safety
/// As [`super::int8::piece`], for these rows and the panel, and the processor has the instructions.
#[inline]
#[target_feature(enable = "neon,dotprod,i8mm")]
unsafe fn product_tile<const R: usize, const P: usize>(p: &Int8Product<'_>, row: usize, panel: usize, place: Place) {
    // SAFETY: rows and panel are within the product, whose slices hold `padded` values for each row and column.
    unsafe {
        let x = p.x.as_ptr().add(row * p.padded);
        // Where the number of rows is odd, the last pair is the last row twice.
        let x: [[*const i8; 2]; P] =
            std::array::from_fn(|pair| [2 * pair, (2 * pair + 1).min(R - 1)].map(|r| x.add(r * p.padded)));
        let w = p.values.as_ptr().add(panel * p.padded * PANEL);
        let Prefetch { distance, step } = place.prefetch(4 * PANEL, p.padded / 4, 1, 0);
        let mut sums = [[vdupq_n_s32(0); PAIRS]; P];
        let eights = p.padded / 8;
        for i in 0..eights {
            let line = w.add(i * 8 * PANEL);
            let ahead = w.wrapping_add(distance + 2 * i * step);
            prefetch(ahead);
            prefetch(ahead.wrapping_add(step));
            let rows = x.map(|[a, b]| vcombine_s8(vld1_s8(a.add(i * 8)), vld1_s8(b.add(i * 8))));
            for u in 0..PANEL / UNIT {
                let near = vld1q_s8(line.add(u * 16));
                let far = vld1q_s8(line.add(4 * PANEL + u * 16));
                add_columns(&mut sums, u, rows, near, far);
            }
        }
        if !p.padded.is_multiple_of(8) {
            let four = |from: *const i8| {
                let first = from.add(eights * 8).cast::<i32>().read_unaligned();
                vreinterpret_s8_s32(vset_lane_s32::<0>(first, vdup_n_s32(0)))
            };
            let rows = x.map(|[a, b]| vcombine_s8(four(a), four(b)));
            for u in 0..PANEL / UNIT {
                let near = vld1q_s8(w.add(eights * 8 * PANEL + u * 16));
                add_columns(&mut sums, u, rows, near, vdupq_n_s8(0));
            }
        }
        // Only the copy has an address, so the sums above stay in registers through the loop.
        let done = sums;
        store_tile(p, row, R, panel, &done);
    }
}

/// Adds the products of eight inputs of each row with `near`, the first four of four columns, and `far`, the next four.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn add_columns<const P: usize>(
    sums: &mut [[int32x4_t; PAIRS]; P],
    unit: usize,
    rows: [int8x16_t; P],
    near: int8x16_t,
    far: int8x16_t,
) {
    let (near, far) = (vreinterpretq_s32_s8(near), vreinterpretq_s32_s8(far));
    let columns = [vzip1q_s32(near, far), vzip2q_s32(near, far)];
    for (half, columns) in columns.into_iter().enumerate() {
        for (sums, rows) in sums.iter_mut().zip(rows) {
            let sum = &mut sums[2 * unit + half];
            *sum = matrix_product(*sum, rows, vreinterpretq_s8_s32(columns));
        }
    }
}

/// Stores the sums of `rows` rows from `row` on and of a panel. Out of line, so that they stay in registers before.
///
/// # Safety
/// As [`product_tile`].
#[inline(never)]
unsafe fn store_tile(p: &Int8Product<'_>, row: usize, rows: usize, panel: usize, sums: &[[int32x4_t; PAIRS]]) {
    for u in 0..PANEL / UNIT {
        // SAFETY: the caller's promise.
        let columns = unsafe { p.columns(panel * PANEL + u * UNIT) };
        for r in 0..rows {
            // SAFETY: as above.
            unsafe {
                let [left, right] = [0, 1].map(|half| vreinterpretq_s64_s32(sums[r / 2][2 * u + half]));
                let sums = if r % 2 == 0 { vzip1q_s64(left, right) } else { vzip2q_s64(left, right) };
                columns.store(row + r, vcvtq_f32_s32(vreinterpretq_s32_s64(sums)));
            }
        }
    }
}
