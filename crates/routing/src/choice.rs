//! R3 and R5: which experts process a token at one gate, and how much each counts.

/// The most experts that a token uses at one gate. The paper uses 1 or 2; more serve finer experts (Dai et al., 2024).
pub const MOST_CHOICES: usize = 8;

/// Below this the sum of the kept probabilities counts as zero, so that a token whose choices were all dropped has
/// weights of zero instead of 0 / 0.
pub const SMALLEST_SUM: f32 = f32::EPSILON;

/// R3: the places of the `k` largest `scores` of one token, best first; ties go to the first. Scores are probabilities,
/// or anything that grows with them. Places behind the `k`-th are 0 and mean nothing.
#[inline]
pub fn choose(scores: &[f32], k: usize) -> [u32; MOST_CHOICES] {
    let mut chosen = [0; MOST_CHOICES];
    for choice in 0..k.min(MOST_CHOICES) {
        chosen[choice] = best(scores.iter().copied(), &chosen[..choice]);
    }
    chosen
}

/// R3 with all choices but the first sampled, as the authors' released code samples the second one in training: the
/// arg-max, without those chosen before, of the logarithm `ln p_e` plus `noise(e)`, where the noise is [`gumbel`]. So
/// they follow the probabilities of the remaining experts (the Gumbel-max trick).
#[inline]
pub fn choose_with_noise(logarithms: &[f32], k: usize, noise: impl Fn(usize) -> f32) -> [u32; MOST_CHOICES] {
    let mut chosen = choose(logarithms, 1);
    for choice in 1..k.min(MOST_CHOICES) {
        let noisy = logarithms.iter().enumerate().map(|(expert, value)| value + noise(expert));
        chosen[choice] = best(noisy, &chosen[..choice]);
    }
    chosen
}

/// Standard Gumbel noise made of a uniform random number in `0..1`.
pub fn gumbel(uniform: f32) -> f32 {
    -(-(uniform.max(1e-9)).ln()).ln()
}

/// The place of the first of the largest values, leaving out some places.
#[inline]
fn best(values: impl Iterator<Item = f32>, without: &[u32]) -> u32 {
    let mut best: Option<(u32, f32)> = None;
    for (place, value) in (0..).zip(values) {
        if best.is_none_or(|(_, most)| value > most) && !without.contains(&place) {
            best = Some((place, value));
        }
    }
    best.map_or(0, |(place, _)| place)
}

/// R5: turns the probabilities of a token's `k` choices, zero where the choice was dropped, into combine weights. Two
/// or more are weighted relative to each other; a single one keeps its probability, so that the gate gets a gradient
/// (Switch Transformer, Fedus et al., 2022).
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
        let chosen = |probabilities: &[f32], k: usize| choose(probabilities, k)[..k].to_vec();
        assert_eq!(chosen(&[0.2, 0.5, 0.3], 2), [1, 2]);
        assert_eq!(chosen(&[0.4, 0.4, 0.2], 2), [0, 1]);
        assert_eq!(chosen(&[0.1, 0.3, 0.3, 0.3], 2), [1, 2]);
        assert_eq!(chosen(&[0.2, 0.8], 1), [1]);
        assert_eq!(chosen(&[1.0], 1), [0]);
        assert_eq!(chosen(&[0.1, 0.25, 0.05, 0.2, 0.2, 0.05, 0.05, 0.1], 5), [1, 3, 4, 0, 7]);
        assert_eq!(choose(&[0.2, 0.8], 1)[1..], [0; MOST_CHOICES - 1]);
    }

    #[test]
    fn a_sampled_second_choice_follows_the_other_probabilities() {
        // A Weyl sequence, scrambled: evenly spread, the same in every run.
        let uniform = |i: u64| {
            let bits = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1u64 << 24) as f32
        };
        let seconds = (0..4000u64).map(|token| {
            let logarithms = [0.5f32, 0.4, 0.1].map(f32::ln);
            let [first, second, ..] = choose_with_noise(&logarithms, 2, |e| gumbel(uniform(3 * token + e as u64 + 1)));
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
        assert_eq!(weights(vec![0.5, 0.25, 0.0, 0.25]), [0.5, 0.25, 0.0, 0.25]);
    }

    #[test]
    fn masking_scales_by_what_is_left() {
        assert_eq!((output_scale(0.0), output_scale(0.25)), (1.0, 0.75));
    }
}
