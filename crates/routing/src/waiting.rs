//! Which tokens wait at which stratum of a block. Its buffers are kept from pass to pass.

/// The tokens (rows of the batch) on their way through the strata of one block.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// Of each stratum; tokens that left the block are in none.
    rows: Vec<Vec<u32>>,
}

impl Waiting {
    /// Puts all of `tokens` at the first of `strata`.
    pub fn start(&mut self, strata: usize, tokens: usize) {
        self.rows.resize(strata, Vec::new());
        self.rows.iter_mut().for_each(Vec::clear);
        if let Some(first) = self.rows.first_mut() {
            first.extend(0..tokens as u32);
        }
    }

    /// The tokens at a stratum, ascending: capacity queues and traces want them in token order, but they come from
    /// several earlier strata. Give the buffer back with [`Waiting::give_back`] where passes must not allocate.
    pub fn take(&mut self, stratum: usize) -> Vec<u32> {
        let mut rows = self.rows.get_mut(stratum).map(std::mem::take).unwrap_or_default();
        rows.sort_unstable();
        rows
    }

    /// Moves a token to stratum `next`; beyond the last it leaves the block.
    pub fn move_to(&mut self, next: usize, row: u32) {
        if let Some(rows) = self.rows.get_mut(next) {
            rows.push(row);
        }
    }

    /// Hands back the buffer of a stratum that has been visited.
    pub fn give_back(&mut self, stratum: usize, rows: Vec<u32>) {
        if let Some(place) = self.rows.get_mut(stratum) {
            *place = rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_move_on_in_token_order_and_leave() {
        let mut waiting = Waiting::default();
        waiting.start(3, 4);
        let first = waiting.take(0);
        assert_eq!(first, [0, 1, 2, 3]);
        [(0, 2), (1, 1), (2, 3), (3, 1)].iter().for_each(|(row, next)| waiting.move_to(*next, *row));
        waiting.give_back(0, first);
        let second = waiting.take(1);
        assert_eq!(second, [1, 3]);
        waiting.move_to(2, 3);
        waiting.move_to(2, 1);
        assert_eq!(waiting.take(2), [0, 1, 3]); // not 0, 3, 1; token 2 has left
        waiting.start(3, 2);
        assert_eq!((waiting.take(0), waiting.take(1)), (vec![0, 1], vec![]));
    }
}
