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
    kept_in_part(choices, k, visible, capacity, &vec![0; k * visible])
}

/// [`kept`] for a part of a gate's tokens: `others` `[k, visible]` counts the choices of other parts that queue at each
/// expert before this part's first choices, then before its second ones.
pub fn kept_in_part(choices: &[u32], k: usize, visible: usize, capacity: usize, others: &[usize]) -> Vec<bool> {
    let mut queued = vec![0usize; visible];
    let mut kept = vec![false; choices.len()];
    for choice in 0..k {
        for place in (choice..choices.len()).step_by(k) {
            let expert = choices[place] as usize;
            kept[place] = others[choice * visible + expert] + queued[expert] < capacity;
            queued[expert] += 1;
        }
    }
    kept
}

/// The `others` of [`kept_in_part`] for part `part`, from the choices of every part: `counts[p]` `[k, visible]` are
/// those of part `p`.
pub fn queued_by_others(counts: &[Vec<u32>], part: usize, k: usize, visible: usize) -> Vec<usize> {
    let at = |p: usize, choice: usize, expert: usize| counts[p][choice * visible + expert] as usize;
    let before = |choice: usize, expert: usize| -> usize {
        let better = (0..counts.len()).filter(|p| *p != part).flat_map(|p| (0..choice).map(move |c| (p, c)));
        let same = (0..part).map(|p| (p, choice));
        better.chain(same).map(|(p, c)| at(p, c, expert)).sum()
    };
    (0..k).flat_map(|choice| (0..visible).map(move |expert| (choice, expert))).map(|(c, e)| before(c, e)).collect()
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

    /// Cut anywhere, the parts keep what the whole keeps.
    #[test]
    fn parts_queue_as_the_whole() {
        let (k, visible) = (2, 3);
        let choices: Vec<u32> = (0..40u32).flat_map(|t| [t * t % 3, (t * t + 1 + t % 2) % 3]).collect();
        for capacity in [1, 5, 11, 20] {
            let whole = kept(&choices, k, visible, capacity);
            for cuts in [[0, 13, 40], [1, 2, 3], [7, 7, 39]] {
                let ends = [cuts[0], cuts[1], cuts[2], 40];
                let parts: Vec<&[u32]> =
                    (0..4).map(|p| &choices[2 * if p == 0 { 0 } else { ends[p - 1] }..2 * ends[p]]).collect();
                let count = |part: &&[u32]| {
                    let mut counts = vec![0; k * visible];
                    part.iter().enumerate().for_each(|(i, e)| counts[i % k * visible + *e as usize] += 1);
                    counts
                };
                let counts: Vec<Vec<u32>> = parts.iter().map(count).collect();
                let of_part =
                    |p: usize| kept_in_part(parts[p], k, visible, capacity, &queued_by_others(&counts, p, k, visible));
                assert_eq!((0..4).flat_map(of_part).collect::<Vec<_>>(), whole, "{capacity} {cuts:?}");
            }
        }
    }

    #[test]
    fn dropped_choices_keep_their_place_in_the_queue() {
        // One choice each: the third token at expert 0 is dropped, the fourth too.
        assert_eq!(kept(&[0, 0, 0, 0, 1], 1, 2, 2), [true, true, false, false, true]);
    }
}
