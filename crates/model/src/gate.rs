//! A gate's decisions (spec steps 3 and 6), made on the host from the gate's probabilities.

use strata_recipe::SecondChoice;
use strata_simd::random::{mix, unit};

/// What a gate is to decide by.
pub(crate) struct Rules {
    /// Choices per token, no more than there are visible experts.
    pub k: usize,
    /// The most tokens that one expert takes; `None` is no limit.
    pub capacity: Option<usize>,
    /// How the second expert is chosen, with the seed of its noise; arg-max at inference.
    pub second: SecondChoice,
    /// Seed of the Gumbel noise.
    pub seed: u64,
}

/// What a gate decided; experts by their place among those it sees.
pub(crate) struct Decision {
    /// `[tokens * k]`: the choices of each token, best first, whether or not they were dropped.
    pub choices: Vec<u32>,
    /// `[tokens * k]`: whether the choice was kept.
    pub kept: Vec<bool>,
}

impl Decision {
    /// The first choice of each token.
    pub fn first(&self, k: usize) -> impl Iterator<Item = u32> + '_ {
        self.choices.iter().step_by(k).copied()
    }
}

/// Chooses experts for every token: `probabilities` `[tokens, visible]`, row-major.
pub(crate) fn decide(probabilities: &[f32], visible: usize, rules: &Rules) -> Decision {
    let tokens = probabilities.len() / visible;
    let k = rules.k;
    let mut choices = Vec::with_capacity(tokens * k);
    for (token, row) in probabilities.chunks_exact(visible).enumerate() {
        let first = best(row, None);
        choices.push(first);
        if k > 1 {
            choices.push(match rules.second {
                SecondChoice::Argmax => best(row, Some(first)),
                SecondChoice::Gumbel => {
                    let noisy: Vec<f32> = row
                        .iter()
                        .enumerate()
                        .map(|(e, p)| p.ln() + gumbel(rules.seed, (token * visible + e) as u64))
                        .collect();
                    best(&noisy, Some(first))
                }
            });
        }
    }
    let kept = match rules.capacity {
        None => vec![true; choices.len()],
        Some(capacity) => queue(&choices, k, visible, capacity),
    };
    Decision { choices, kept }
}

/// The first of the largest values of `row`, leaving out one place.
fn best(row: &[f32], without: Option<u32>) -> u32 {
    let mut best: Option<usize> = None;
    for (e, value) in row.iter().enumerate() {
        if Some(e as u32) != without && best.is_none_or(|b| *value > row[b]) {
            best = Some(e);
        }
    }
    best.unwrap_or(0) as u32
}

/// Who finds a place: all first choices in token order, then all second choices in token order; the dropped ones count.
fn queue(choices: &[u32], k: usize, visible: usize, capacity: usize) -> Vec<bool> {
    let mut length = vec![0usize; visible];
    let mut kept = vec![false; choices.len()];
    for choice in 0..k {
        for place in (choice..choices.len()).step_by(k) {
            let expert = choices[place] as usize;
            kept[place] = length[expert] < capacity;
            length[expert] += 1;
        }
    }
    kept
}

/// Standard Gumbel noise for place `index`.
fn gumbel(seed: u64, index: u64) -> f32 {
    let uniform = unit(mix(seed, index));
    -(-(uniform.max(1e-9)).ln()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(k: usize, capacity: Option<usize>) -> Rules {
        Rules { k, capacity, second: SecondChoice::Argmax, seed: 0 }
    }

    #[test]
    fn the_best_two_are_chosen_and_ties_go_to_the_first() {
        let decision = decide(&[0.2, 0.5, 0.3, 0.4, 0.4, 0.2], 3, &rules(2, None));
        assert_eq!(decision.choices, [1, 2, 0, 1]);
        assert!(decision.kept.iter().all(|kept| *kept));
    }

    #[test]
    fn first_choices_queue_before_second_ones_and_dropped_ones_count() {
        // Three tokens: first choices 0, 0, 1; second choices 1, 1, 0. One place at each expert.
        let decision = decide(&[0.6, 0.4, 0.7, 0.3, 0.1, 0.9], 2, &rules(2, Some(1)));
        assert_eq!(decision.choices, [0, 1, 0, 1, 1, 0]);
        assert_eq!(decision.kept, [true, false, false, false, true, false]);
    }

    #[test]
    fn gumbel_noise_never_takes_the_first_choice_twice_and_follows_the_probabilities() {
        let rows: Vec<f32> = (0..4000).flat_map(|_| [0.5, 0.4, 0.1]).collect();
        let noisy = Rules { second: SecondChoice::Gumbel, seed: 3, ..rules(2, None) };
        let decision = decide(&rows, 3, &noisy);
        let seconds: Vec<u32> = decision.choices.iter().skip(1).step_by(2).copied().collect();
        let ones = seconds.iter().filter(|s| **s == 1).count();
        assert!(seconds.iter().all(|s| *s != 0));
        // P(second = 1) = 0.4 / (0.4 + 0.1) = 0.8
        assert!((3050..3350).contains(&ones), "{ones} of 4,000 chose expert 1");
    }
}
