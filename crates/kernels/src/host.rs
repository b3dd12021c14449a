//! Values of tensors on the host.

use burn::tensor::Tensor;

/// The values of a tensor of floats in row-major order, without a copy where nobody else has it and it lies on the CPU.
///
/// # Panics
/// As [`Tensor::into_data`], if the device fails.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("floats of a device that can be read")
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::host;

    #[test]
    fn values_come_in_row_major_order() {
        let device = Device::flex();
        let tensor = Tensor::<2>::from_data([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &device);
        assert_eq!(host(tensor.clone().transpose()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(host(tensor.clone().slice([1..2, 1..3])), [5.0, 6.0]);
        assert_eq!(host(tensor), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
