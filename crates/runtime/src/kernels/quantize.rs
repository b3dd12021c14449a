//! Symmetric 8-bit quantization: `value = scale * q` with `q` in -127..=127 and `scale` the largest magnitude / 127.

use rayon::prelude::*;

use strata_simd::simd;

use super::PANEL;
use crate::product::PackedWeights;
use crate::storage::Storage;

/// Adding it to a small number leaves the nearest integer, ties to even, in the low bits; taking it away again rounds.
const ROUND: f32 = 12_582_912.0;

/// Rows that are quantized by one thread at a time hold about this many values.
const GRAIN: usize = 1 << 14;

/// The scale of `row`, and what its values are multiplied by. NaN in the row makes both NaN.
#[inline(always)]
fn scale_of(row: &[f32]) -> (f32, f32) {
    // Magnitudes compare as integers, and NaN is above infinity. In whichever order: this loop becomes vector code.
    let largest = row.iter().map(|v| (v.to_bits() & 0x7fff_ffff) as i32).fold(0, i32::max);
    let largest = f32::from_bits(largest as u32);
    // A row of zeros, or of values so small that the factor would overflow, is zero.
    if largest < 1e-35 { (0.0, 0.0) } else { (largest / 127.0, 127.0 / largest) }
}

/// An integer for products of bytes: how a rounded number is stored.
pub(crate) trait Quantized: bytemuck::Pod + Send + Sync {
    /// From the bits of `q + ROUND`.
    fn from_rounded(bits: u32) -> Self;
}

impl Quantized for i16 {
    #[inline(always)]
    fn from_rounded(bits: u32) -> Self {
        bits as i16
    }
}

/// For the dot products of ARM, which are signed on both sides.
impl Quantized for i8 {
    #[inline(always)]
    fn from_rounded(bits: u32) -> Self {
        bits as i8
    }
}

/// Unsigned with 128 added.
impl Quantized for u8 {
    #[inline(always)]
    fn from_rounded(bits: u32) -> Self {
        bits as u8 ^ 0x80
    }
}

/// Quantizes `x` `[rows, inputs]` into `out` `[rows, padded]` (filled up with zeros) with `scales` `[rows]`.
pub(crate) fn quantize_rows<Q: Quantized>(
    x: &[f32],
    inputs: usize,
    padded: usize,
    out: &mut [Q],
    scales: &mut [f32],
    parallel: bool,
) {
    if inputs == 0 {
        return scales.fill(0.0);
    }
    let quantize = |x: &[f32], out: &mut [Q], scales: &mut [f32]| {
        simd(
            #[inline(always)]
            || {
                for ((x, out), scale) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(padded)).zip(scales) {
                    let factor;
                    (*scale, factor) = scale_of(x);
                    let (head, tail) = out.split_at_mut(inputs);
                    for (q, v) in head.iter_mut().zip(x) {
                        *q = Q::from_rounded((v * factor + ROUND).to_bits());
                    }
                    tail.fill(Q::from_rounded(ROUND.to_bits()));
                }
            },
        );
    };
    let rows = (GRAIN / inputs).max(1);
    if !parallel || scales.len() <= rows {
        return quantize(x, out, scales);
    }
    x.par_chunks(rows * inputs)
        .zip(out.par_chunks_mut(rows * padded))
        .zip(scales.par_chunks_mut(rows))
        .for_each(|((x, out), scales)| quantize(x, out, scales));
}

/// Quantizes and packs `weight` `[outputs, inputs]`.
pub(crate) fn pack_int8(weight: &[f32], outputs: usize, inputs: usize) -> PackedWeights {
    let padded = outputs.next_multiple_of(PANEL);
    let groups = inputs.div_ceil(4);
    let mut values = Storage::<i8>::zeros(padded * groups * 4);
    let (mut scales, mut sums) = (Storage::<f32>::zeros(padded), Storage::<i32>::zeros(padded));
    let (packed, column_scales, column_sums) = (values.as_mut(), scales.as_mut(), sums.as_mut());
    for o in 0..outputs {
        let row = &weight[o * inputs..][..inputs];
        let (scale, factor) = scale_of(row);
        column_scales[o] = scale;
        let panel = &mut packed[o / PANEL * groups * 4 * PANEL..][..groups * 4 * PANEL];
        for (i, w) in row.iter().enumerate() {
            let q = (w * factor + ROUND).to_bits() as i8;
            panel[i / 4 * 4 * PANEL + o % PANEL * 4 + i % 4] = q;
            column_sums[o] += i32::from(q);
        }
    }
    PackedWeights::Int8 { values, scales, sums }
}

#[cfg(test)]
mod tests {
    use strata_simd::testing::values;

    use super::*;

    #[test]
    fn rows_are_rounded_to_the_nearest_of_255_values() {
        for inputs in [1, 4, 17, 70] {
            let x = values(3 * inputs, 4);
            let padded = inputs.next_multiple_of(4);
            let (mut wide, mut bytes, mut scales) = (vec![-1i16; 3 * padded], vec![0u8; 3 * padded], [f32::NAN; 3]);
            let mut signed = vec![-1i8; 3 * padded];
            quantize_rows(&x, inputs, padded, &mut wide, &mut scales, false);
            quantize_rows(&x, inputs, padded, &mut signed, &mut scales, false);
            quantize_rows(&x, inputs, padded, &mut bytes, &mut scales, true);
            for r in 0..3 {
                let row = &x[r * inputs..][..inputs];
                let largest = row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                assert_eq!(scales[r], largest / 127.0);
                for i in 0..padded {
                    let q = wide[r * padded + i];
                    assert_eq!(i16::from(bytes[r * padded + i]), q + 128);
                    assert_eq!(i16::from(signed[r * padded + i]), q);
                    let exact = if i < inputs { row[i] * (127.0 / largest) } else { 0.0 };
                    assert!((f32::from(q) - exact).abs() <= 0.500_01 && q.abs() <= 127, "{q} of {exact}");
                }
            }
        }
    }

    #[test]
    fn zeros_and_nan_stay_what_they_are() {
        let (mut q, mut scales) = ([7i16; 8], [1.0f32; 2]);
        quantize_rows(&[0.0, 0.0, 0.0, 0.0, 1.0, f32::NAN, 2.0, 3.0], 4, 4, &mut q, &mut scales, false);
        assert_eq!((scales[0], &q[..4]), (0.0, [0i16; 4].as_slice()));
        assert!(scales[1].is_nan());
    }
}
