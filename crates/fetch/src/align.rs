//! Blocks two sequences share, in order (Ratcliff and Obershelp's "gestalt" matching).
//!
//! The longest common block is taken first, then the same is done to the left and to the right of it. Of equally long
//! blocks the one that starts first in the left sequence wins, then the one that starts first in the right one, so the
//! result is unique.

use std::collections::HashMap;
use std::hash::Hash;

/// A run of equal elements: `left[left_at..][..len] == right[right_at..][..len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    pub left: usize,
    pub right: usize,
    pub len: usize,
}

/// The shared blocks in order; blocks that touch on both sides are one.
pub(crate) fn matching_blocks<T: Eq + Hash>(left: &[T], right: &[T]) -> Vec<Block> {
    let mut places: HashMap<&T, Vec<usize>> = HashMap::new();
    for (j, item) in right.iter().enumerate() {
        places.entry(item).or_default().push(j);
    }
    let mut found = Vec::new();
    let mut windows = vec![(0..left.len(), 0..right.len())];
    while let Some((l, r)) = windows.pop() {
        let best = longest(left, &places, l.clone(), r.clone());
        if best.len > 0 {
            windows.push((l.start..best.left, r.start..best.right));
            windows.push((best.left + best.len..l.end, best.right + best.len..r.end));
            found.push(best);
        }
    }
    found.sort_unstable();
    let mut blocks: Vec<Block> = Vec::new();
    for block in found {
        match blocks.last_mut() {
            Some(last) if last.left + last.len == block.left && last.right + last.len == block.right => {
                last.len += block.len;
            }
            _ => blocks.push(block),
        }
    }
    blocks
}

fn longest<T: Eq + Hash>(
    left: &[T],
    places: &HashMap<&T, Vec<usize>>,
    l: std::ops::Range<usize>,
    r: std::ops::Range<usize>,
) -> Block {
    let mut best = Block { left: l.start, right: r.start, len: 0 };
    // For each place in `right`, the length of the common run that ends there and at the current place in `left`.
    let mut ending: HashMap<usize, usize> = HashMap::new();
    for i in l {
        let mut next = HashMap::new();
        for &j in places.get(&left[i]).into_iter().flatten().filter(|j| r.contains(j)) {
            let len = 1 + j.checked_sub(1).and_then(|before| ending.get(&before)).copied().unwrap_or(0);
            next.insert(j, len);
            if len > best.len {
                best = Block { left: i + 1 - len, right: j + 1 - len, len };
            }
        }
        ending = next;
    }
    best
}

/// Twice the shared elements over all elements: 1 for equal sequences, 0 for disjoint ones.
pub(crate) fn similarity(blocks: &[Block], left: usize, right: usize) -> f64 {
    let shared: usize = blocks.iter().map(|b| b.len).sum();
    if left + right == 0 { 1.0 } else { 2.0 * shared as f64 / (left + right) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(left: &str, right: &str) -> Vec<(usize, usize, usize)> {
        matching_blocks(left.as_bytes(), right.as_bytes()).iter().map(|b| (b.left, b.right, b.len)).collect()
    }

    #[test]
    fn blocks_around_an_insertion_and_a_deletion() {
        assert_eq!(blocks("abcdefgh", "abXcdefh"), [(0, 0, 2), (2, 3, 4), (7, 7, 1)]);
        assert_eq!(blocks("abcd", "abcd"), [(0, 0, 4)]);
        assert_eq!(blocks("abc", "xyz"), []);
        assert_eq!(blocks("", "x"), []);
    }

    #[test]
    fn ties_go_to_the_first_in_left_then_in_right() {
        assert_eq!(blocks("ab_ab", "ab"), [(0, 0, 2)]);
        assert_eq!(blocks("ab", "ab_ab"), [(0, 0, 2)]);
        assert_eq!(blocks("qabxcd", "abycdf"), [(1, 0, 2), (4, 3, 2)]);
    }

    #[test]
    fn similarity_counts_shared_elements_twice() {
        let shared = matching_blocks(b"abcd", b"bcde");
        assert_eq!(similarity(&shared, 4, 4), 0.75);
        assert_eq!(similarity(&[], 0, 0), 1.0);
    }
}
