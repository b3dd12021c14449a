//! Matrix products over slices: packed panels, tiles of sums in registers, and pieces that threads take as they get free.
//!
//! A product is cut into pieces of its output (rows x columns). A piece goes through the inner dimension in blocks: of
//! each block it packs some panels of `b`, and holds every strip of rows of `a` against them (Goto and van de Geijn,
//! 2008). What follows a product (bias, ReLU, mask of a ReLU's gradient) is done while its sums are in registers, and
//! the products of many experts are one list of pieces. Each output value is the same chain of operations
//! whatever the pieces, so that any number of threads gives the same bits.

mod level;
mod pack;
mod piece;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use rayon::current_num_threads;
use rayon::prelude::*;

use crate::buffer::{Shared, filled};
use crate::products::Products;
use level::Level;
use piece::Cut;

/// A matrix to read: values and how far apart its rows and columns lie.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix with rows of `columns` values.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: columns, column_stride: 1 }
    }

    /// A matrix whose rows start `stride` values apart, for a block of columns within wider rows.
    pub fn strided(values: &'a [f32], stride: usize) -> Self {
        Self { values, row_stride: stride, column_stride: 1 }
    }

    /// The same values read as the transposed matrix.
    pub fn transposed(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    fn covers(&self, rows: usize, columns: usize) -> bool {
        rows == 0
            || columns == 0
            || (rows - 1) * self.row_stride + (columns - 1) * self.column_stride < self.values.len()
    }

    /// The address of a value that [`Matrix::covers`].
    fn at(&self, row: usize, column: usize) -> *const f32 {
        self.values.as_ptr().wrapping_add(row * self.row_stride + column * self.column_stride)
    }
}

/// Whether a product runs on one thread or on all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// On the calling thread: for products inside a parallel loop.
    One,
    /// On all threads where the product is large enough to gain.
    All,
}

/// What is done to the sums of a product before they are stored.
#[derive(Clone, Copy)]
pub(crate) enum After<'a> {
    /// Nothing.
    Nothing,
    /// `max(0, value)`.
    Relu,
    /// Zero where the ReLU's output, a matrix of the product's shape, was not positive: the gradient before the ReLU.
    ReluGradient(Matrix<'a>),
}

/// `out = after(scale * a b + bias)`, or with `add` `out += scale * a b` and then bias and `after`.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// Rows and columns of the output, and the inner dimension: `a[m, k] b[k, n]`.
    pub shape: (usize, usize, usize),
    pub a: Matrix<'a>,
    pub b: Matrix<'a>,
    /// The first output value.
    pub out: Shared,
    /// How far apart the rows of the output start.
    pub out_stride: usize,
    /// Whether the product is added to what the output holds.
    pub add: bool,
    pub scale: f32,
    /// One value for each column.
    pub bias: Option<&'a [f32]>,
    pub after: After<'a>,
}

impl<'a> Product<'a> {
    /// `out = a[m, k] b[k, n]` with rows of `n` values.
    pub fn new(out: Shared, shape: (usize, usize, usize), a: Matrix<'a>, b: Matrix<'a>) -> Self {
        let after = After::Nothing;
        Self { shape, a, b, out, out_stride: shape.1, add: false, scale: 1.0, bias: None, after }
    }

    /// The same with a bias for each column, and what comes after it.
    pub fn then(self, bias: Option<&'a [f32]>, after: After<'a>) -> Self {
        Self { bias, after, ..self }
    }

    /// The same, added to what the output holds.
    pub fn added(self) -> Self {
        Self { add: true, ..self }
    }

    fn check(&self) {
        let (m, n, k) = self.shape;
        assert!(self.a.covers(m, k) && self.b.covers(k, n), "a matrix is smaller than the product's shape");
        assert!(self.bias.is_none_or(|bias| bias.len() == n), "a bias has one value for each column");
        if let After::ReluGradient(output) = self.after {
            assert!(output.column_stride == 1 && output.covers(m, n), "a ReLU's output has the product's shape");
        }
    }
}

/// Multiply-adds below which handing work to other threads costs more than it saves.
const WORTH_SHARING: usize = 500_000;

/// Computes all of `list`, in any order.
///
/// # Safety
/// Every output is `m` rows of `n` values, `out_stride` apart, that nobody else touches and no two products share; with
/// `add` they are initialised.
pub(crate) unsafe fn multiply_all(list: &[Product], numbers: Products, threads: Threads) {
    // SAFETY: the caller's promise; the level is one that this processor has.
    unsafe { multiply_at(Level::best(), list, numbers, threads) }
}

/// [`multiply_all`] with the instructions of `level`, which the processor must have.
unsafe fn multiply_at(level: Level, list: &[Product], numbers: Products, threads: Threads) {
    list.iter().for_each(Product::check);
    let work: usize = list.iter().map(|p| p.shape.0 * p.shape.1 * p.shape.2).sum();
    let threads = if threads == Threads::All && work > WORTH_SHARING { current_num_threads() } else { 1 };
    let cut = |product: &Product| {
        let (m, n, k) = product.shape;
        Cut::new(level, product, numbers, threads, (m * n * k) as f64 / work.max(1) as f64)
    };
    // SAFETY (both): the caller's promise, and a cut's pieces have outputs of their own.
    if threads > 1 {
        let pieces: Vec<_> = list.iter().flat_map(|p| cut(p).pieces().map(move |piece| (p, piece))).collect();
        pieces.into_par_iter().with_max_len(1).for_each(|(p, piece)| unsafe { level.piece(numbers, p, &piece) });
    } else {
        for product in list {
            cut(product).pieces().for_each(|piece| unsafe { level.piece(numbers, product, &piece) });
        }
    }
}

/// A new row-major matrix `after(a[m, k] b[k, n] + bias)`.
pub(crate) fn multiply_then(
    shape: (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    bias: Option<&[f32]>,
    after: After,
    numbers: Products,
) -> Vec<f32> {
    let (m, n, _) = shape;
    let fill = |out: *mut f32| {
        let product = Product::new(Shared::new(out), shape, a, b).then(bias, after);
        // SAFETY: the output is this call's own.
        unsafe { multiply_all(&[product], numbers, Threads::All) }
    };
    // SAFETY: a product without `add` writes every value of its output.
    unsafe { filled(m * n, fill) }
}

/// A new row-major matrix `a[m, k] b[k, n]`, computed on all threads.
pub(crate) fn multiply(shape: (usize, usize, usize), a: Matrix, b: Matrix, numbers: Products) -> Vec<f32> {
    multiply_then(shape, a, b, None, After::Nothing, numbers)
}
