//! Matrix products over slices, by the `gemm` crate (which finds AVX2, AVX-512 and the like at run time).

use rayon::current_num_threads;

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
}

/// Whether a product runs on one thread or on all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// On the calling thread: for products inside a parallel loop.
    One,
    /// On all threads where the product is large enough to gain.
    All,
}

/// `out[m, n] = a[m, k] b[k, n]`, or with `add` `out += a b`; rows of `out` start `out_stride` values apart.
///
/// # Safety
/// `out` points to `m` rows of `n` values that nobody else touches; with `add` they are initialised.
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn multiply_to(
    out: *mut f32,
    out_stride: usize,
    add: bool,
    (m, n, k): (usize, usize, usize),
    a: Matrix,
    b: Matrix,
    scale: f32,
    threads: Threads,
) {
    assert!(a.covers(m, k) && b.covers(k, n), "a matrix is smaller than the product's shape");
    if m == 0 || n == 0 {
        return;
    }
    // Below about 2 million multiply-adds handing work to another thread costs more than it saves.
    let parallelism = if threads == Threads::All && current_num_threads() > 1 && m * n * k > 2_000_000 {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    // SAFETY: `out` is the caller's promise; the inputs cover the shape (asserted above).
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            out_stride as isize,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// A new row-major matrix `a[m, k] b[k, n]`.
pub(crate) fn multiply(shape: (usize, usize, usize), a: Matrix, b: Matrix, threads: Threads) -> Vec<f32> {
    let (m, n, _) = shape;
    // SAFETY: the product without `add` writes every value of the output.
    unsafe { crate::buffer::filled(m * n, |out| multiply_to(out, n, false, shape, a, b, 1.0, threads)) }
}

/// `out += a[m, k] b[k, n]` into a row-major matrix.
pub(crate) fn multiply_add(out: &mut [f32], shape: (usize, usize, usize), a: Matrix, b: Matrix, threads: Threads) {
    let (m, n, _) = shape;
    assert_eq!(out.len(), m * n, "the output holds m x n values");
    // SAFETY: `out` is m rows of n initialised values that this call borrows alone.
    unsafe { multiply_to(out.as_mut_ptr(), n, true, shape, a, b, 1.0, threads) }
}
