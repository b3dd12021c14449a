//! `ndarray.mean()` of contiguous floats: NumPy sums pairwise, in eight strands within blocks of 128.

use crate::statistics::Arithmetic;

/// The mean of `values`, which are singles under [`Arithmetic::Single`]. NaN for no values.
pub(crate) fn mean(values: &[f64], arithmetic: Arithmetic) -> f64 {
    arithmetic.round(pairwise_sum(values, arithmetic) / values.len() as f64)
}

fn pairwise_sum(values: &[f64], arithmetic: Arithmetic) -> f64 {
    let add = |a: f64, b: f64| arithmetic.round(a + b);
    match values.len() {
        0..8 => values.iter().fold(0.0, |sum, &x| add(sum, x)),
        8..=128 => {
            let mut blocks = values.chunks_exact(8);
            let mut strands = [0.0; 8];
            for block in &mut blocks {
                for (strand, &x) in strands.iter_mut().zip(block) {
                    *strand = add(*strand, x);
                }
            }
            let [a, b, c, d, e, f, g, h] = strands;
            let sum = add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h)));
            blocks.remainder().iter().fold(sum, |sum, &x| add(sum, x))
        }
        length => {
            let half = length / 2;
            let (left, right) = values.split_at(half - half % 8);
            add(pairwise_sum(left, arithmetic), pairwise_sum(right, arithmetic))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_numpy() {
        // numpy.mean of [1 / (i + 1) for i in range(n)] as float64 and float32.
        let expected: [(usize, f64, f64); 4] = [
            (5, 0.45666666666666667, 0.4566667079925537),
            (100, 0.05187377517639621, 0.05187378451228142),
            (1000, 0.007485470860550345, 0.007485471665859222),
            (10001, 0.000978672735331005, 0.0009786727605387568),
        ];
        for (n, double, single) in expected {
            let doubles: Vec<f64> = (0..n).map(|i| 1.0 / (i + 1) as f64).collect();
            let singles: Vec<f64> = doubles.iter().map(|&x| f64::from(x as f32)).collect();
            assert_eq!(mean(&doubles, Arithmetic::Exact), double, "{n}");
            assert_eq!(mean(&singles, Arithmetic::Single), single, "{n}");
        }
    }
}
