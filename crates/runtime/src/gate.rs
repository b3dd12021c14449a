//! A gate's decisions at inference: arg-max choices, no noise, no capacity limit.

/// The most experts that a token uses at one gate.
pub(crate) const MOST_CHOICES: usize = 2;

/// Below this the sum of the chosen probabilities counts as zero, as in training.
const SMALLEST_SUM: f32 = f32::EPSILON;

/// A token's choices at one gate, best first; the first `top_k` count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Choices {
    /// Places among the experts that the gate sees.
    pub experts: [u32; MOST_CHOICES],
    /// The gate's probabilities of those.
    pub probabilities: [f32; MOST_CHOICES],
    /// What their outputs are multiplied by.
    pub weights: [f32; MOST_CHOICES],
}

/// Chooses `top_k` experts by the `logits` of one token, which become probabilities; weights are multiplied by `scale`
/// (1, or 1 - rate with expert output masking).
pub(crate) fn choose(logits: &mut [f32], top_k: usize, scale: f32) -> Choices {
    softmax(logits);
    let mut choices = Choices::default();
    let first = best(logits, None);
    choices.experts[0] = first;
    choices.probabilities[0] = logits[first as usize];
    if top_k > 1 {
        let second = best(logits, Some(first));
        choices.experts[1] = second;
        choices.probabilities[1] = logits[second as usize];
    }
    choices.weights = choices.probabilities;
    if top_k > 1 {
        // A single choice keeps the probability itself as its weight (Switch); two are weighted relative to each other.
        let sum = choices.weights.iter().sum::<f32>().max(SMALLEST_SUM);
        choices.weights.iter_mut().for_each(|weight| *weight /= sum);
    }
    choices.weights.iter_mut().for_each(|weight| *weight *= scale);
    choices
}

/// The first of the largest values of `row`, leaving out one place.
fn best(row: &[f32], without: Option<u32>) -> u32 {
    let mut best: Option<usize> = None;
    for (expert, value) in row.iter().enumerate() {
        if Some(expert as u32) != without && best.is_none_or(|b| *value > row[b]) {
            best = Some(expert);
        }
    }
    best.unwrap_or(0) as u32
}

/// Logits of one row to probabilities, in place.
fn softmax(row: &mut [f32]) {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for value in row.iter_mut() {
        *value = (*value - top).exp();
        total += *value;
    }
    row.iter_mut().for_each(|value| *value /= total);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits<const N: usize>(probabilities: [f32; N]) -> [f32; N] {
        probabilities.map(f32::ln)
    }

    #[test]
    fn two_choices_are_weighted_relative_to_each_other_and_ties_go_to_the_first() {
        let choices = choose(&mut logits([0.1, 0.3, 0.3, 0.3]), 2, 1.0);
        assert_eq!(choices.experts, [1, 2]);
        assert!((choices.weights[0] - 0.5).abs() < 1e-6 && (choices.weights[1] - 0.5).abs() < 1e-6);
        assert!((choices.probabilities[1] - 0.3).abs() < 1e-6);
    }

    #[test]
    fn one_choice_keeps_its_probability_and_masking_scales() {
        let choices = choose(&mut logits([0.2, 0.8]), 1, 0.9);
        assert_eq!(choices.experts[0], 1);
        assert!((choices.weights[0] - 0.72).abs() < 1e-6);
        assert_eq!(choices.weights[1], 0.0);
    }

    #[test]
    fn a_gate_with_one_expert_and_two_choices_takes_it_once() {
        // Validation forbids more choices than visible experts; the weights stay finite even so.
        let choices = choose(&mut [1.0], 2, 1.0);
        assert!(choices.weights.iter().all(|w| w.is_finite()));
    }
}
