//! The sums of int8 products that each instruction level computes with.

use std::ops::Range;

use strata_simd::{Isa, Level};

#[cfg(target_arch = "aarch64")]
use super::int8_arm::{Dot, Halves};
#[cfg(target_arch = "aarch64")]
use super::int8_matrix::Matrices;
use super::int8_tiles::{Int8Product, run};
#[cfg(target_arch = "x86_64")]
use super::int8_x86::{Vnni256, Vnni512, Widened, Widened512};

/// How the rows of a product are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RowType {
    /// `i16`
    Wide,
    /// `u8` with 128 added
    #[cfg(target_arch = "x86_64")]
    Unsigned,
    /// `i8`
    #[cfg(target_arch = "aarch64")]
    Signed,
}

impl RowType {
    /// Bytes of a value.
    pub fn size(self) -> usize {
        if self == RowType::Wide { size_of::<i16>() } else { 1 }
    }
}

/// The type of rows that `level` takes.
pub(super) fn row_type(level: Level) -> RowType {
    match level.isa() {
        Isa::Portable => RowType::Wide,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => RowType::Wide,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni | Isa::Avx512Vnni | Isa::Avx512Bf16 => RowType::Unsigned,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::NeonDotprod | Isa::NeonI8mm => RowType::Signed,
    }
}

/// Computes `rows` and `panels` of `product` with the instructions of `level`.
///
/// # Safety
/// Rows and panels are within the product, whose slices have the sizes that its fields say and rows of the type that
/// the level takes, and no other thread writes them.
pub(super) unsafe fn piece(level: Level, product: &Int8Product<'_>, rows: Range<usize>, panels: Range<usize>) {
    match level.isa() {
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::Portable => unsafe { run::<[i32; 8]>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::Avx2 => unsafe { run::<Widened>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::AvxVnni => unsafe { run::<Vnni256>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::Avx512 => unsafe { run::<Widened512>(product, rows, panels) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::Avx512Vnni | Isa::Avx512Bf16 => unsafe { run::<Vnni512>(product, rows, panels) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::Neon => unsafe { run::<Halves>(product, rows, panels) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::NeonDotprod => unsafe { run::<Dot>(product, rows, panels) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the level says that the processor has the instructions; the rest is the caller's promise.
        Isa::NeonI8mm => unsafe { run::<Matrices>(product, rows, panels) },
    }
}
