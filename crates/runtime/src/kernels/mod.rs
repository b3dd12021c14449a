//! The arithmetic of inference: products with packed weights, and the small operations between them.
//!
//! Everything here computes a row's result from that row alone in one fixed order of operations, so that a sentence's
//! translation has the same bits in any batch and on any number of threads.

pub(crate) mod drive;
pub(crate) mod quantize;

mod activations;
mod attention;
mod float_tiles;
mod int8;
#[cfg(target_arch = "aarch64")]
mod int8_arm;
#[cfg(target_arch = "aarch64")]
mod int8_matrix;
mod int8_tiles;
#[cfg(target_arch = "x86_64")]
mod int8_x86;
mod norm;
mod output;
mod ssru;
mod tiling;
mod top_k;

pub use activations::activate;
pub use attention::{AttentionScratch, KeysValues, Scores, attend, attend_all};
pub(crate) use float_tiles::{Bf16Lines, F32Lines};
pub use norm::layer_norm;
pub use ssru::ssru;
pub use top_k::{Total, keep, log_sum_exp, top_k, total};

use crate::product::PANEL;

#[cfg(test)]
mod level_tests {
    #[test]
    fn all_tests_pass_at_every_level() {
        strata_simd::testing::repeat_tests_at_every_level();
    }
}
