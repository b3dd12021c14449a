//! What a gate decides for the tokens that visit it: their experts, on the host, and the weights of those experts'
//! outputs, as tensors, because the gate learns from their gradients. The rules themselves are in [`strata_routing`].

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};
use strata_kernels::mask_dropped;
use strata_ranks::Ranks;
use strata_routing::{
    MOST_CHOICES, SMALLEST_SUM, capacity, choose, choose_with_noise, gumbel, kept, kept_in_part, queued_by_others,
};
use strata_simd::random::{mix, unit};

use crate::forward::{AtGate, Forward, gathered};
use crate::trace::GateTrace;

/// How a gate decides.
pub(crate) struct Rules {
    /// `k`: experts of each token.
    pub choices: usize,
    /// Experts that the gate sees.
    pub visible: usize,
    /// The capacity of each expert as a multiple of the paper's; `None` is no limit.
    pub capacity_factor: Option<f64>,
    /// Seed of the noise by which choices after the first are sampled; `None` takes the best.
    pub noise: Option<u64>,
    /// What is added to the logarithm of each visible expert's probability before choosing, `[visible]`; empty for
    /// nothing.
    pub offsets: Vec<f32>,
}

/// The masks of training on the outputs of experts: each output of a token by itself, and all of a token's.
#[derive(Clone, Copy)]
pub(crate) struct Masks {
    /// Expert output masking: the probability that one expert's output of a token is zeroed.
    pub eom: f64,
    /// Final output masking: the probability that all of a token's are.
    pub fom: f64,
    /// What the outputs are multiplied by at inference.
    pub inference_scale: f32,
}

/// What a gate decided for its tokens.
pub(crate) struct Decision {
    /// `[tokens * k]`: each token's experts, best first, as places among those that the gate sees; dropped ones
    /// included.
    pub choices: Vec<u32>,
    /// `[tokens * k]`: whether the expert had room.
    pub kept: Vec<bool>,
    /// `k`
    pub per_token: usize,
    /// Where the batch is split: first choices of the whole batch, by expert that the gate sees.
    first_of_all: Option<Vec<u32>>,
    /// Tokens of the parts before this one.
    before: usize,
}

impl Decision {
    /// Decides for every token, given the gate's `probabilities` `[tokens, visible]`, row by row. The tokens are those
    /// `at` the gate that this rank has, of a batch that is split among `ranks` if there are any.
    pub fn new(probabilities: &[f32], rules: &Rules, at: AtGate, ranks: Option<&Ranks>) -> Self {
        let &Rules { choices: k, visible, .. } = rules;
        let tokens = probabilities.len() / visible;
        let mut choices = Vec::with_capacity(tokens * k);
        let mut scores = vec![0.0; visible];
        for (token, row) in probabilities.chunks_exact(visible).enumerate() {
            let noise = rules.noise.filter(|_| k > 1);
            if noise.is_some() || !rules.offsets.is_empty() {
                let offsets = rules.offsets.iter().copied().chain(std::iter::repeat(0.0));
                scores.iter_mut().zip(row).zip(offsets).for_each(|((score, p), offset)| *score = p.ln() + offset);
            } else {
                scores.copy_from_slice(row);
            }
            let first = (at.before + token) * visible;
            let experts: [u32; MOST_CHOICES] = match noise {
                Some(seed) => choose_with_noise(&scores, k, |e| gumbel(unit(mix(seed, (first + e) as u64)))),
                None => choose(&scores, k),
            };
            choices.extend_from_slice(&experts[..k]);
        }
        let counts = ranks.map(|ranks| {
            let mut counts = vec![0u32; k * visible];
            let each = choices.iter().enumerate();
            each.for_each(|(place, expert)| counts[place % k * visible + *expert as usize] += 1);
            (gathered(ranks, &counts), ranks.rank())
        });
        let room = rules.capacity_factor.map(|factor| capacity(factor, k, at.tokens, visible));
        let kept = match (room, &counts) {
            (None, _) => vec![true; choices.len()],
            (Some(room), None) => kept(&choices, k, visible, room),
            (Some(room), Some((counts, rank))) => {
                kept_in_part(&choices, k, visible, room, &queued_by_others(counts, *rank, k, visible))
            }
        };
        let sum = |counts: &[Vec<u32>]| (0..visible).map(|e| counts.iter().map(|count| count[e]).sum()).collect();
        let first_of_all = counts.map(|(counts, _)| sum(&counts));
        debug_assert!(at.before + tokens <= at.tokens);
        Self { choices, kept, per_token: k, first_of_all, before: at.before }
    }

