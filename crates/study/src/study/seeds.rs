//! What runs with several seeds say: Student's paired t, and how many seeds a difference needs.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::ln_gamma;

/// Two-sided error of all tests here.
const ALPHA: f64 = 0.05;
/// How often a difference should be found where there is one.
const POWER: f64 = 0.8;
/// More seeds than anyone trains.
const MOST_SEEDS: usize = 1000;

/// Student's t over the paired differences of several seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedT {
    /// Standard deviation of the differences (n - 1).
    pub deviation: f64,
    /// Lower end of the 95 % interval of the mean difference.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Two-sided p of no difference.
    pub p: f64,
}

/// The test of `differences`, one of each seed; none with fewer than two.
pub(crate) fn paired_t(differences: &[f64]) -> Option<PairedT> {
    let n = differences.len() as f64;
    let t = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    let mean = differences.iter().sum::<f64>() / n;
    let deviation = (differences.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    let error = deviation / n.sqrt();
    let half = t.inverse_cdf(1.0 - ALPHA / 2.0) * error;
    // Equal differences leave no doubt, unless there is none.
    let p = match error > 0.0 {
        true => 2.0 * t.cdf(-(mean / error).abs()),
        false => f64::from(mean == 0.0),
    };
    Some(PairedT { deviation, low: mean - half, high: mean + half, p })
}

/// Pairs of runs with which a paired t-test at 5 % finds a mean `difference` with a power of 80 %, where differences of
/// single seeds deviate by `deviation`. None beyond any number that somebody trains.
pub(crate) fn seeds_needed(deviation: f64, difference: f64) -> Option<usize> {
    (2..=MOST_SEEDS).find(|n| power(*n, difference / deviation) >= POWER)
}

/// The power of a two-sided paired t-test with `n` pairs, where the mean difference is `effect` deviations.
fn power(n: usize, effect: f64) -> f64 {
    let freedom = n as f64 - 1.0;
    let (Ok(t), Ok(normal)) = (StudentsT::new(0.0, 1.0, freedom), Normal::new(0.0, 1.0)) else { return 0.0 };
    let (critical, shift) = (t.inverse_cdf(1.0 - ALPHA / 2.0), effect * (n as f64).sqrt());
    // The noncentral t: a normal variable over an independent chi / sqrt(freedom) = s, so the power is the mean over s.
    let constant = std::f64::consts::LN_2 + 0.5 * freedom * (0.5 * freedom).ln() - ln_gamma(0.5 * freedom);
    let at = |s: f64| {
        if s == 0.0 && freedom > 1.0 {
            return 0.0;
        }
        let density = (constant + (freedom - 1.0) * s.max(1e-300).ln() - 0.5 * freedom * s * s).exp();
        density * (normal.cdf(shift - critical * s) + normal.cdf(-shift - critical * s))
    };
    // Simpson's rule over all but a negligible part of s, whose deviation is about 1 / sqrt(2 freedom).
    let (steps, end) = (400, 1.0 + 8.0 / freedom.sqrt());
    let h = end / f64::from(steps);
    let weight = |i: i32| if i == 0 || i == steps { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=steps).map(|i| weight(i) * at(f64::from(i) * h)).sum::<f64>() * h / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() < within, "{found} {expected}");
    }

    /// By hand: mean 2, deviation sqrt(((-1)^2 + 0 + 1^2) / 2) = 1, t = 2 sqrt 3 with two degrees of freedom, whose
    /// distribution is known in closed form: P(|T| > t) = 1 - t / sqrt(t^2 + 2); its 97.5 % point is 4.302653.
    #[test]
    fn a_t_test_is_that_of_the_textbook() {
        let test = paired_t(&[1.0, 2.0, 3.0]).unwrap();
        let t = 2.0 * 3f64.sqrt();
        close(test.deviation, 1.0, 1e-12);
        close(test.p, 1.0 - t / (t * t + 2.0).sqrt(), 1e-9);
        let half = 4.302_652_73 / 3f64.sqrt();
        close(test.low, 2.0 - half, 1e-6);
        close(test.high, 2.0 + half, 1e-6);
        assert_eq!(paired_t(&[1.0]), None);
        assert_eq!(paired_t(&[]), None);
        assert_eq!((paired_t(&[0.5; 3]).unwrap().p, paired_t(&[0.0; 3]).unwrap().p), (0.0, 1.0));
    }

    #[test]
    fn the_power_without_an_effect_is_the_error_of_the_test() {
        for n in [2, 3, 10, 100] {
            close(power(n, 0.0), ALPHA, 1e-4);
        }
        assert!(power(3, 5.0) > power(3, 4.0) && power(4, 4.0) > power(3, 4.0));
        // Where n is large, the normal approximation: Phi(effect sqrt n - 1.96).
        let normal = Normal::new(0.0, 1.0).unwrap();
        close(power(400, 0.14), normal.cdf(0.14 * 20.0 - 1.959_964), 5e-3);
    }

    /// The numbers with which the second study was planned.
    #[test]
    fn seeds_needed_are_those_of_the_noncentral_t() {
        let needed = |difference| [0.004, 0.008, 0.012, 0.021].map(|d| seeds_needed(d, difference).unwrap());
        assert_eq!(needed(0.02), [3, 4, 6, 11]);
        assert_eq!(needed(0.01), [4, 8, 14, 37]);
        assert_eq!(seeds_needed(1.0, 1e-6), None);
        assert_eq!(seeds_needed(0.0, 0.01), Some(2));
    }
}
