//! Vectorisable pieces of arithmetic: a fast exponential, sums in a fixed order, softmax, dot products.

use super::level::simd;

/// e^x to within 2 units in the last place, without branches, so that loops over it become vector code.
///
/// Cody-Waite range reduction and a degree-6 polynomial (the coefficients of Cephes' `expf`). Below -87.3 the result
/// is 0 (where the true value is not a normal number any more); above 88.3 it is the value at 88.3.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    // Adding 1.5 * 2^23 rounds to the nearest integer, which then stands in the lowest bits.
    let shifted = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_65) * r
        + 0.5;
    let mantissa = p * r * r + r + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { mantissa * scale }
}

/// Strands of a sum.
pub(crate) const LANES: usize = 16;

/// The sum of lanes in a fixed tree.
#[inline(always)]
pub(crate) fn fold(mut lanes: [f32; LANES]) -> f32 {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

/// Sum of `map(i)` over `0..n` in 16 interleaved lanes: a fixed order that vectorises.
#[inline(always)]
pub(crate) fn sum(n: usize, map: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let blocks = n / LANES;
    for block in 0..blocks {
        for lane in 0..LANES {
            lanes[lane] += map(block * LANES + lane);
        }
    }
    let mut total = fold(lanes);
    for i in blocks * LANES..n {
        total += map(i);
    }
    total
}

/// Largest value of `row`, NaN apart; negative infinity for an empty one.
#[inline(always)]
pub(crate) fn max(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut blocks = row.chunks_exact(LANES);
    for block in &mut blocks {
        for (lane, v) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, *v);
        }
    }
    let head = lanes.iter().copied().fold(f32::NEG_INFINITY, larger);
    blocks.remainder().iter().copied().fold(head, larger)
}

/// The body of [`softmax`], to be inlined into vector code.
#[inline(always)]
pub(crate) fn softmax_row(row: &mut [f32]) {
    let top = max(row);
    for v in row.iter_mut() {
        *v = exp(*v - top);
    }
    let scale = 1.0 / sum(row.len(), |i| row[i]);
    for v in row.iter_mut() {
        *v *= scale;
    }
}

/// The body of [`dot`], to be inlined into vector code.
#[inline(always)]
pub(crate) fn dot_row(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let mut lanes = [0.0f32; LANES];
    let (mut a_blocks, mut b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut a_blocks).zip(&mut b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let mut total = fold(lanes);
    for (a, b) in a_blocks.remainder().iter().zip(b_blocks.remainder()) {
        total += a * b;
    }
    total
}

/// Turns a row of scores into probabilities in place.
pub fn softmax(row: &mut [f32]) {
    simd(
        #[inline(always)]
        || softmax_row(row),
    );
}

/// The sum of `a[i] * b[i]`.
///
/// # Panics
/// If `b` is shorter than `a`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    simd(
        #[inline(always)]
        || dot_row(a, b),
    )
}

/// `y += scale * x`, as far as both go.
pub fn axpy(scale: f32, x: &[f32], y: &mut [f32]) {
    simd(
        #[inline(always)]
        || y.iter_mut().zip(x).for_each(|(y, x)| *y += scale * x),
    );
}

/// `max(0, x)` in place; NaN stays.
pub fn relu(x: &mut [f32]) {
    simd(
        #[inline(always)]
        || x.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::values;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() <= 2.5e-7 * exact, "exp({x}) = {ours}, expected {exact}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn softmax_agrees_with_f64_and_handles_masks() {
        for n in [1, 7, 16, 37, 300] {
            let mut row: Vec<f32> = values(n, 5).iter().map(|v| v * 9.0).collect();
            let exact: Vec<f64> = row.iter().map(|v| f64::from(*v).exp()).collect();
            let total: f64 = exact.iter().sum();
            softmax(&mut row);
            for i in 0..n {
                assert!((f64::from(row[i]) - exact[i] / total).abs() < 1e-6, "{n} scores, {i}");
            }
        }
        let mut masked = [f32::NEG_INFINITY, 0.0, 0.0];
        softmax(&mut masked);
        assert_eq!(masked, [0.0, 0.5, 0.5]);
        softmax(&mut []);
    }

    #[test]
    fn vector_operations_agree_with_loops() {
        for n in [0, 1, 15, 16, 17, 64, 131] {
            let (a, b) = (values(n, 1), values(n, 2));
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(dot(&a, &b)) - exact).abs() < 1e-5);
            let mut y = b.clone();
            axpy(0.5, &a, &mut y);
            let mut positive = a.clone();
            relu(&mut positive);
            for i in 0..n {
                assert_eq!(y[i], b[i] + 0.5 * a[i]);
                assert_eq!(positive[i], a[i].max(0.0));
            }
        }
    }
}
