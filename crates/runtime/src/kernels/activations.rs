//! The activations that no product applies by itself.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use strata_recipe::Activation;
use strata_simd::{exp, simd};

/// Applies an activation to values in place. Each value's result depends on that value alone.
pub fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::Swish => each(values, |x| x * sigmoid(x)),
        Activation::Gelu => each(values, |x| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))),
        // (1 + tanh(z)) / 2 is sigmoid(2 z).
        Activation::GeluTanh => each(values, |x| x * sigmoid(FRAC_2_SQRT_PI * SQRT_2 * (x + 0.044_715 * x * x * x))),
        Activation::GeluSigmoid => each(values, |x| x * sigmoid(1.702 * x)),
    }
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function to within 3e-7: a rational approximation of least largest error on `[-3.83, 3.83]`, outside of
/// which it is 1 in f32 (the coefficients are those of XLA).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-3.832_507, 3.832_507);
    let y = x * x;
    let over = ((((2.290_506_6e-4 * y + 3.408_291e-3) * y + 5.095_569_5e-2) * y + 0.185_208_32) * y) + FRAC_2_SQRT_PI;
    let under =
        (((((-1.179_160_3e-7 * y + 2.354_796_6e-5) * y + 1.017_962_5e-3) * y + 1.407_047e-2) * y + 0.110_985_05) * y
            + 0.497_469_25)
            * y
            + 1.0;
    x * over / under
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    simd(
        #[inline(always)]
        || values.iter_mut().for_each(|value| *value = f(*value)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its Taylor series, exact enough where `x` is at most 4.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn every_activation_agrees_with_its_formula_in_f64() {
        let inputs: Vec<f32> = (-560..=560).map(|i| i as f32 / 100.0).collect();
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let formulas: [(Activation, &dyn Fn(f64) -> f64); 5] = [
            (Activation::Relu, &|x| x.max(0.0)),
            (Activation::Swish, &|x| x * sigmoid(x)),
            (Activation::Gelu, &|x| 0.5 * x * (1.0 + exact_erf(x / 2f64.sqrt()))),
            (Activation::GeluTanh, &|x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
            }),
            (Activation::GeluSigmoid, &|x| x * sigmoid(1.702 * x)),
        ];
        for (activation, formula) in formulas {
            let mut values = inputs.clone();
            activate(activation, &mut values);
            for (x, y) in inputs.iter().zip(&values) {
                let exact = formula(f64::from(*x));
                assert!((f64::from(*y) - exact).abs() < 2e-6, "{activation:?} of {x}: {y}, not {exact}");
            }
            // A value's bits do not depend on its place or its neighbors.
            for (i, x) in inputs.iter().enumerate().step_by(97) {
                let mut alone = [*x];
                activate(activation, &mut alone);
                assert_eq!(alone[0].to_bits(), values[i].to_bits(), "{activation:?} of {x}");
            }
            let mut extreme = [f32::INFINITY, 1e30, -1e30, f32::NAN];
            activate(activation, &mut extreme);
            assert!(extreme[3].is_nan() && extreme[1] > 1e29, "{activation:?}: {extreme:?}");
        }
    }
}
