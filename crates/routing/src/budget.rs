//! A budget of capacity: offsets of a gate's logits that hold the share of tokens that leave early (after the loss-free
//! balancing of Wang et al., 2024, <https://arxiv.org/abs/2408.15664>).
//!
//! A gate chooses by logit + offset and weighs by the probabilities without it, so offsets get no gradient. After each
//! update an expert that was the first choice of fewer tokens than its target becomes more likely by a small step, one
//! of more tokens less likely.

use crate::exits::bisect;
use crate::strata::Strata;

impl Strata {
    /// The share of first choices that each expert a gate sees should get, `[visible]` for each gate, so that the mean
    /// requested capacity is `capacity`. Experts that lead to the same stratum get the same; those that lead one
    /// stratum further up get a constant factor more or less, 1 at the capacity of uniform routing.
    pub fn budget_targets(&self, capacity: f64) -> Vec<Vec<f64>> {
        // A factor of 0 sends all to the exit, a large one all to the very next stratum.
        let factor = |share: f64| share / (1.0 - share).max(1e-12);
        let share = bisect(|share| self.requested(&self.tilted(factor(share))) - capacity);
        self.tilted(factor(share))
    }

    /// Shares of first choices in which an expert weighs `factor` to the power of the strata between where it leads and
    /// the exit.
    fn tilted(&self, factor: f64) -> Vec<Vec<f64>> {
        let of_gate = |gate: usize| {
            let next = self.visible(gate).map(|expert| self.next(gate, expert, || 0.0));
            // Both are the same up to a factor of all; the first does not overflow.
            let weight = |next: usize| match factor > 1.0 {
                true => (1.0 / factor).powi((next - gate - 1) as i32),
                false => factor.powi((self.count() - next) as i32),
            };
            let weights: Vec<f64> = next.map(weight).collect();
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| weight / sum).collect()
        };
        (0..self.count()).map(of_gate).collect()
    }

    /// The mean requested capacity of these shares of first choices.
    fn requested(&self, shares: &[Vec<f64>]) -> f64 {
        let mut from = vec![0.0; self.count() + 1]; // strata visited from each stratum on; 0 at the exit
        for gate in (0..self.count()).rev() {
            let after = self.visible(gate).zip(&shares[gate]);
            from[gate] = 1.0 + after.map(|(expert, share)| share * from[self.next(gate, expert, || 0.0)]).sum::<f64>();
        }
        from[0]
    }
}

/// Moves the `offsets` `[visible]` of a gate one step of `rate` towards its `targets` `[visible]`, given how many
/// tokens had each expert as their first choice. A gate that saw no token stays as it is.
pub fn adjust_offsets(offsets: &mut [f32], first: &[u64], targets: &[f64], rate: f64) {
    let tokens = first.iter().sum::<u64>() as f64;
    if tokens == 0.0 {
        return;
    }
    for ((offset, first), target) in offsets.iter_mut().zip(first).zip(targets) {
        let lacking = target - *first as f64 / tokens;
        *offset += if lacking == 0.0 { 0.0 } else { rate.copysign(lacking) as f32 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strata::{Norms, Visible};

    #[test]
    fn targets_ask_for_the_capacity() {
        let two = Strata::stratified(&[4, 4], Norms::OnArrival);
        // RC = 1 + share: 0.2 over four experts, 0.8 over the other four.
        let targets = two.budget_targets(1.2);
        let close = |found: f64, wanted: f64| (found - wanted).abs() < 1e-9;
        assert!(targets[0][..4].iter().all(|t| close(*t, 0.05)) && targets[0][4..].iter().all(|t| close(*t, 0.2)));
        assert!(targets[1].iter().all(|t| close(*t, 0.25)));
        let four = Strata::stratified(&[2, 2, 2, 2], Norms::OnArrival);
        for capacity in [1.0, 1.5, 2.0, 3.2, 4.0] {
            let targets = four.budget_targets(capacity);
            // Three ways to visit two strata, and so on, written out for the mean of four gates of equal strata.
            let stay = |gate: usize, to: usize| 2.0 * targets[gate][2 * (to - 1 - gate)];
            let third = 1.0 + stay(2, 3);
            let second = 1.0 + stay(1, 2) * third + stay(1, 3);
            let first = 1.0 + stay(0, 1) * second + stay(0, 2) * third + stay(0, 3);
            assert!((first - capacity).abs() < 1e-6, "{capacity}: {first}");
            assert!(targets.iter().all(|t| close(t.iter().sum(), 1.0)));
        }
        let uniform = four.uniform_requested_capacity();
        assert!(four.budget_targets(uniform)[0].iter().all(|t| (t - 0.125).abs() < 1e-6));
        let pool = Strata::stratified(&[4, 4], Norms::OnArrival).with_visible(Visible::All).budget_targets(1.1);
        assert!(close(pool[0][0], 0.025) && close(pool[1][7], 0.125), "{pool:?}");
    }

    #[test]
    fn offsets_step_towards_their_targets() {
        let mut offsets = [0.0, 0.5, 0.0];
        adjust_offsets(&mut offsets, &[6, 2, 2], &[0.4, 0.4, 0.2], 0.1);
        assert_eq!(offsets, [-0.1, 0.6, 0.0]);
        adjust_offsets(&mut offsets, &[0, 0, 0], &[0.4, 0.4, 0.2], 0.1);
        assert_eq!(offsets, [-0.1, 0.6, 0.0]);
    }
}
