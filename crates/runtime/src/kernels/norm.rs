//! Layer norm of rows.

use strata_simd::{simd, sum};

/// `out = (x - mean) / sqrt(variance + eps) * gamma + beta` for each row of `x` `[rows, d]`, with `gamma` and `beta`
/// `[d]`.
///
/// # Panics
/// For slices of other sizes.
pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, out: &mut [f32]) {
    let d = gamma.len();
    assert!(beta.len() == d && x.len() == out.len() && x.len().is_multiple_of(d.max(1)), "layer norm of width {d}");
    if d == 0 {
        return;
    }
    simd(
        #[inline(always)]
        || {
            for (x, out) in x.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
                let mean = sum([x], |[v]| v) / d as f32;
                let variance = sum([x], |[v]| (v - mean) * (v - mean)) / d as f32;
                let scale = 1.0 / (variance + eps).sqrt();
                for (((out, x), g), b) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
                    *out = (x - mean) * scale * g + b;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use strata_simd::testing::values;

    use super::*;

    #[test]
    fn layer_norm_agrees_with_f64() {
        for d in [1, 3, 16, 37, 130] {
            let (x, gamma, beta) = (values(5 * d, 1), values(d, 2), values(d, 3));
            let mut out = vec![f32::NAN; 5 * d];
            layer_norm(&x, &gamma, &beta, 1e-5, &mut out);
            for (x, out) in x.chunks(d).zip(out.chunks(d)) {
                let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / d as f64;
                let variance = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / d as f64;
                for i in 0..d {
                    let exact =
                        (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(gamma[i]) + f64::from(beta[i]);
                    assert!((f64::from(out[i]) - exact).abs() < 1e-5, "d {d}, {i}: {} and {exact}", out[i]);
                }
            }
        }
        layer_norm(&[], &[], &[], 1e-5, &mut []);
    }
}
