//! The arithmetic of inference: products with packed weights, and the small operations between them.
//!
//! Everything here computes a row's result from that row alone in one fixed order of operations, so that a sentence's
//! translation has the same bits in any batch and on any number of threads.

pub(crate) mod drive;
pub(crate) mod level;
pub(crate) mod quantise;

mod attention;
mod f32_tiles;
mod int8_tiles;
mod math;
mod norm;
#[cfg(test)]
pub(crate) mod testing;
mod top_k;
mod vector;

pub use attention::{AttentionScratch, KeysValues, attend, attend_all};
pub use math::{axpy, dot, relu, softmax};
pub use norm::layer_norm;
pub use top_k::{log_sum_exp, top_k, top_k_log_probabilities};

/// Output columns of a panel of packed weights.
pub const PANEL: usize = 16;
