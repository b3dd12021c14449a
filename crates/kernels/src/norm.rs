//! The size of a gradient.

use burn::backend::Flex;
use burn::tensor::Tensor;
use strata_simd::dot;

use crate::buffer::Shared;
use crate::flex::on_flex;
use crate::parallel::{for_rows, pieces, rows_per_piece};

/// Values whose squares make one of the numbers of [`partial_squares`].
pub const SQUARES_TOGETHER: usize = rows_per_piece(1);

/// Sums of the squares of each [`SQUARES_TOGETHER`] values, the last one of those that are left.
pub fn partial_squares(values: &[f32]) -> Vec<f32> {
    let mut partial = vec![0.0f32; pieces(values.len(), 1)];
    let out = Shared::new(&mut partial);
    for_rows(
        values.len(),
        1,
        #[inline(always)]
        |piece, first, count| {
            let values = &values[first..first + count];
            // SAFETY: each piece has a place of its own.
            unsafe { out.slice(piece, 1)[0] = dot(values, values) };
        },
    );
    partial
}

/// Sum of the squares of a plain tensor's values, on the CPU that of its [`partial_squares`] in their order; NaN or
/// infinite where a value is.
pub fn sum_of_squares(tensor: Tensor<1>) -> f64 {
    if !on_flex(&tensor.device()) {
        return f64::from(tensor.square().sum().into_scalar::<f32>());
    }
    let tensor = tensor.try_into_primitive::<Flex>().expect("a plain CPU tensor").to_contiguous();
    let start = tensor.layout().start_offset();
    let values = &tensor.storage::<f32>()[start..start + tensor.layout().num_elements()];
    partial_squares(values).iter().map(|v| f64::from(*v)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    #[test]
    fn equals_burns_sum() {
        for n in [0, 1, 100_003] {
            let x = random([n], 1).inner();
            let expected: f64 = x.clone().into_data().iter::<f32>().map(|v| f64::from(v) * f64::from(v)).sum();
            assert!((sum_of_squares(x) - expected).abs() <= 1e-5 * expected);
        }
        let nan = Tensor::<1>::from_floats([1.0, f32::NAN], &burn::tensor::Device::flex());
        assert!(sum_of_squares(nan).is_nan());
    }
}
