//! Tokens grouped by the experts that they chose.

use burn::tensor::{Tensor, TensorData};

/// Which tokens go to which expert: slots sorted by expert, each the choice of one token.
#[derive(Clone, Debug, Default)]
pub struct Dispatch {
    /// Slots of expert `e` are `offsets[e]..offsets[e + 1]`; one more entry than experts.
    pub offsets: Vec<usize>,
    /// The token (row of `x`) of each slot.
    pub tokens: Vec<u32>,
    /// Which of the token's `k` choices the slot is.
    pub choices: Vec<u32>,
    /// Choices per token, the columns of the combine weights.
    pub k: usize,
}

impl Dispatch {
    /// Groups `chosen[t * k + c] = Some(expert)` (the choice `c` of token `t`, `None` where it was dropped) by expert.
    ///
    /// # Panics
    /// If an expert is not below `experts`.
    pub fn new(experts: usize, k: usize, chosen: &[Option<u32>]) -> Self {
        let mut offsets = vec![0; experts + 1];
        for expert in chosen.iter().flatten() {
            offsets[*expert as usize + 1] += 1;
        }
        for e in 0..experts {
            offsets[e + 1] += offsets[e];
        }
        let mut next = offsets.clone();
        let slots = offsets[experts];
        let (mut tokens, mut choices) = (vec![0; slots], vec![0; slots]);
        for (place, expert) in chosen.iter().enumerate() {
            if let Some(expert) = expert {
                let slot = &mut next[*expert as usize];
                tokens[*slot] = (place / k) as u32;
                choices[*slot] = (place % k) as u32;
                *slot += 1;
            }
        }
        Self { offsets, tokens, choices, k }
    }

    pub(crate) fn experts(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The place of a slot's combine weight in `[tokens, k]`.
    pub(crate) fn weight_place(&self, slot: usize) -> usize {
        self.tokens[slot] as usize * self.k + self.choices[slot] as usize
    }
}

/// Combine weights `[tokens, k]` with those of dropped choices set to zero.
pub fn mask_dropped(weights: Tensor<2>, chosen: &[Option<u32>]) -> Tensor<2> {
    let kept: Vec<f32> = chosen.iter().map(|c| if c.is_some() { 1.0 } else { 0.0 }).collect();
    let kept = Tensor::from_data(TensorData::new(kept, weights.dims()), &weights.device());
    weights * kept
}
