//! Counting n-grams over small integers (interned words, or code points).

use std::collections::HashMap;

/// How often each n-gram of one order occurs.
pub(crate) type Counts<'a> = HashMap<&'a [u32], u64>;

/// Counts the n-grams of order `n` >= 1; empty when there are fewer than `n` tokens.
pub(crate) fn count(tokens: &[u32], n: usize) -> Counts<'_> {
    let mut counts = Counts::with_capacity((tokens.len() + 1).saturating_sub(n));
    for ngram in tokens.windows(n) {
        *counts.entry(ngram).or_insert(0) += 1;
    }
    counts
}

/// Number of n-grams of order `n` in a text of `length` tokens.
pub(crate) fn total(length: usize, n: usize) -> u64 {
    (length + 1).saturating_sub(n) as u64
}

/// Sum over the n-grams of `a` of the smaller of both counts.
pub(crate) fn matches(a: &Counts<'_>, b: &Counts<'_>) -> u64 {
    a.iter().filter_map(|(ngram, &count)| b.get(ngram).map(|&other| count.min(other))).sum()
}

/// Gives equal words equal numbers; used for one segment with its references.
#[derive(Default)]
pub(crate) struct Words<'a>(HashMap<&'a str, u32>);

impl<'a> Words<'a> {
    /// The words' numbers, in order.
    pub(crate) fn intern(&mut self, words: impl Iterator<Item = &'a str>) -> Vec<u32> {
        words
            .map(|word| {
                let next = self.0.len() as u32;
                *self.0.entry(word).or_insert(next)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_clips() {
        let mut words = Words::default();
        let a = words.intern("the the the cat".split(' '));
        let b = words.intern("the cat the".split(' '));
        assert_eq!(matches(&count(&a, 1), &count(&b, 1)), 3);
        assert_eq!(matches(&count(&a, 2), &count(&b, 2)), 1);
        assert_eq!((total(4, 4), total(4, 5), total(0, 1)), (1, 0, 0));
        assert!(count(&a, 5).is_empty());
    }
}
