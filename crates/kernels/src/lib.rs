//! The differentiable operations that a Mixture-of-Experts Transformer spends its time in.
//!
//! Each file is one operation in two forms: composed of ordinary Burn operations, which runs on every device, and a
//! fast one with a handwritten backward for Burn's CPU backend. Which one runs is decided by the tensor's device; the
//! tests hold the second against the first, values and gradients. Everything works on packed, ragged batches: the
//! tokens of all sentences one after another, no padding.

mod adam;
mod attention;
mod away;
mod buffer;
mod cross_entropy;
mod dropout;
mod experts;
mod flex;
mod gemm;
mod host;
mod layer_norm;
mod linear;
mod mask;
mod norm;
mod parallel;
mod precision;
mod rows;
mod tap;
#[cfg(test)]
mod testing;

pub use adam::{AdamStep, Moments, adam};
pub use attention::{AttentionShape, Offsets, attention};
pub use cross_entropy::{CrossEntropy, cross_entropy};
pub use dropout::{add_dropout, dropout};
pub use experts::{Dispatch, ExpertWeights, HiddenDropout, mask_dropped};
pub use flex::on_flex;
pub use host::host;
pub use layer_norm::layer_norm;
pub use linear::{Activation, linear};
pub use norm::{SQUARES_TOGETHER, partial_squares, sum_of_squares};
pub use precision::MatmulPrecision;
pub use rows::{Rows, embed, gather_rows, replace_rows};
pub use tap::{Leaf, tap};

#[cfg(test)]
mod level_tests {
    #[test]
    fn all_tests_pass_at_every_level() {
        strata_simd::testing::repeat_tests_at_every_level();
    }
}
