//! Which examples a round of training holds: temperature sampling over directions, exact and without a generator's
//! state.
//!
//! A direction of n pairs is sampled in proportion to n^(1/T) (Arivazhagan et al., 2019). Instead of drawing directions
//! one by one, a round gives direction l exactly n_max * (n_l / n_max)^(1/T) examples: all pairs equally often
//! as far as that goes, and for the rest a new random choice in each round. T = 1 takes each pair once.

use xxhash_rust::xxh3::xxh3_64;

/// Examples of each direction in a round, for directions of `sizes` pairs; at least 1 where there is a pair.
pub fn examples_per_round(sizes: &[u64], temperature: f64) -> Vec<u64> {
    let largest = sizes.iter().copied().max().unwrap_or(0) as f64;
    let examples = |size: u64| match size {
        0 => 0,
        size => (largest * (size as f64 / largest).powf(1.0 / temperature)).round().max(1.0) as u64,
    };
    sizes.iter().map(|size| examples(*size)).collect()
}

/// A hash of all its arguments: looks random, and is the same on every machine.
pub(crate) fn hash(numbers: &[u64]) -> u64 {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// `examples` indices of `0..size`: each index `examples / size` times, and a random choice of them for the rest;
/// ascending within each pass.
pub(crate) fn places(size: u64, examples: u64, seed: u64) -> impl Iterator<Item = u64> {
    let (passes, rest) = (examples.checked_div(size).unwrap_or(0), examples.checked_rem(size).unwrap_or(0));
    let mut chosen: Vec<u64> = Vec::new();
    if rest > 0 {
        let mut keyed: Vec<(u64, u64)> = (0..size).map(|place| (hash(&[seed, place]), place)).collect();
        keyed.select_nth_unstable(rest as usize - 1);
        chosen = keyed[..rest as usize].iter().map(|(_, place)| *place).collect();
        chosen.sort_unstable();
    }
    (0..passes).flat_map(move |_| 0..size).chain(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_flattens() {
        assert_eq!(examples_per_round(&[100, 25, 4, 0], 1.0), [100, 25, 4, 0]);
        assert_eq!(examples_per_round(&[100, 25, 4, 0], 2.0), [100, 50, 20, 0]);
        assert_eq!(examples_per_round(&[100, 25, 4, 0], 1e9), [100, 100, 100, 0]);
        assert_eq!(examples_per_round(&[1_000_000, 1], 0.5), [1_000_000, 1]);
        assert_eq!(examples_per_round(&[], 1.0), [0u64; 0]);
    }

    #[test]
    fn every_pair_comes_evenly_and_the_rest_by_chance() {
        let of = |seed| places(10, 23, seed).collect::<Vec<_>>();
        let mut counts = [0; 10];
        of(1).iter().for_each(|place| counts[*place as usize] += 1);
        assert!(counts.iter().all(|count| (2..=3).contains(count)) && counts.iter().sum::<i32>() == 23);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(places(10, 10, 1).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(places(0, 0, 1).count(), 0);
    }
}
