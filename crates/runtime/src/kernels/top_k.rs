//! The best of a vocabulary, and the logarithm of its sum: block by block, so that scores need not exist all at once.

use strata_simd::{exp, max, simd, sum};

/// Scores that are passed over at once if none is good enough.
const FEW: usize = 64;

/// What a block of scores adds to the sum of all exponentials.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Total {
    /// The largest score, NaN left out.
    pub top: f32,
    /// The sum of `exp(score - top)`; NaN if a score is NaN or positive infinity.
    pub sum: f32,
}

/// The total of a block.
pub fn total(scores: &[f32]) -> Total {
    simd(
        #[inline(always)]
        || {
            let top = max(scores);
            // Scores that are all forbidden add nothing.
            let shift = if top == f32::NEG_INFINITY { 0.0 } else { top };
            let sum = sum(
                [scores],
                #[inline(always)]
                |[score]| exp(score - shift),
            );
            Total { top, sum }
        },
    )
}

/// `log(sum(exp(score)))` of all scores, without overflow, from the totals of their blocks in order. It is not finite
/// if the sum is not.
pub fn log_sum_exp(totals: &[Total]) -> f32 {
    let top = totals.iter().fold(f32::NEG_INFINITY, |top, total| if total.top > top { total.top } else { top });
    let sum: f32 = totals.iter().map(|total| exp(total.top - top) * total.sum).sum();
    top + sum.ln()
}

/// Adds a block of scores, the first of which has the index `first`, to the `k` best of those before it, `best`: the
/// largest scores with their indices, best first; of equal ones the lower index first. NaN is left out.
pub fn top_k(scores: &[f32], first: u32, k: usize, best: &mut Vec<(u32, f32)>) {
    if k == 0 {
        return;
    }
    simd(
        #[inline(always)]
        || {
            for (block, scores) in scores.chunks(FEW).enumerate() {
                // Most blocks hold nothing that is good enough, which one pass of vector code finds out.
                if best.len() == k && max(scores) <= best[k - 1].1 {
                    continue;
                }
                for (i, score) in scores.iter().enumerate() {
                    keep(k, best, (first + (block * FEW + i) as u32, *score));
                }
            }
        },
    );
}

/// Puts a score, whose index is higher than all others, among the `k` best if it is one of them.
#[inline(always)]
pub fn keep(k: usize, best: &mut Vec<(u32, f32)>, (index, score): (u32, f32)) {
    if score.is_nan() || best.len() == k && score <= best[k - 1].1 {
        return;
    }
    if best.len() == k {
        best.pop();
    }
    let place = best.partition_point(|(_, better)| *better >= score);
    best.insert(place, (index, score));
}

#[cfg(test)]
mod tests {
    use strata_simd::testing::values;

    use super::*;

    /// The best and the logarithm of the sum of `row` in blocks.
    fn of_blocks(row: &[f32], block: usize, k: usize) -> (Vec<(u32, f32)>, f32) {
        let (mut best, mut totals) = (Vec::new(), Vec::new());
        for (i, scores) in row.chunks(block).enumerate() {
            totals.push(total(scores));
            top_k(scores, (i * block) as u32, k, &mut best);
        }
        (best, log_sum_exp(&totals))
    }

    #[test]
    fn the_best_come_first_and_equal_ones_by_index() {
        for n in [1, 3, 64, 65, 1000] {
            // Coarse values, so that many are equal.
            let row: Vec<f32> = values(n, 7).iter().map(|v| (v * 8.0).round()).collect();
            let exact: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
            let mut sorted: Vec<u32> = (0..n as u32).collect();
            sorted.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
            for (block, k) in [(1000, 1), (1000, 2), (7, 5), (128, 12)] {
                let (best, log_total) = of_blocks(&row, block, k);
                assert!((f64::from(log_total) - exact.ln()).abs() < 1e-5);
                assert_eq!(best.iter().map(|b| b.0).collect::<Vec<_>>(), sorted[..k.min(n)], "{k} best of {n}");
                assert!(best.iter().all(|(i, score)| *score == row[*i as usize]));
            }
        }
        assert_eq!(of_blocks(&[], 3, 3), (Vec::new(), f32::NEG_INFINITY));
        let (best, _) = of_blocks(&[1.0, f32::NEG_INFINITY, 1.0], 2, 3);
        assert_eq!(best, [(0, 1.0), (2, 1.0), (1, f32::NEG_INFINITY)]);
    }

    #[test]
    fn a_row_of_one_block_has_the_sum_of_the_whole_row() {
        let row = values(300, 3);
        let whole = simd(
            #[inline(always)]
            || strata_simd::log_sum_exp(&row),
        );
        assert_eq!(of_blocks(&row, 300, 1).1, whole);
    }

    #[test]
    fn blocks_without_scores_add_nothing_and_what_is_no_number_shows() {
        let (low, nan, high) = (f32::NEG_INFINITY, f32::NAN, f32::INFINITY);
        let close = |row: &[f32], exact: f32| assert!((of_blocks(row, 2, 1).1 - exact).abs() < 1e-6, "{row:?}");
        close(&[low, low, 0.0, 0.0, low, low], 2f32.ln());
        close(&[-90.0, -90.0, 80.0, 80.0], 80.0 + 2f32.ln());
        for row in [[low; 4], [nan; 4], [low, nan, 0.0, 0.0], [0.0, 0.0, low, nan], [0.0, 0.0, high, 0.0]] {
            assert!(!of_blocks(&row, 2, 1).1.is_finite(), "{row:?}");
        }
    }
}
