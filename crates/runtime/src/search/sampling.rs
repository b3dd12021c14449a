//! Drawing the next token: temperature, top-k and nucleus, from a generator without state.

use strata_simd::random::mix;

use crate::request::Sampling;

/// Buffers of draws.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Columns that can be drawn.
    columns: Vec<u32>,
    weights: Vec<f64>,
}

/// Columns looked at first for a nucleus; most nuclei are smaller.
const FIRST_LOOK: usize = 64;

/// Draws a column of `logits`; none if all are forbidden (minus infinity). See [`Sampling`] for the random number.
pub(super) fn draw(logits: &[f32], rules: &Sampling, sample: u32, step: u32, buffers: &mut Buffers) -> Option<u32> {
    let uniform = mix(mix(rules.seed, u64::from(sample)), u64::from(step)) as f64 / 2f64.powi(64);
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if top == f32::NEG_INFINITY {
        return None;
    }
    let weight = |column: u32| (f64::from(logits[column as usize] - top) / f64::from(rules.temperature)).exp();
    let Buffers { columns, weights } = buffers;
    let most = if rules.top_k == 0 { logits.len() } else { rules.top_k.min(logits.len()) };
    let sort = |count: usize, columns: &mut Vec<u32>| {
        let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        columns.clear();
        columns.extend(0..logits.len() as u32);
        if count < columns.len() {
            columns.select_nth_unstable_by(count, order);
            columns.truncate(count);
        }
        columns.sort_unstable_by(order);
    };
    if rules.top_p < 1.0 {
        let all: f64 = if most == logits.len() {
            (0..logits.len() as u32).map(weight).sum()
        } else {
            sort(most, columns);
            columns.iter().map(|column| weight(*column)).sum()
        };
        let mut count = FIRST_LOOK.min(most);
        loop {
            sort(count, columns);
            let mut sum = 0.0;
            let inside = columns.iter().position(|column| {
                sum += weight(*column);
                sum >= f64::from(rules.top_p) * all
            });
            if let Some(last) = inside {
                columns.truncate(last + 1);
                break;
            }
            if count == most {
                break;
            }
            count = (8 * count).min(most);
        }
    } else if most < logits.len() {
        sort(most, columns);
    } else {
        columns.clear();
        columns.extend(0..logits.len() as u32);
    }
    weights.clear();
    weights.extend(columns.iter().scan(0.0, |sum, column| {
        *sum += weight(*column);
        Some(*sum)
    }));
    let target = uniform * weights.last().copied().unwrap_or(0.0);
    // Forbidden columns weigh nothing and are passed over, except by rounding at the very end.
    let place = weights.partition_point(|sum| *sum <= target).min(weights.len() - 1);
    (0..=place).rev().map(|i| columns[i]).find(|column| logits[*column as usize] > f32::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(logits: &[f32], rules: Sampling) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        let draws = 20_000;
        let mut buffers = Buffers::default();
        for step in 0..draws {
            let column = draw(logits, &rules, 3, step, &mut buffers).expect("a column");
            counts[column as usize] += 1.0 / f64::from(draws);
        }
        counts
    }

    const PLAIN: Sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 7 };

    fn close(found: &[f64], expected: &[f64]) {
        // Four standard errors of 20,000 draws.
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 4.0 * (b * (1.0 - b) / 20_000.0).sqrt(), "{found:?} for {expected:?}");
        }
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let logits = [0.1f32, 0.2, 0.3, 0.4].map(f32::ln);
        close(&shares(&logits, PLAIN), &[0.1, 0.2, 0.3, 0.4]);
        // Halving the temperature squares the probabilities: 1, 4, 9, 16 of 30.
        close(&shares(&logits, Sampling { temperature: 0.5, ..PLAIN }), &[1.0, 4.0, 9.0, 16.0].map(|p| p / 30.0));
    }

    #[test]
    fn top_k_and_the_nucleus_cut_off_the_rest() {
        let logits = [0.1f32, 0.2, 0.3, 0.4].map(f32::ln);
        close(&shares(&logits, Sampling { top_k: 2, ..PLAIN }), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        close(&shares(&logits, Sampling { top_p: 0.65, ..PLAIN }), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        close(&shares(&logits, Sampling { top_p: 0.75, ..PLAIN }), &[0.0, 2.0 / 9.0, 3.0 / 9.0, 4.0 / 9.0]);
        // Relative to the three that top-k leaves, 7/9 > 0.75 is reached by two.
        let both = Sampling { top_k: 3, top_p: 0.75, ..PLAIN };
        close(&shares(&logits, both), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
    }

    #[test]
    fn a_nucleus_larger_than_the_first_look_is_found() {
        let logits = vec![0.0; 1000];
        let rules = Sampling { top_p: 0.25, ..PLAIN };
        let draw = |step| draw(&logits, &rules, 3, step, &mut Buffers::default()).expect("a column");
        let largest = (0..2000).map(draw).max();
        assert!(largest.is_some_and(|column| (240..250).contains(&column)), "the first 250 columns, not {largest:?}");
    }

    #[test]
    fn forbidden_columns_are_never_drawn() {
        let forbidden = f32::NEG_INFINITY;
        let found = shares(&[forbidden, 0.0, forbidden, 0.0, forbidden], PLAIN);
        assert_eq!([found[0], found[2], found[4]], [0.0; 3]);
        assert_eq!(draw(&[forbidden; 3], &PLAIN, 0, 0, &mut Buffers::default()), None);
    }
}
