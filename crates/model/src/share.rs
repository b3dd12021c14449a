//! Which experts of each block a model holds.

use std::ops::Range;

/// Rank `rank` of `ranks` among which the experts of each block are spread: each has as many as any other, or one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertShare {
    rank: usize,
    ranks: usize,
}

impl ExpertShare {
    /// All experts.
    pub const ALL: Self = Self { rank: 0, ranks: 1 };

    /// The share of `rank` among `ranks`.
    ///
    /// # Panics
    /// If `rank` is none of `ranks`.
    pub fn new(rank: usize, ranks: usize) -> Self {
        assert!(rank < ranks, "rank {rank} of {ranks}");
        Self { rank, ranks }
    }

    /// Whether it is all experts.
    pub fn is_all(self) -> bool {
        self.ranks == 1
    }

    /// The bounds of all shares of a block of `experts`: rank `r` holds `bounds[r]` to `bounds[r + 1]`.
    pub fn bounds(self, experts: usize) -> Vec<usize> {
        (0..=self.ranks).map(|rank| rank * experts / self.ranks).collect()
    }

    /// The experts of this share, of a block of `experts`.
    pub fn of(self, experts: usize) -> Range<usize> {
        let bounds = self.bounds(experts);
        bounds[self.rank]..bounds[self.rank + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_even_as_they_can_be() {
        let shares = |ranks: usize, experts| (0..ranks).map(move |rank| ExpertShare::new(rank, ranks).of(experts));
        assert_eq!(shares(3, 5).collect::<Vec<_>>(), [0..1, 1..3, 3..5]);
        assert_eq!(shares(2, 8).collect::<Vec<_>>(), [0..4, 4..8]);
        assert_eq!((ExpertShare::ALL.of(7), ExpertShare::ALL.is_all()), (0..7, true));
        assert_eq!(ExpertShare::new(1, 2).bounds(5), [0, 2, 5]);
    }
}
