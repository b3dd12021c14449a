//! Matrix products over slices: packed panels, tiles of sums in registers, and pieces that idle threads take.
//!
//! A product is cut into pieces of its output (rows x columns). A piece goes through the inner dimension in blocks: of
//! each block it packs some panels of `b`, and holds every strip of rows of `a` against them (Goto and van de Geijn,
//! 2008). What follows a product (bias, ReLU, mask of a ReLU's gradient) is done while its sums are in registers, and
//! the products of many experts are one list of pieces. Each output value is the same chain of operations whatever the
//! pieces, so any number of threads gives the same bits.

#[cfg(target_arch = "aarch64")]
mod arm;
mod cut;
mod dispatch;
mod pack;
mod piece;
mod product;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use rayon::current_num_threads;
use rayon::prelude::*;
use strata_simd::Level;

use crate::buffer::filled;
use crate::precision::MatmulPrecision;
use cut::Cut;
pub(crate) use product::{After, Matrix, Product};

/// Whether a product runs on one thread or on all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// On the calling thread: for products inside a parallel loop.
    One,
    /// On all threads where the product is large enough to gain.
    All,
}

/// Multiply-adds below which handing work to other threads costs more than it saves.
const WORTH_SHARING: usize = 500_000;

/// Computes all of `list`, in any order.
///
/// # Safety
/// Every output lives and is touched by nobody else, no two products share one, and with `add` its values are
/// initialized.
///
/// # Panics
/// If a matrix, a bias or an output is smaller than its product's shape.
pub(crate) unsafe fn multiply_all(list: &[Product], precision: MatmulPrecision, threads: Threads) {
    // SAFETY: the caller's promise.
    unsafe { multiply_at(Level::current(), list, precision, threads) }
}

/// [`multiply_all`] with the instructions of `level`.
///
/// # Safety
/// As [`multiply_all`].
unsafe fn multiply_at(level: Level, list: &[Product], precision: MatmulPrecision, threads: Threads) {
    list.iter().for_each(Product::check);
    let work: usize = list.iter().map(|p| p.shape.0 * p.shape.1 * p.shape.2).sum();
    let threads = if threads == Threads::All && work > WORTH_SHARING { current_num_threads() } else { 1 };
    let tile = dispatch::tile_size(level);
    let cut = |product: &Product| {
        let (m, n, k) = product.shape;
        Cut::new(tile, product, precision, threads, (m * n * k) as f64 / work.max(1) as f64)
    };
    // SAFETY: the caller's promise, and a cut's pieces have outputs of their own.
    let run = |product: &Product, piece| unsafe { dispatch::piece(level, precision, product, &piece) };
    if threads > 1 {
        let pieces: Vec<_> = list.iter().flat_map(|p| cut(p).pieces().map(move |piece| (p, piece))).collect();
        pieces.into_par_iter().with_max_len(1).for_each(|(p, piece)| run(p, piece));
    } else {
        list.iter().for_each(|p| cut(p).pieces().for_each(|piece| run(p, piece)));
    }
}

/// A new row-major matrix `after(a[m, k] b[k, n] + bias)`.
pub(crate) fn multiply_then(
    shape: (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    bias: Option<&[f32]>,
    after: After,
    precision: MatmulPrecision,
) -> Vec<f32> {
    let (m, n, _) = shape;
    // SAFETY: the output is this call's own, and a product without `add` writes all of it.
    unsafe {
        filled(m * n, |out| {
            multiply_all(&[Product::new(out, shape, a, b).then(bias, after)], precision, Threads::All);
        })
    }
}

/// A new row-major matrix `a[m, k] b[k, n]`, computed on all threads.
pub(crate) fn multiply(shape: (usize, usize, usize), a: Matrix, b: Matrix, precision: MatmulPrecision) -> Vec<f32> {
    multiply_then(shape, a, b, None, After::Nothing, precision)
}