    /// The first choice of each token.
    pub fn first(&self) -> impl Iterator<Item = u32> + '_ {
        self.choices.iter().step_by(self.per_token).copied()
    }

    /// `[tokens * k]`: the experts that take part, by their index in a block whose expert `first_visible` is the first
    /// that the gate sees.
    pub fn experts(&self, first_visible: usize) -> Vec<Option<u32>> {
        let choices = self.choices.iter().zip(&self.kept);
        choices.map(|(expert, kept)| kept.then_some(first_visible as u32 + expert)).collect()
    }

    /// The decision of the gate of `stratum` in sums, for a block of `experts` of which it sees `visible`.
    pub fn trace(&self, stratum: usize, experts: usize, visible: Range<usize>, probabilities: &[f32]) -> GateTrace {
        let mut chosen = vec![0; experts];
        self.choices.iter().for_each(|expert| chosen[visible.start + *expert as usize] += 1);
        let mut first = vec![0; visible.len()];
        self.first().for_each(|expert| first[expert as usize] += 1);
        GateTrace {
            stratum,
            tokens: self.choices.len() / self.per_token,
            first,
            chosen,
            dropped: self.kept.iter().filter(|kept| !**kept).count(),
            entropy: probabilities.iter().map(|p| f64::from(-p * p.max(1e-30).ln())).sum(),
        }
    }

    /// The balance loss of the gate, [`strata_routing::balance_loss`] with the gradient of `probabilities`
    /// `[tokens, visible]`; `[1]`. Of a part of a batch, it is what the part adds to that of the whole.
    pub fn balance_loss(&self, probabilities: Tensor<2>) -> Tensor<1> {
        let [tokens, visible] = probabilities.dims();
        if let Some(first) = &self.first_of_all {
            let all = first.iter().sum::<u32>() as f32;
            let share: Vec<f32> = first.iter().map(|first| *first as f32 / all).collect();
            let share = Tensor::<2>::from_data(TensorData::new(share, [1, visible]), &probabilities.device());
            return (probabilities.sum_dim(0) / all * share).sum() * visible as f32;
        }
        let mut share = vec![0.0f32; visible];
        self.first().for_each(|expert| share[expert as usize] += 1.0 / tokens as f32);
        let share = Tensor::<2>::from_data(TensorData::new(share, [1, visible]), &probabilities.device());
        (probabilities.mean_dim(0) * share).sum() * visible as f32
    }

    /// Combine weights `[tokens, k]`, [`strata_routing::combine_weights`] with the gradient of `probabilities`
    /// `[tokens, visible]`, masked.
    pub fn combine_weights(&self, probabilities: Tensor<2>, masks: Masks, forward: &mut Forward) -> Tensor<2> {
        let ([tokens, _], k) = (probabilities.dims(), self.per_token);
        let choices: Vec<i32> = self.choices.iter().map(|c| *c as i32).collect();
        let choices = Tensor::<2, Int>::from_data(TensorData::new(choices, [tokens, k]), &probabilities.device());
        let mut weights = probabilities.gather(1, choices);
        if self.kept.iter().any(|kept| !kept) {
            weights = mask_dropped(weights, &self.experts(0));
        }
        if k > 1 {
            weights = weights.clone() / weights.sum_dim(1).clamp_min(SMALLEST_SUM);
        }
        if !forward.is_training() {
            return if masks.inference_scale == 1.0 { weights } else { weights * masks.inference_scale };
        }
        if masks.eom > 0.0 {
            let keep =
                keep_rows(self.before * k, tokens * k, masks.eom, forward.next_seed(), &weights).reshape([tokens, k]);
            weights = weights * keep;
        }
        if masks.fom > 0.0 {
            let keep = keep_rows(self.before, tokens, masks.fom, forward.next_seed(), &weights);
            weights = weights * keep;
        }
        weights
    }

    /// The probability `[tokens, 1]` that a token goes on, where `leads_on` `[visible]` says of each expert whether
    /// choosing it first does.
    pub fn go_on(&self, probabilities: Tensor<2>, leads_on: impl Iterator<Item = bool>) -> Tensor<2> {
        let [_, visible] = probabilities.dims();
        let leads_on: Vec<f32> = leads_on.map(f32::from).collect();
        let leads_on = Tensor::<2>::from_data(TensorData::new(leads_on, [1, visible]), &probabilities.device());
        (probabilities * leads_on).sum_dim(1)
    }
}

