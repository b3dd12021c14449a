//! R8: how evenly a gate uses its experts.

/// The balance loss of one gate over the tokens that visited it: `V * sum over e of f_e * p_e`, where `f_e` is the
/// share of the tokens whose first choice is `e` and `p_e` the mean probability of `e` (Shazeer et al., 2017; Fedus et
/// al., 2022). 1 means perfectly even, `V` that all tokens choose one expert with certainty.
///
/// `first` `[V]` counts first choices, `probability` `[V]` sums the tokens' probabilities. No tokens give 0.
///
/// Training computes the same from tensors, because the loss needs the gradient of `p_e`.
pub fn balance_loss(first: &[u64], probability: &[f64]) -> f64 {
    let tokens = first.iter().sum::<u64>().max(1) as f64;
    let products: f64 = first.iter().zip(probability).map(|(first, p)| *first as f64 * p).sum();
    first.len() as f64 * products / (tokens * tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_use_costs_one_and_one_expert_for_all_costs_the_most() {
        assert_eq!(balance_loss(&[2, 2], &[2.0, 2.0]), 1.0);
        assert_eq!(balance_loss(&[4, 0], &[4.0, 0.0]), 2.0);
        // Two tokens: f = (1/2, 1/2, 0), p = (0.5, 0.3, 0.2): 3 * (0.25 + 0.15)
        assert!((balance_loss(&[1, 1, 0], &[1.0, 0.6, 0.4]) - 1.2).abs() < 1e-12);
        assert_eq!(balance_loss(&[0, 0], &[0.0, 0.0]), 0.0);
    }
}
