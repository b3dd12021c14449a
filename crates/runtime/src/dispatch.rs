//! Tokens to their experts and back: a counting sort by expert, then one product for each expert that has tokens.

use crate::gate::Choices;
use crate::layers::Ffn;
use crate::parallel::room;
use crate::product::{Scratch, plain};

/// Tokens and the experts that they chose.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a> {
    /// Of each token; the first `top_k` count.
    pub choices: &'a [Choices],
    pub top_k: usize,
    pub d: usize,
}

/// Buffers of a dispatch. A place is a slot for one (token, choice) pair, in order of the pairs' experts.
#[derive(Default)]
pub(crate) struct Dispatch {
    /// Expert `e` has places `starts[e]..starts[e + 1]`.
    starts: Vec<usize>,
    /// The place of each pair, token by token.
    places: Vec<u32>,
    /// `[places, d]`
    inputs: Vec<f32>,
    /// The hidden layer of one expert, `[rows, inner]`.
    hidden: Vec<f32>,
    /// `[places, d]`
    outputs: Vec<f32>,
}

impl Dispatch {
    /// Runs tokens `x` `[tokens, d]` through those of `experts` (the visible ones) that each chose; one scratch a
    /// thread.
    pub fn run(&mut self, experts: &[Ffn], group: Group<'_>, x: &[f32], scratch: &mut [Scratch]) {
        self.sort(experts.len(), &group);
        let Group { choices, top_k, d } = group;
        let pairs = choices.len() * top_k;
        let inputs = room(&mut self.inputs, pairs * d);
        for (pair, place) in self.places.iter().enumerate() {
            inputs[*place as usize * d..][..d].copy_from_slice(&x[pair / top_k * d..][..d]);
        }
        let outputs = room(&mut self.outputs, pairs * d);
        let threads = scratch.len();
        // One expert at a time, with all threads on panels of its outputs. One expert a thread was as fast within noise
        // (0.95 to 1.15 times, 2 threads, 2 to 320 hypotheses), needs more memory, and leaves threads idle when few
        // experts have tokens.
        for (expert, bounds) in experts.iter().zip(self.starts.windows(2)) {
            let (start, rows) = (bounds[0], bounds[1] - bounds[0]);
            if rows == 0 {
                continue;
            }
            let inputs = &inputs[start * d..][..rows * d];
            let outputs = &mut outputs[start * d..][..rows * d];
            let hidden = expert.hidden(inputs, rows, threads, &mut self.hidden, &mut scratch[0]);
            expert.fc2.apply(hidden, rows, outputs, plain(threads), &mut scratch[0]);
        }
    }

    /// The output of a token's choice after [`Dispatch::run`].
    pub fn output(&self, token: usize, choice: usize, top_k: usize, d: usize) -> &[f32] {
        &self.outputs[self.places[token * top_k + choice] as usize * d..][..d]
    }

    fn sort(&mut self, experts: usize, group: &Group<'_>) {
        let pairs = || group.choices.iter().flat_map(|c| c.experts[..group.top_k].iter());
        self.starts.clear();
        self.starts.resize(experts + 1, 0);
        pairs().for_each(|expert| self.starts[*expert as usize + 1] += 1);
        for e in 0..experts {
            self.starts[e + 1] += self.starts[e];
        }
        self.places.clear();
        // An expert's start counts up as its places are handed out, and ends as the next expert's start: shift them
        // back.
        for expert in pairs() {
            let next = &mut self.starts[*expert as usize];
            self.places.push(*next as u32);
            *next += 1;
        }
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }
}