/// `[n, 1]` of ones and, with probability `rate`, zeros, on the device of `like`, for the rows from `first` on.
pub(crate) fn keep_rows(first: usize, n: usize, rate: f64, seed: u64, like: &Tensor<2>) -> Tensor<2> {
    let limit = (rate * u64::MAX as f64) as u64;
    let keep: Vec<f32> =
        (first as u64..(first + n) as u64).map(|i| if mix(seed, i) < limit { 0.0 } else { 1.0 }).collect();
    Tensor::from_data(TensorData::new(keep, [n, 1]), &like.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use strata_kernels::host;

    use super::*;

    /// Five tokens at a gate that sees three experts.
    const PROBABILITIES: [f32; 15] = [0.6, 0.3, 0.1, 0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.5, 0.1, 0.4, 0.2, 0.3, 0.5];

    /// The batch is not split.
    const WHOLE: AtGate = AtGate { before: 0, tokens: 5, visited: true };

    fn decide(k: usize, capacity_factor: Option<f64>, noise: Option<u64>) -> Decision {
        let rules = Rules { choices: k, visible: 3, capacity_factor, noise, offsets: vec![] };
        Decision::new(&PROBABILITIES, &rules, WHOLE, None)
    }

    fn tensor() -> Tensor<2> {
        Tensor::from_data(TensorData::new(PROBABILITIES.to_vec(), [5, 3]), &Device::flex())
    }

    #[test]
    fn choices_are_kept_while_their_experts_have_room() {
        let free = decide(2, None, None);
        assert_eq!(free.choices, [0, 1, 0, 1, 1, 0, 0, 2, 2, 1]);
        assert!(free.kept.iter().all(|kept| *kept));
        assert_eq!(free.first().collect::<Vec<_>>(), [0, 0, 1, 0, 2]);
        // Capacity 0.5 * 2 * ceil(5 / 3) = 2: the third first choice of expert 0 is dropped, and with it every second
        // choice that comes to a full queue.
        let limited = decide(2, Some(0.5), None);
        assert_eq!(limited.choices, free.choices);
        assert_eq!(limited.kept, [true, true, true, false, true, false, false, true, true, false]);
        assert_eq!(limited.experts(4)[..4], [Some(4), Some(5), Some(4), None]);
        let trace = limited.trace(1, 7, 4..7, &PROBABILITIES);
        assert_eq!((trace.tokens, trace.dropped, trace.chosen), (5, 4, vec![0, 0, 0, 0, 4, 4, 2]));
        assert_eq!((trace.stratum, trace.first), (1, vec![3, 1, 1]));
    }

    #[test]
    fn noise_samples_second_choices_only() {
        let sampled: Vec<Decision> = (0..20).map(|seed| decide(2, None, Some(seed))).collect();
        let plain = decide(2, None, None);
        assert!(sampled.iter().all(|s| s.first().eq(plain.first())));
        assert!(sampled.iter().any(|s| s.choices != plain.choices));
        assert_eq!(decide(1, None, Some(3)).choices, decide(1, None, None).choices);
    }

    #[test]
    fn tensors_say_what_the_rules_say() {
        for (k, factor) in [(1, None), (2, None), (2, Some(0.5)), (1, Some(0.5))] {
            let decision = decide(k, factor, None);
            let weights = host(decision.combine_weights(tensor(), masks(0.0, 0.0), &mut Forward::inference()));
            for (token, weights) in weights.chunks_exact(k).enumerate() {
                let mut expected: Vec<f32> = (token * k..(token + 1) * k)
                    .map(|i| f32::from(decision.kept[i]) * PROBABILITIES[token * 3 + decision.choices[i] as usize])
                    .collect();
                strata_routing::combine_weights(&mut expected);
                weights
                    .iter()
                    .zip(&expected)
                    .for_each(|(w, e)| assert!((w - e).abs() < 1e-6, "{weights:?} {expected:?}"));
            }
            let (mut first, mut sums) = (vec![0; 3], vec![0.0; 3]);
            decision.first().for_each(|expert| first[expert as usize] += 1);
            PROBABILITIES.iter().enumerate().for_each(|(i, p)| sums[i % 3] += f64::from(*p));
            let (loss, expected) =
                (host(decision.balance_loss(tensor()))[0], strata_routing::balance_loss(&first, &sums));
            assert!((f64::from(loss) - expected).abs() < 1e-6, "{loss} {expected}");
        }
    }

    #[test]
    fn offsets_choose_and_do_not_weigh() {
        let rules = |offsets: &[f32]| Rules {
            choices: 2,
            visible: 3,
            capacity_factor: None,
            noise: None,
            offsets: offsets.to_vec(),
        };
        let plain = Decision::new(&PROBABILITIES, &rules(&[0.0; 3]), WHOLE, None);
        assert_eq!(plain.choices, decide(2, None, None).choices);
        // exp(3) makes the last expert first everywhere; weights are those of the probabilities.
        let decision = Decision::new(&PROBABILITIES, &rules(&[0.0, 0.0, 3.0]), WHOLE, None);
        assert_eq!(decision.choices[..4], [2, 0, 2, 0]);
        let weights = host(decision.combine_weights(tensor(), masks(0.0, 0.0), &mut Forward::inference()));
        assert!((weights[0] - 0.1 / 0.7).abs() < 1e-6, "{weights:?}");
    }

    #[test]
    fn the_probability_of_going_on_is_that_of_the_experts_that_lead_on() {
        let q = host(decide(2, None, None).go_on(tensor(), [true, true, false].into_iter()));
        let expected = [0.9, 0.9, 0.9, 0.6, 0.5];
        q.iter().zip(expected).for_each(|(q, e)| assert!((q - e).abs() < 1e-6, "{q} {e}"));
    }

    fn masks(eom: f64, fom: f64) -> Masks {
        let inference_scale = strata_routing::output_scale(eom) * strata_routing::output_scale(fom);
        Masks { eom, fom, inference_scale }
    }

    #[test]
    fn final_output_masking_zeroes_whole_tokens_and_scales_at_inference() {
        let decision = decide(2, None, None);
        let masked = host(decision.combine_weights(tensor(), masks(0.0, 0.5), &mut Forward::training(4)));
        let sums: Vec<f32> = masked.chunks_exact(2).map(|w| w.iter().sum()).collect();
        assert!(sums.iter().all(|sum| *sum == 0.0 || (*sum - 1.0).abs() < 1e-6), "{sums:?}");
        assert!(sums.contains(&0.0) && sums.iter().any(|sum| *sum > 0.0), "{sums:?}");
        let scaled = host(decision.combine_weights(tensor(), masks(0.0, 0.5), &mut Forward::inference()));
        scaled.chunks_exact(2).for_each(|w| assert!((w.iter().sum::<f32>() - 0.5).abs() < 1e-6));
    }

    /// Each expert's output of a token by itself: over many passes each of the four patterns of two masks comes up as
    /// often as its probability says.
    #[test]
    fn expert_output_masking_zeroes_single_experts_and_scales_at_inference() {
        let decision = decide(2, None, None);
        let plain = host(decision.combine_weights(tensor(), masks(0.0, 0.0), &mut Forward::training(1)));
        let mut patterns = [0u32; 4];
        for seed in 0..400 {
            let masked = host(decision.combine_weights(tensor(), masks(0.25, 0.0), &mut Forward::training(seed)));
            for (masked, plain) in masked.chunks_exact(2).zip(plain.chunks_exact(2)) {
                assert!((0..2).all(|i| masked[i] == 0.0 || masked[i] == plain[i]), "{masked:?} {plain:?}");
                patterns[usize::from(masked[0] == 0.0) + 2 * usize::from(masked[1] == 0.0)] += 1;
            }
        }
        // Of 2,000: 9/16 keep both, 3/16 lose the first, 3/16 the second, 1/16 both.
        for (found, expected) in patterns.into_iter().zip([1125, 375, 375, 125]) {
            assert!(found.abs_diff(expected) < 80, "{patterns:?}");
        }
        let scaled = host(decision.combine_weights(tensor(), masks(0.25, 0.0), &mut Forward::inference()));
        scaled.iter().zip(&plain).for_each(|(scaled, plain)| assert!((scaled - 0.75 * plain).abs() < 1e-6));
    }
}
