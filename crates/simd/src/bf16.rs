//! Rounding to bfloat16 and back: the upper half of an f32.

/// The nearest bfloat16 in the lower 16 bits, ties to even; NaN stays NaN. Loops over it become vector code.
#[inline(always)]
pub fn to_bf16(value: f32) -> u32 {
    let bits = value.to_bits();
    let upper = bits >> 16;
    // Above infinity lies NaN: rounding could carry it into a number, so it is cut off and made quiet instead.
    let nan = bits & 0x7fff_ffff > 0x7f80_0000;
    let rounded = bits.wrapping_add(0x7fff + (upper & 1)) >> 16;
    if nan { upper | 0x40 } else { rounded }
}

/// The value of a bfloat16 from its bits.
#[inline(always)]
pub fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_with_ties_to_even_and_keeps_what_is_no_number() {
        let back = |value: f32| from_bf16(to_bf16(value) as u16);
        let step = 2f32.powi(-7);
        for (value, expected) in [
            (0.0, 0.0),
            (-1.5, -1.5),
            (1.0 + step / 2.0, 1.0),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (1.0 + 0.6 * step, 1.0 + step),
            (f32::INFINITY, f32::INFINITY),
            (f32::MIN, f32::NEG_INFINITY),
        ] {
            assert_eq!(back(value), expected, "{value}");
        }
        for nan in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff, 0xff80_ffff] {
            assert!(back(f32::from_bits(nan)).is_nan(), "{nan:x}");
        }
    }
}
