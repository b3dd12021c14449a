//! The exponential, and the softmax of a row. The bodies are inlined into a caller's [`crate::simd`] closure.

use crate::sums::{LANES, fold, max};

/// e^x to within 2 units in the last place, without branches, so that loops over it become vector code.
///
/// Cody-Waite range reduction and a degree-6 polynomial (the coefficients of Cephes' `expf`). Below -87.3, where the
/// true value is subnormal, the result is 0; above 88.3 it is the value at 88.3.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the lowest bits.
    let shifted = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_65) * r
        + 0.5;
    let mantissa = p * r * r + r + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { mantissa * scale }
}

/// Turns scores into `e^(score - largest)` and gives back their sum.
#[inline(always)]
pub fn exponentials(row: &mut [f32], largest: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, rest) = row.as_chunks_mut::<LANES>();
    for block in blocks {
        for (lane, v) in lanes.iter_mut().zip(block) {
            *v = exp(*v - largest);
            *lane += *v;
        }
    }
    let mut total = fold(lanes);
    for v in rest {
        *v = exp(*v - largest);
        total += *v;
    }
    total
}

/// Turns a row of scores into probabilities in place.
#[inline(always)]
pub fn softmax(row: &mut [f32]) {
    let scale = 1.0 / exponentials(row, max(row));
    for v in row.iter_mut() {
        *v *= scale;
    }
}

/// `log(sum(exp(row)))` without overflow; negative infinity for an empty row.
#[inline(always)]
pub fn log_sum_exp(row: &[f32]) -> f32 {
    let top = max(row);
    let total = crate::sum(
        [row],
        #[inline(always)]
        |[v]| exp(v - top),
    );
    top + total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{same_bits_at_every_level, values};

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (
                f64::from(same_bits_at_every_level(
                    #[inline(always)]
                    || exp(x),
                )),
                f64::from(x).exp(),
            );
            assert!((ours - exact).abs() <= 2.5e-7 * exact, "exp({x}) = {ours}, expected {exact}");
        }
        assert_eq!((exp(f32::NEG_INFINITY), exp(0.0), exp(1e9)), (0.0, 1.0, exp(88.3)));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_agrees_with_f64_and_handles_masks() {
        for n in [1, 7, 16, 37, 300] {
            let row: Vec<f32> = values(n, 5).iter().map(|v| v * 9.0).collect();
            let exact: Vec<f64> = row.iter().map(|v| f64::from(*v).exp()).collect();
            let total: f64 = exact.iter().sum();
            let ours = same_bits_at_every_level(
                #[inline(always)]
                || {
                    let mut row = row.clone();
                    softmax(&mut row);
                    row
                },
            );
            for i in 0..n {
                assert!((f64::from(ours[i]) - exact[i] / total).abs() < 1e-6, "{n} scores, {i}");
            }
            let log_total = same_bits_at_every_level(
                #[inline(always)]
                || log_sum_exp(&row),
            );
            assert!((f64::from(log_total) - total.ln()).abs() < 1e-5, "{n} scores");
        }
        let mut masked = [f32::NEG_INFINITY, 0.0, 0.0];
        softmax(&mut masked);
        assert_eq!(masked, [0.0, 0.5, 0.5]);
        softmax(&mut []);
        assert_eq!(log_sum_exp(&[]), f32::NEG_INFINITY);
    }
}
