//! The columns that each instruction level multiplies with.

use std::cell::RefCell;

#[cfg(target_arch = "x86_64")]
use strata_simd::Isa;
use strata_simd::{Level, Vectors};

#[cfg(target_arch = "aarch64")]
use super::arm::Neon;
use super::cut::Piece;
use super::piece::{Packed, run};
use super::product::Product;
use super::tile::{Columns, Plain};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512, Bf16};
use crate::precision::MatmulPrecision;

/// Rows and columns of a tile at `level`.
pub(super) fn tile_size(level: Level) -> (usize, usize) {
    fn of<C: Columns>() -> (usize, usize) {
        (C::ROWS, C::WIDTH)
    }
    match level.vectors() {
        Vectors::Portable => of::<Plain>(),
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx2 => of::<Avx2>(),
        #[cfg(target_arch = "x86_64")]
        Vectors::Avx512 => of::<Avx512>(), // bfloat16 has the same
        #[cfg(target_arch = "aarch64")]
        Vectors::Neon => of::<Neon>(),
    }
}

/// Computes one piece. Where the level has no bfloat16 products, operands are rounded to bfloat16 and multiplied as
/// f32, which is exact for two such numbers.
///
/// # Safety
/// The product's output is as [`super::multiply_all`] asks, and nobody else touches the piece.
pub(super) unsafe fn piece(level: Level, precision: MatmulPrecision, product: &Product, piece: &Piece) {
    let round = precision == MatmulPrecision::Bf16;
    match level.vectors() {
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Portable => unsafe { choose::<Plain>(round, product, piece) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx2 => unsafe { choose::<Avx2>(round, product, piece) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx512 if round && level.isa() == Isa::Avx512Bf16 => unsafe { with::<Bf16, true>(product, piece) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Avx512 => unsafe { choose::<Avx512>(round, product, piece) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Vectors::Neon => unsafe { choose::<Neon>(round, product, piece) },
    }
}

/// [`piece`] with the instructions of `C`.
///
/// # Safety
/// As [`piece`], and the processor has the instructions of `C`.
unsafe fn choose<C: Columns>(round: bool, product: &Product, piece: &Piece) {
    match round {
        // SAFETY: the caller's promise.
        true => unsafe { with::<C, true>(product, piece) },
        // SAFETY: the caller's promise.
        false => unsafe { with::<C, false>(product, piece) },
    }
}

/// [`piece`] with the instructions of `C`, and with or without rounding.
///
/// # Safety
/// As [`piece`], and the processor has the instructions of `C`.
unsafe fn with<C: Columns, const ROUND: bool>(product: &Product, piece: &Piece) {
    thread_local! {
        static PACKED: RefCell<Packed> = RefCell::default();
    }
    PACKED.with_borrow_mut(|packed| {
        // SAFETY: the caller's promise.
        unsafe {
            C::with(
                #[inline(always)]
                || run::<C, ROUND>(product, piece, packed),
            );
        }
    });
}
