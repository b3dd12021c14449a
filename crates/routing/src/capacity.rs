//! R4: how many tokens an expert takes in training, and which.

/// The tokens that an expert takes when `tokens` are at a gate that sees `visible` experts, of which each token chooses
/// `k`: `ceil(factor * k * ceil(tokens / visible))`. The paper's capacity has factor 1. Inference has no limit.
pub fn capacity(factor: f64, k: usize, tokens: usize, visible: usize) -> usize {
    let even_share = k * tokens.div_ceil(visible.max(1));
    (factor * even_share as f64).ceil() as usize
}

/// Which choices find room at their expert, `[tokens * k]`: all first choices queue in token order, then all second
/// ones. Choices that were dropped count in the queue, so a second choice never takes the place of a dropped first one.
///
/// `choices` `[tokens * k]` are each token's experts, best first, as places among the `visible` ones.
pub fn kept(choices: &[u32], k: usize, visible: usize, capacity: usize) -> Vec<bool> {
    let mut queued = vec![0usize; visible];
    let mut kept = vec![false; choices.len()];
    for choice in 0..k {
        for place in (choice..choices.len()).step_by(k) {
            let queue = &mut queued[choices[place] as usize];
            kept[place] = *queue < capacity;
            *queue += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_that_of_the_paper_at_factor_one() {
        assert_eq!(capacity(1.0, 2, 17, 8), 2 * 3);
        assert_eq!(capacity(1.25, 2, 17, 8), 8); // ceil(7.5)
        assert_eq!(capacity(1.0, 1, 16, 8), 2);
        assert_eq!(capacity(1.0, 2, 0, 8), 0);
    }

    #[test]
    fn first_choices_queue_before_second_ones() {
        // Three tokens: first choices 0, 0, 1; second choices 1, 1, 0. One place at each expert.
        let kept = kept(&[0, 1, 0, 1, 1, 0], 2, 2, 1);
        assert_eq!(kept, [true, false, false, false, true, false]);
    }

    #[test]
    fn dropped_choices_keep_their_place_in_the_queue() {
        // One choice each: the third token at expert 0 is dropped, the fourth too.
        assert_eq!(kept(&[0, 0, 0, 0, 1], 1, 2, 2), [true, true, false, false, true]);
    }
}
