//! The instruction sets that products are compiled for, and the choice among them at run time.

use std::cell::RefCell;
use std::sync::OnceLock;

use super::Product;
use super::piece::{Packed, Piece, run};
use super::tile::{Columns, Plain};
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::products::Products;

/// Instructions that a product may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// What every processor of the target has.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX-512 F with products of pairs of bfloat16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
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
                if is_x86_feature_detected!("avx512f") {
                    levels.push(Level::Avx512);
                    if is_x86_feature_detected!("avx512bf16") {
                        levels.push(Level::Avx512Bf16);
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

    /// Rows and columns of a tile.
    pub fn tile(self) -> (usize, usize) {
        fn of<C: Columns>() -> (usize, usize) {
            (C::ROWS, C::WIDTH)
        }
        match self {
            Level::Portable => of::<Plain>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => of::<x86::Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => of::<x86::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 => of::<x86::Bf16>(),
        }
    }

    /// Computes one piece. Where the processor has no bfloat16 products, operands are rounded to bfloat16 and multiplied
    /// as f32, which is exact for two such numbers.
    ///
    /// # Safety
    /// The processor has this level; the product's output is as [`super::multiply_all`] asks.
    pub unsafe fn piece(self, numbers: Products, product: &Product, piece: &Piece) {
        thread_local! {
            static PACKED: RefCell<Packed> = RefCell::default();
        }
        let round = numbers == Products::Bf16;
        // SAFETY (all): the caller's promise.
        PACKED.with_borrow_mut(|packed| match self {
            Level::Portable if round => unsafe { run::<Plain, true>(product, piece, packed) },
            Level::Portable => unsafe { run::<Plain, false>(product, piece, packed) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 if round => unsafe { x86::avx2::<true>(product, piece, packed) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { x86::avx2::<false>(product, piece, packed) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 if round => unsafe { x86::avx512_bf16(product, piece, packed) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 if round => unsafe { x86::avx512::<true>(product, piece, packed) },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Bf16 => unsafe { x86::avx512::<false>(product, piece, packed) },
        })
    }
}
