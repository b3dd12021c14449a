//! Where the results of a product go, and what happens to them on the way.

use strata_simd::{Floats, WIDEST};

/// Where results go.
#[derive(Clone, Copy)]
pub(super) struct Output {
    /// Row `r` starts `r * stride` values on.
    pub out: *mut f32,
    /// Distance of rows.
    pub stride: usize,
    /// Number of columns.
    pub outputs: usize,
    pub relu: bool,
    pub accumulate: bool,
}

// SAFETY: pieces on different threads write different elements.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// Stores one row's results `values` of the columns from `first`, as far as there are columns.
    ///
    /// # Safety
    /// The processor has the instructions of `F`; `row` is one of the rows, and no other thread writes there.
    #[inline(always)]
    pub unsafe fn store<F: Floats>(self, row: usize, first: usize, mut values: F) {
        if first >= self.outputs {
            return;
        }
        // SAFETY: the caller's promise; `outputs - first` columns are there.
        unsafe {
            if self.relu {
                values = values.relu();
            }
            let out = self.out.add(row * self.stride + first);
            if self.outputs - first < F::LANES {
                let mut some = [0.0; WIDEST];
                values.store(some.as_mut_ptr());
                return store_some(out, &some[..self.outputs - first], self.accumulate);
            }
            if self.accumulate {
                values = F::load(out).add(values);
            }
            values.store(out);
        }
    }
}

/// The end of a row; out of line, so that the common case stays short, and without the output, so that it has no
/// address and stays in registers.
///
/// # Safety
/// All of `values` have their place at `out`.
#[cold]
#[inline(never)]
unsafe fn store_some(out: *mut f32, values: &[f32], accumulate: bool) {
    for (i, v) in values.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { *out.add(i) = if accumulate { *out.add(i) + v } else { *v } };
    }
}
