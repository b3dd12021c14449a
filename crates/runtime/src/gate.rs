//! A gate's decision about one token at inference: no noise, no capacity limit. The rules are in [`strata_routing`].

use strata_routing::{MOST_CHOICES, choose, combine_weights};
use strata_simd::softmax;

/// A token's choices at one gate, best first; the first `k` count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Choices {
    /// Places among the experts that the gate sees.
    pub experts: [u32; MOST_CHOICES],
    /// The gate's probabilities of those.
    pub probabilities: [f32; MOST_CHOICES],
    /// What their outputs are multiplied by.
    pub weights: [f32; MOST_CHOICES],
}

/// Chooses `k` experts for one token, whose `logits` `[visible]` become probabilities. `scale` multiplies the weights;
/// `offsets` `[visible]`, if there are any, are added to the logits for the choice alone.
pub(crate) fn decide(logits: &mut [f32], k: usize, scale: f32, offsets: &[f32]) -> Choices {
    let experts = if offsets.is_empty() {
        softmax(logits);
        choose(logits, k)
    } else {
        logits.iter_mut().zip(offsets).for_each(|(logit, offset)| *logit += offset);
        let experts = choose(logits, k);
        logits.iter_mut().zip(offsets).for_each(|(logit, offset)| *logit -= offset);
        softmax(logits);
        experts
    };
    let mut choices = Choices { experts, ..Choices::default() };
    for (expert, probability) in choices.experts.iter().zip(&mut choices.probabilities).take(k) {
        *probability = logits[*expert as usize];
    }
    choices.weights = choices.probabilities;
    combine_weights(&mut choices.weights[..k]);
    choices.weights.iter_mut().for_each(|weight| *weight *= scale);
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits<const N: usize>(probabilities: [f32; N]) -> [f32; N] {
        probabilities.map(f32::ln)
    }

    #[test]
    fn two_choices_are_weighted_relative_to_each_other() {
        let choices = decide(&mut logits([0.1, 0.3, 0.3, 0.3]), 2, 1.0, &[]);
        assert_eq!(choices.experts[..2], [1, 2]);
        assert!((choices.weights[0] - 0.5).abs() < 1e-6 && (choices.weights[1] - 0.5).abs() < 1e-6);
        assert!((choices.probabilities[1] - 0.3).abs() < 1e-6);
    }

    #[test]
    fn one_choice_keeps_its_probability_and_masking_scales() {
        let choices = decide(&mut logits([0.2, 0.8]), 1, 0.9, &[]);
        assert_eq!(choices.experts[0], 1);
        assert!((choices.weights[0] - 0.72).abs() < 1e-6);
        assert_eq!(choices.weights[1], 0.0);
    }

    #[test]
    fn offsets_choose_and_do_not_weigh() {
        let choices = decide(&mut logits([0.6, 0.3, 0.1]), 2, 1.0, &[0.0, 0.0, 3.0]);
        assert_eq!(choices.experts[..2], [2, 0]);
        assert!((choices.weights[0] - 0.1 / 0.7).abs() < 1e-6, "{choices:?}");
    }

    #[test]
    fn a_gate_with_one_expert_and_two_choices_gives_it_all_the_weight() {
        // Validation forbids more choices than visible experts.
        let choices = decide(&mut [1.0], 2, 1.0, &[]);
        assert_eq!(choices.experts[0], 0);
        assert!((choices.weights.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{choices:?}");
    }
}
