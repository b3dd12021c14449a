//! R7 and its alternatives: when a token leaves a block.

/// How a token's way through the strata is decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exits {
    /// By its first choice, as the paper has it: on to the stratum behind that of the chosen expert.
    FirstChoice,
    /// Not at all: every token visits every stratum. What such a model gains, it gains by depth, not by dynamic
    /// capacity.
    Never,
    /// By chance: after each stratum a token moves on to the next with this probability. What such a model lacks, its
    /// gates know about tokens.
    Random {
        /// The probability of going on, `0..=1`; see [`go_on_for_capacity`].
        go_on: f64,
    },
}

/// The probability of going on with which a block of `strata` has the mean requested capacity `capacity` under
/// [`Exits::Random`]: the `p` with `1 + p + ... + p^(strata - 1) = capacity`.
pub fn go_on_for_capacity(strata: usize, capacity: f64) -> f64 {
    let requested = |p: f64| (0..strata).map(|visit| p.powi(visit as i32)).sum::<f64>();
    bisect(|p| requested(p) - capacity)
}

/// The place in `0..=1` where a rising function passes zero; an end where it does not.
pub(crate) fn bisect(rising: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if rising(middle) < 0.0 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// A number in `0..1` that depends on a token's hidden state and stratum alone, for [`Exits::Random`] at inference: a
/// translation must not depend on what is translated beside it, nor on when.
pub fn chance(stratum: usize, row: &[f32]) -> f32 {
    // FNV-1a over the bits, then the finalizer of MurmurHash3, whose upper bits depend on all others.
    let mut hash = row.iter().fold(0xcbf2_9ce4_8422_2325_u64 ^ stratum as u64, |h, v| {
        (h ^ u64::from(v.to_bits())).wrapping_mul(0x100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((hash ^ (hash >> 33)) >> 40) as f32 / (1u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requested_capacity_says_how_often_tokens_go_on() {
        assert!((go_on_for_capacity(2, 1.3) - 0.3).abs() < 1e-12);
        // 1 + p + p^2 = 1.75 at p = 1/2
        assert!((go_on_for_capacity(3, 1.75) - 0.5).abs() < 1e-12);
        assert!(go_on_for_capacity(4, 4.0) > 1.0 - 1e-9 && go_on_for_capacity(4, 1.0) < 1e-9);
    }

    #[test]
    fn chances_are_even_and_depend_on_every_number() {
        let rows: Vec<Vec<f32>> = (0..4000).map(|i| vec![i as f32 * 0.01, 1.0, -0.5]).collect();
        let below = |limit: f32| rows.iter().filter(|row| chance(0, row) < limit).count();
        for (limit, expected) in [(0.1, 400), (0.5, 2000), (0.9, 3600)] {
            assert!(below(limit).abs_diff(expected) < 120, "{limit}: {}", below(limit));
        }
        assert_eq!(chance(0, &[1.0, 2.0]), chance(0, &[1.0, 2.0]));
        assert_ne!(chance(0, &[1.0, 2.0]), chance(0, &[1.0, 2.000_001]));
        assert_ne!(chance(0, &[1.0, 2.0]), chance(1, &[1.0, 2.0]));
        assert!(rows.iter().all(|row| (0.0..1.0).contains(&chance(1, row))));
    }
}
