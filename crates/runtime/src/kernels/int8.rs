//! The sums of int8 products that each instruction level computes with.

use std::ops::Range;

use strata_simd::{Isa, Level};

use super::int8_tiles::{Int8Product, run};
#[cfg(target_arch = "x86_64")]
use super::int8_x86::{Vnni256, Vnni512, Widened, Widened512};

/// Whether rows are `u8` with 128 added; otherwise they are `i16`.
pub(super) fn takes_unsigned(level: Level) -> bool {
    match level.isa() {
        Isa::Portable => false,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => false,
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni | Isa::Avx512Vnni | Isa::Avx512Bf16 => true,
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
    }
}
