//! The best of a vocabulary.

use strata_simd::{max, simd};

/// Scores that are passed over at once if none is good enough.
const BLOCK: usize = 64;

/// `log(sum(exp(row)))`, without overflow.
pub fn log_sum_exp(row: &[f32]) -> f32 {
    simd(
        #[inline(always)]
        || strata_simd::log_sum_exp(row),
    )
}

/// The `k` largest values with their indices, best first; of equal ones the lower index first. Fewer if the row is
/// shorter or holds NaN.
pub fn top_k(row: &[f32], k: usize, out: &mut Vec<(u32, f32)>) {
    out.clear();
    if k == 0 {
        return;
    }
    simd(
        #[inline(always)]
        || {
            for (block, scores) in row.chunks(BLOCK).enumerate() {
                // Most blocks hold nothing that is good enough, which one pass of vector code finds out.
                if out.len() == k && max(scores) <= out[k - 1].1 {
                    continue;
                }
                for (i, score) in scores.iter().enumerate() {
                    if score.is_nan() || out.len() == k && *score <= out[k - 1].1 {
                        continue;
                    }
                    if out.len() == k {
                        out.pop();
                    }
                    let place = out.partition_point(|(_, better)| better >= score);
                    out.insert(place, ((block * BLOCK + i) as u32, *score));
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
    fn the_best_come_first_and_equal_ones_by_index() {
        let mut out = vec![(9, 9.0)];
        for n in [1, 3, 64, 65, 1000] {
            // Coarse values, so that many are equal.
            let row: Vec<f32> = values(n, 7).iter().map(|v| (v * 8.0).round()).collect();
            let total: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
            let mut sorted: Vec<u32> = (0..n as u32).collect();
            sorted.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
            assert!((f64::from(log_sum_exp(&row)) - total.ln()).abs() < 1e-5);
            for k in [1, 2, 5, 12] {
                top_k(&row, k, &mut out);
                assert_eq!(out.iter().map(|o| o.0).collect::<Vec<_>>(), sorted[..k.min(n)], "{k} best of {n}");
                assert!(out.iter().all(|(i, score)| *score == row[*i as usize]));
            }
        }
        top_k(&[], 3, &mut out);
        assert!(out.is_empty());
        top_k(&[1.0, f32::NEG_INFINITY, 1.0], 3, &mut out);
        assert_eq!(out.iter().map(|o| o.0).collect::<Vec<_>>(), [0, 2, 1]);
        assert_eq!(out[2].1, f32::NEG_INFINITY);
    }
}
