//! Symmetric 8-bit quantization: `value = scale * q` with `q` in -127..=127 and `scale` the largest magnitude / 127;
//! weights that were quantized before keep the scale that they had.

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

/// The step of weights that are whole multiples of one, -127 to 127 times: those of a model that was quantized with one
/// scale for each matrix, and then widened. Among so many values some are one step.
fn step_of(weight: &[f32]) -> Option<f32> {
    let magnitudes = || weight.iter().map(|w| w.abs()).filter(|w| *w != 0.0);
    let step = magnitudes().reduce(f32::min)?;
    let within = |times: f32| times < 127.5 && (times - times.round()).abs() < 1e-3;
    (step > 1e-35 && magnitudes().all(|w| within(w / step))).then_some(step)
}

/// Quantizes and packs `weight` `[outputs, inputs]`, `maps` matrices of the same shape one under another. A matrix that
/// was quantized before, with one scale, has the same integers again and no new rounding; in others each row has a
/// scale.
pub(crate) fn pack_int8(weight: &[f32], outputs: usize, inputs: usize, maps: usize) -> PackedWeights {
    let each = outputs / maps.max(1);
    let steps: Vec<Option<f32>> = weight.chunks((each * inputs).max(1)).map(step_of).collect();
    let padded = outputs.next_multiple_of(PANEL);
    let groups = inputs.div_ceil(4);
    let mut values = Storage::<i8>::zeros(padded * groups * 4);
    let (mut scales, mut sums) = (Storage::<f32>::zeros(padded), Storage::<i32>::zeros(padded));
    let (packed, column_scales, column_sums) = (values.as_mut(), scales.as_mut(), sums.as_mut());
    for o in 0..outputs {
        let row = &weight[o * inputs..][..inputs];
        let step = steps.get(o / each.max(1)).copied().flatten();
        let (scale, factor) = step.map_or_else(|| scale_of(row), |step| (step, 1.0 / step));
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

    /// What an int8 map makes of its weights: integers `[outputs, inputs]`, and the scale of each output.
    fn unpacked(weight: &[f32], outputs: usize, inputs: usize, maps: usize) -> (Vec<i8>, Vec<f32>) {
        let PackedWeights::Int8 { values, scales, .. } = pack_int8(weight, outputs, inputs, maps) else {
            panic!("not int8");
        };
        let at = |o: usize, i: usize| ((o / PANEL * inputs.div_ceil(4) + i / 4) * PANEL + o % PANEL) * 4 + i % 4;
        let integers = (0..outputs * inputs).map(|k| values[at(k / inputs, k % inputs)]).collect();
        (integers, scales[..outputs].to_vec())
    }

    #[test]
    fn what_was_quantized_before_keeps_its_integers_and_scales() {
        let (outputs, inputs) = (40, 70);
        // Two matrices with a scale each; rows that use little of the range; none uses all of it.
        let integer = |k: usize| ((k * 37 + k / 70 * 11) % 201) as i32 - 100;
        let integers: Vec<i8> = (0..outputs * inputs).map(|k| (integer(k) / (1 + k as i32 / 70 % 5)) as i8).collect();
        for multipliers in [[93.7f32, 1.3], [0.011, 5e6]] {
            let of = |k: usize| multipliers[k / (outputs / 2 * inputs)];
            let weight: Vec<f32> = integers.iter().enumerate().map(|(k, q)| f32::from(*q) / of(k)).collect();
            let (found, scales) = unpacked(&weight, outputs, inputs, 2);
            assert_eq!(found, integers);
            for (o, scale) in scales.iter().enumerate() {
                assert_eq!(*scale, 1.0 / of(o * inputs));
            }
            // One value that is no multiple: each row of its matrix has its own scale.
            let mut other = weight.clone();
            other[5] *= 1.3;
            let (_, scales) = unpacked(&other, outputs, inputs, 2);
            let largest = other[inputs..2 * inputs].iter().fold(0.0f32, |m, w| m.max(w.abs()));
            assert_eq!((scales[1], scales[outputs - 1]), (largest / 127.0, 1.0 / multipliers[1]));
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
