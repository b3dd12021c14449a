//! Numbers that are not finite, found by the bits of their exponents.

use safetensors::Dtype;

use crate::tensors::TensorView;

/// Bytes looked at together: the loop over them has no branch, so that it runs at the speed of memory.
const BLOCK: usize = 1 << 14;

/// The place and value of a tensor's first number that is NaN or infinite; none in a tensor of integers.
pub(crate) fn first_fault(tensor: TensorView<'_>) -> Option<(usize, f32)> {
    let bytes = tensor.bytes;
    match tensor.dtype {
        Dtype::F32 => {
            const EXPONENT: u32 = 0x7f80_0000;
            let at = first(bytes, |four: [u8; 4]| u32::from_le_bytes(four) & EXPONENT == EXPONENT)?;
            Some((at, f32::from_le_bytes(number(bytes, at)?)))
        }
        Dtype::BF16 => {
            const EXPONENT: u16 = 0x7f80;
            let at = first(bytes, |two: [u8; 2]| u16::from_le_bytes(two) & EXPONENT == EXPONENT)?;
            Some((at, f32::from_bits(u32::from(u16::from_le_bytes(number(bytes, at)?)) << 16)))
        }
        Dtype::F16 => {
            const EXPONENT: u16 = 0x7c00;
            let at = first(bytes, |two: [u8; 2]| u16::from_le_bytes(two) & EXPONENT == EXPONENT)?;
            let bits = u32::from(u16::from_le_bytes(number(bytes, at)?));
            // Sign, an exponent of ones, and what tells NaN from infinity.
            Some((at, f32::from_bits((bits & 0x8000) << 16 | 0x7f80_0000 | (bits & 0x3ff) << 13)))
        }
        _ => None,
    }
}

/// The place of the first number of `N` bytes that is at fault.
fn first<const N: usize>(bytes: &[u8], is_fault: impl Fn([u8; N]) -> bool) -> Option<usize> {
    let faulty = |block: &[u8]| block.as_chunks::<N>().0.iter().fold(false, |found, number| found | is_fault(*number));
    let block = bytes.chunks(BLOCK).position(faulty)?;
    let within = bytes[block * BLOCK..].as_chunks::<N>().0.iter().position(|number| is_fault(*number))?;
    Some(block * (BLOCK / N) + within)
}

/// The bytes of number `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.as_chunks::<N>().0.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(dtype: Dtype, bytes: &[u8]) -> Option<(usize, String)> {
        first_fault(TensorView { dtype, shape: &[], bytes }).map(|(at, value)| (at, value.to_string()))
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_found_in_every_type() {
        for (value, words) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            for at in [0, 1, 4095, 4096, 9998] {
                let expected = Some((at, words.to_string()));
                let mut values = vec![f32::MAX; 9999];
                assert_eq!(fault(Dtype::F32, bytemuck::cast_slice(&values)), None);
                (values[at], values[9998]) = (value, value);
                assert_eq!(fault(Dtype::F32, bytemuck::cast_slice(&values)), expected);
                let bf16 = |value: f32| (value.to_bits() >> 16) as u16;
                let mut halves: Vec<u16> = vec![bf16(-1.5); 9999];
                assert_eq!(fault(Dtype::BF16, bytemuck::cast_slice(&halves)), None);
                (halves[at], halves[9998]) = (bf16(value), bf16(value));
                assert_eq!(fault(Dtype::BF16, bytemuck::cast_slice(&halves)), expected);
                let f16 = if value.is_nan() {
                    0x7e00
                } else if value > 0.0 {
                    0x7c00
                } else {
                    0xfc00
                };
                let mut halves: Vec<u16> = vec![0xfbff; 9999];
                assert_eq!(fault(Dtype::F16, bytemuck::cast_slice(&halves)), None);
                (halves[at], halves[9998]) = (f16, f16);
                assert_eq!(fault(Dtype::F16, bytemuck::cast_slice(&halves)), expected);
            }
        }
        assert_eq!(fault(Dtype::I32, &[0xff; 64]), None);
    }
}
