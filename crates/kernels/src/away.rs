//! A visit to experts that are spread over ranks: tokens travel to their experts' ranks and their outputs back.

use std::ops::Range;
use std::sync::Arc;

use strata_ranks::Ranks;

use crate::experts::{Dispatch, Forward, Groups, SlotMasks, WeightGradients};
use crate::rows::gather;

/// What this rank sent to others, and what it does for them.
pub(crate) struct Away {
    ranks: Ranks,
    /// Values that go to each rank, rows of width d.
    sends: Vec<usize>,
    /// Values that come from each rank.
    receives: Vec<usize>,
    /// The visit of all ranks' tokens at this rank's experts.
    here: Groups,
    /// Inputs of that visit's slots, sorted by expert and then by rank.
    sorted: Vec<f32>,
    forward: Forward,
    /// Outputs of this rank's slots, `[slots, d]`.
    outputs: Vec<f32>,
}

impl Away {
    /// Sends the tokens of `x` `[tokens, d]` to the ranks of the experts that `groups` names for them: rank `r` has
    /// those from `bounds[r]` to `bounds[r + 1]`. The weights of `groups` are those of this rank.
    pub fn forward(ranks: Ranks, bounds: &[usize], groups: &Groups, x: &[f32]) -> Self {
        let (d, dispatch) = (groups.d, &groups.dispatch);
        let counts: Vec<u32> = dispatch.offsets.windows(2).map(|w| (w[1] - w[0]) as u32).collect();
        let all = ranks.gather(&counts).unwrap_or_else(|error| fail(&error));
        let mine = bounds[ranks.rank()]..bounds[ranks.rank() + 1];
        let slots = |w: &[usize]| dispatch.offsets[w[1]] - dispatch.offsets[w[0]];
        let sends: Vec<usize> = bounds.windows(2).map(|w| slots(w) * d).collect();
        let receives: Vec<usize> = all.iter().map(|c| c[mine.clone()].iter().sum::<u32>() as usize * d).collect();
        let came = exchange(&ranks, gather(x, &dispatch.tokens, d), &sends, &receives);
        let dispatch = arrivals(&all, mine);
        // Each choice keeps its mask where its token goes.
        let masks = groups.masks.as_ref().map(|masks| {
            let of_rows =
                |values: &[usize]| values.iter().map(|count| count / d * SlotMasks::WIDTH).collect::<Vec<_>>();
            let rows = exchange(&ranks, masks.to_rows(), &of_rows(&sends), &of_rows(&receives));
            SlotMasks::of_rows(masks.rate(), &gather(&rows, &dispatch.tokens, SlotMasks::WIDTH))
        });
        let here = Groups {
            d,
            d_ffn: groups.d_ffn,
            fc1: groups.fc1.clone(),
            bias1: groups.bias1.clone(),
            fc2: groups.fc2.clone(),
            bias2: groups.bias2.clone(),
            dispatch: Arc::new(dispatch),
            masks,
            precision: groups.precision,
        };
        let forward = here.forward(&came);
        let sorted = gather(&came, &here.dispatch.tokens, d);
        let outputs = exchange(&ranks, by_rank(&here, &forward.y), &receives, &sends);
        Self { ranks, sends, receives, here, sorted, forward, outputs }
    }

    /// Outputs of this rank's slots before weighting, `[slots, d]`.
    pub fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// Gradients of the inputs of this rank's slots, from those of their outputs; the gradients of this rank's experts
    /// are added to `total`.
    pub fn backward(&self, dy: Vec<f32>, total: Option<&mut Option<WeightGradients>>) -> Vec<f32> {
        let came = exchange(&self.ranks, dy, &self.sends, &self.receives);
        let dy = gather(&came, &self.here.dispatch.tokens, self.here.d);
        let dx = self.here.input_gradients(&self.sorted, &dy, &self.forward.hidden, total);
        exchange(&self.ranks, by_rank(&self.here, &dx), &self.receives, &self.sends)
    }
}

/// The slots that all ranks send to the experts `mine`, given each rank's slots of every expert. They come by rank and
/// then by expert, and are computed by expert and then by rank, which is the order of the tokens in the whole batch.
fn arrivals(all: &[Vec<u32>], mine: Range<usize>) -> Dispatch {
    let mut next = 0u32;
    let mut start = |count: &u32| {
        next += count;
        next - count
    };
    let starts: Vec<Vec<u32>> =
        all.iter().map(|counts| counts[mine.clone()].iter().map(&mut start).collect()).collect();
    let (mut offsets, mut tokens) = (vec![0], Vec::new());
    for expert in mine.clone() {
        for (counts, starts) in all.iter().zip(&starts) {
            let start = starts[expert - mine.start];
            tokens.extend(start..start + counts[expert]);
        }
        offsets.push(tokens.len());
    }
    let choices = vec![0; tokens.len()];
    Dispatch { offsets, tokens, choices, k: 1 }
}

/// Rows of slots, sorted by expert, in the order in which they came.
fn by_rank(here: &Groups, rows: &[f32]) -> Vec<f32> {
    let d = here.d;
    let mut out = vec![0.0; rows.len()];
    for (row, place) in rows.chunks_exact(d).zip(&here.dispatch.tokens) {
        out[*place as usize * d..][..d].copy_from_slice(row);
    }
    out
}

fn exchange(ranks: &Ranks, rows: Vec<f32>, sends: &[usize], receives: &[usize]) -> Vec<f32> {
    ranks.exchange(rows, sends, receives).unwrap_or_else(|error| fail(&error))
}

/// Ends a pass whose ranks cannot reach each other: a node of the graph has no way to return an error.
fn fail(error: &strata_ranks::Error) -> ! {
    panic!("{error}")
}
