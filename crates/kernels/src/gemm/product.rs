//! What a product is: its matrices, and what follows it.

use crate::buffer::Shared;
use crate::precision::MatmulPrecision;

/// A matrix to read: values and how far apart its rows and columns lie.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
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
    pub(super) fn at(&self, row: usize, column: usize) -> *const f32 {
        self.values.as_ptr().wrapping_add(row * self.row_stride + column * self.column_stride)
    }
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
    /// The output from its first value on.
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

    /// Panics if a matrix, the bias or the output is smaller than the product's shape.
    pub(super) fn check(&self) {
        let (m, n, k) = self.shape;
        assert!(self.a.covers(m, k) && self.b.covers(k, n), "a matrix is smaller than the product's shape");
        let fits = m == 0 || n == 0 || (m - 1) * self.out_stride + n <= self.out.len();
        assert!(fits && self.out_stride >= n, "the output is smaller than the product's shape");
        assert!(self.bias.is_none_or(|bias| bias.len() == n), "a bias has one value for each column");
        if let After::ReluGradient(output) = self.after {
            assert!(output.column_stride == 1 && output.covers(m, n), "a ReLU's output has the product's shape");
        }
    }

    /// Whether rows of `a` are read where they are: they lie in one run, and as the numbers that are multiplied.
    pub(super) fn in_place(&self, precision: MatmulPrecision) -> bool {
        self.a.column_stride == 1 && precision == MatmulPrecision::F32
    }
}
