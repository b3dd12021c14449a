//! Drawing the next token: temperature, top-k and nucleus. Random numbers depend on the request alone.
//!
//! Subword `t` (from 0) of translation `s` (from 0) is drawn by inverting the cumulative distribution at
//! `mix(mix(seed, s), t) / 2^64`, where `mix(seed, n)` is the n-th number of SplitMix64.

use strata_recipe::SearchOptions;
use strata_simd::random::mix;

/// Buffers of draws.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Columns that can be drawn.
    columns: Vec<u32>,
    /// Running sums of their weights.
    sums: Vec<f64>,
}

/// The columns to try first for a nucleus; most nuclei are smaller.
const FIRST_LOOK: usize = 64;

/// Draws a column of `logits` for token `step` of translation `sample`; none if all are forbidden (minus infinity).
pub(super) fn draw(
    logits: &[f32],
    options: &SearchOptions,
    sample: u32,
    step: u32,
    buffers: &mut Buffers,
) -> Option<u32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if top == f32::NEG_INFINITY {
        return None;
    }
    let weight = |column: u32| (f64::from(logits[column as usize] - top) / options.temperature).exp();
    let Buffers { columns, sums } = buffers;
    keep_probable(logits, options, weight, columns);
    sums.clear();
    sums.extend(columns.iter().scan(0.0, |sum, column| {
        *sum += weight(*column);
        Some(*sum)
    }));
    let uniform = mix(mix(options.seed, u64::from(sample)), u64::from(step)) as f64 / 2f64.powi(64);
    let target = uniform * sums.last().copied().unwrap_or(0.0);
    // Forbidden columns weigh nothing, so only rounding at the very end can choose one.
    let place = sums.partition_point(|sum| *sum <= target).min(sums.len() - 1);
    (0..=place).rev().map(|i| columns[i]).find(|column| logits[*column as usize] > f32::NEG_INFINITY)
}

/// Fills `columns` with those that top-k and the nucleus (Holtzman et al., 2020) leave.
fn keep_probable(logits: &[f32], options: &SearchOptions, weight: impl Fn(u32) -> f64, columns: &mut Vec<u32>) {
    let all = 0..logits.len() as u32;
    let most = if options.top_k == 0 { logits.len() } else { options.top_k.min(logits.len()) };
    if options.top_p >= 1.0 {
        if most < logits.len() {
            take_largest(logits, most, columns);
        } else {
            columns.clear();
            columns.extend(all);
        }
        return;
    }
    // The nucleus is relative to what top-k leaves.
    let total: f64 = if most == logits.len() {
        all.map(&weight).sum()
    } else {
        take_largest(logits, most, columns);
        columns.iter().map(|column| weight(*column)).sum()
    };
    let mut count = FIRST_LOOK.min(most);
    loop {
        take_largest(logits, count, columns);
        let mut sum = 0.0;
        let last = columns.iter().position(|column| {
            sum += weight(*column);
            sum >= options.top_p * total
        });
        match last {
            Some(last) => return columns.truncate(last + 1),
            None if count == most => return,
            None => count = (8 * count).min(most),
        }
    }
}

/// Fills `columns` with those of the `count` largest logits, largest first; among equals the first comes first.
fn take_largest(logits: &[f32], count: usize, columns: &mut Vec<u32>) {
    let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    columns.clear();
    columns.extend(0..logits.len() as u32);
    if count < columns.len() {
        columns.select_nth_unstable_by(count, order);
        columns.truncate(count);
    }
    columns.sort_unstable_by(order);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(logits: &[f32], options: SearchOptions) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        let draws = 20_000;
        let mut buffers = Buffers::default();
        for step in 0..draws {
            let column = draw(logits, &options, 3, step, &mut buffers).expect("a column");
            counts[column as usize] += 1.0 / f64::from(draws);
        }
        counts
    }

    fn plain() -> SearchOptions {
        SearchOptions { sample: true, seed: 7, ..SearchOptions::default() }
    }

    fn close(found: &[f64], expected: &[f64]) {
        // Four standard errors of 20,000 draws.
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= 4.0 * (b * (1.0 - b) / 20_000.0).sqrt(), "{found:?} for {expected:?}");
        }
    }

    #[test]
    fn frequencies_are_the_probabilities() {
        let logits = [0.1f32, 0.2, 0.3, 0.4].map(f32::ln);
        close(&shares(&logits, plain()), &[0.1, 0.2, 0.3, 0.4]);
        // Halving the temperature squares the probabilities: 1, 4, 9, 16 of 30.
        close(
            &shares(&logits, SearchOptions { temperature: 0.5, ..plain() }),
            &[1.0, 4.0, 9.0, 16.0].map(|p| p / 30.0),
        );
    }

    #[test]
    fn top_k_and_the_nucleus_cut_off_the_rest() {
        let logits = [0.1f32, 0.2, 0.3, 0.4].map(f32::ln);
        close(&shares(&logits, SearchOptions { top_k: 2, ..plain() }), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        close(&shares(&logits, SearchOptions { top_p: 0.65, ..plain() }), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        close(&shares(&logits, SearchOptions { top_p: 0.75, ..plain() }), &[0.0, 2.0 / 9.0, 3.0 / 9.0, 4.0 / 9.0]);
        // Relative to the three that top-k leaves, 7/9 > 0.75 is reached by two.
        let both = SearchOptions { top_k: 3, top_p: 0.75, ..plain() };
        close(&shares(&logits, both), &[0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
    }

    #[test]
    fn a_nucleus_larger_than_the_first_look_is_found() {
        let logits = vec![0.0; 1000];
        let options = SearchOptions { top_p: 0.25, ..plain() };
        let draw = |step| draw(&logits, &options, 3, step, &mut Buffers::default()).expect("a column");
        let largest = (0..2000).map(draw).max();
        assert!(largest.is_some_and(|column| (240..250).contains(&column)), "the first 250 columns, not {largest:?}");
    }

    #[test]
    fn forbidden_columns_are_never_drawn() {
        let forbidden = f32::NEG_INFINITY;
        let found = shares(&[forbidden, 0.0, forbidden, 0.0, forbidden], plain());
        assert_eq!([found[0], found[2], found[4]], [0.0; 3]);
        assert_eq!(draw(&[forbidden; 3], &plain(), 0, 0, &mut Buffers::default()), None);
    }
}
