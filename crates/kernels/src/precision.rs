//! The precision of matrix products.

use burn::tensor::{FloatDType, Tensor};

/// The precision of the products with weights. Everything else (weights, sums, norms, softmaxes, losses) stays f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatmulPrecision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Operands, also those of the backward pass, are rounded to bfloat16; sums are kept in f32. Results are rounded
    /// too where a device's own product does so; on the CPU they stay f32.
    Bf16,
}

impl MatmulPrecision {
    /// `a[m, k] b[k, n]`.
    pub(crate) fn matmul(self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        match self {
            Self::F32 => a.matmul(b),
            Self::Bf16 => a.cast(FloatDType::BF16).matmul(b.cast(FloatDType::BF16)).cast(FloatDType::F32),
        }
    }
}
