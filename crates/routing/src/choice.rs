//! R3 and R5: which experts process a token at one gate, and how much each counts.

/// The most experts that a token uses at one gate: `k` is 1 or 2.
pub const MOST_CHOICES: usize = 2;

/// Below this the sum of the kept probabilities counts as zero, so that a token whose choices were all dropped has
/// weights of zero instead of 0 / 0.
pub const SMALLEST_SUM: f32 = f32::EPSILON;

/// R3: the places of the `k` largest `probabilities` of one token, best first; ties go to the first. With `k = 1` the
/// second place of the result is 0 and means nothing.
#[inline]
pub fn choose(probabilities: &[f32], k: usize) -> [u32; MOST_CHOICES] {
    let first = best(probabilities.iter().copied(), None);
    let second = if k > 1 { best(probabilities.iter().copied(), Some(first)) } else { 0 };
    [first, second]
}

/// R3 with two choices, the second one sampled as the authors' released code does in training: the arg-max, without the
/// first choice, of `ln p_e + noise(e)`, where the noise is [`gumbel`]. So the second choice follows the probabilities
/// of the remaining experts (the Gumbel-max trick).
#[inline]
pub fn choose_with_noise(probabilities: &[f32], noise: impl Fn(usize) -> f32) -> [u32; MOST_CHOICES] {
    let first = best(probabilities.iter().copied(), None);
    let noisy = probabilities.iter().enumerate().map(|(expert, p)| p.ln() + noise(expert));
    [first, best(noisy, Some(first))]
}

/// Standard Gumbel noise made of a uniform random number in `0..1`.
pub fn gumbel(uniform: f32) -> f32 {
    -(-(uniform.max(1e-9)).ln()).ln()
}

/// The place of the first of the largest values, leaving out one place.
fn best(values: impl Iterator<Item = f32>, without: Option<u32>) -> u32 {
    let mut best: Option<(u32, f32)> = None;
    for (place, value) in (0..).zip(values) {
        if Some(place) != without && best.is_none_or(|(_, most)| value > most) {
            best = Some((place, value));
        }
    }
    best.map_or(0, |(place, _)| place)
}

/// R5: turns the probabilities of a token's `k` choices, zero where the choice was dropped, into combine weights. Two
/// are weighted relative to each other; a single one keeps its probability, so that the gate gets a gradient (Switch
/// Transformer, Fedus et al., 2022).
#[inline]
pub fn combine_weights(probabilities: &mut [f32]) {
    if probabilities.len() > 1 {
        let sum = probabilities.iter().sum::<f32>().max(SMALLEST_SUM);
        probabilities.iter_mut().for_each(|p| *p /= sum);
    }
}

/// What the experts' combined output is multiplied by at inference when training masks it with probability `mask_rate`
/// (expert output masking): the share of it that training sees on average.
pub fn output_scale(mask_rate: f64) -> f32 {
    1.0 - mask_rate as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_two_are_chosen_and_ties_go_to_the_first() {
        assert_eq!(choose(&[0.2, 0.5, 0.3], 2), [1, 2]);
        assert_eq!(choose(&[0.4, 0.4, 0.2], 2), [0, 1]);
        assert_eq!(choose(&[0.1, 0.3, 0.3, 0.3], 2), [1, 2]);
        assert_eq!(choose(&[0.2, 0.8], 1), [1, 0]);
        assert_eq!(choose(&[1.0], 1), [0, 0]);
    }

    #[test]
    fn a_sampled_second_choice_follows_the_other_probabilities() {
        // A Weyl sequence, scrambled: evenly spread, the same in every run.
        let uniform = |i: u64| {
            let bits = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1u64 << 24) as f32
        };
        let seconds = (0..4000u64).map(|token| {
            let [first, second] = choose_with_noise(&[0.5, 0.4, 0.1], |e| gumbel(uniform(3 * token + e as u64 + 1)));
            assert_eq!(first, 0, "noise never touches the first choice");
            second
        });
        let seconds: Vec<u32> = seconds.collect();
        assert!(seconds.iter().all(|second| *second != 0), "no expert is chosen twice");
        // P(second = 1) = 0.4 / (0.4 + 0.1) = 0.8
        let ones = seconds.iter().filter(|second| **second == 1).count();
        assert!((3050..3350).contains(&ones), "{ones} of 4,000 chose expert 1");
    }

    #[test]
    fn gumbel_noise_is_finite_and_has_its_median() {
        assert!(gumbel(0.0).is_finite() && gumbel(1.0 - f32::EPSILON / 2.0).is_finite());
        // The median of Gumbel(0, 1) is -ln(ln 2).
        assert!((gumbel(0.5) - 0.366_512_9).abs() < 1e-6);
    }

    #[test]
    fn two_weights_are_relative_and_one_is_the_probability() {
        let weights = |mut p: Vec<f32>| {
            combine_weights(&mut p);
            p
        };
        assert_eq!(weights(vec![0.6, 0.2]), [0.75, 0.25]);
        assert_eq!(weights(vec![0.0, 0.2]), [0.0, 1.0]); // the first choice was dropped
        assert_eq!(weights(vec![0.0, 0.0]), [0.0, 0.0]); // both were
        assert_eq!(weights(vec![0.8]), [0.8]);
    }

    #[test]
    fn masking_scales_by_what_is_left() {
        assert_eq!((output_scale(0.0), output_scale(0.25)), (1.0, 0.75));
    }
}
