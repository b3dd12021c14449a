//! Tokens to their experts and back: a counting sort by expert, then one product for each expert that has tokens.

use crate::gate::Choices;
use crate::linear::Scratch;
use crate::model::Ffn;
use crate::parallel::room;
use crate::workspace::{plain, relu};

/// What is to be sorted.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a> {
    /// Of each token.
    pub choices: &'a [Choices],
    pub top_k: usize,
    pub d: usize,
    pub inner: usize,
}

/// Buffers of a dispatch; places are (token, choice) pairs in order of their experts.
#[derive(Default)]
pub(crate) struct Dispatch {
    /// Expert `e` has places `starts[e]..starts[e + 1]`.
    starts: Vec<usize>,
    /// The place of each pair, token by token.
    places: Vec<u32>,
    /// `[places, d]`
    inputs: Vec<f32>,
    /// `[places, inner]`
    hidden: Vec<f32>,
    /// `[places, d]`
    outputs: Vec<f32>,
}

/// An expert's share of the buffers.
struct Job<'a> {
    expert: &'a Ffn,
    rows: usize,
    inputs: &'a [f32],
    hidden: &'a mut [f32],
    outputs: &'a mut [f32],
}

impl Job<'_> {
    fn run(self, threads: usize, scratch: &mut Scratch) {
        self.expert.fc1.apply(self.inputs, self.rows, self.hidden, relu(threads), scratch);
        self.expert.fc2.apply(self.hidden, self.rows, self.outputs, plain(threads), scratch);
    }

    /// What the job costs, in rows: reading an expert's weights costs as much as computing a few rows.
    fn cost(rows: usize) -> usize {
        const READING: usize = 8;
        if rows == 0 { 0 } else { rows + READING }
    }
}

impl Dispatch {
    /// Runs tokens `x` `[tokens, d]` through the `experts` that each chose; one scratch for each thread.
    pub fn run(&mut self, experts: &[Ffn], group: Group<'_>, x: &[f32], scratch: &mut [Scratch]) {
        self.sort(experts.len(), &group);
        let Group { choices, top_k, d, inner } = group;
        let pairs = choices.len() * top_k;
        let inputs = room(&mut self.inputs, pairs * d);
        for (pair, place) in self.places.iter().enumerate() {
            inputs[*place as usize * d..][..d].copy_from_slice(&x[pair / top_k * d..][..d]);
        }
        let hidden = room(&mut self.hidden, pairs * inner);
        let outputs = room(&mut self.outputs, pairs * d);
        let starts = &self.starts;
        let total: usize = starts.windows(2).map(|w| Job::cost(w[1] - w[0])).sum();
        let largest = starts.windows(2).map(|w| Job::cost(w[1] - w[0])).max().unwrap_or(0);
        let threads = scratch.len();
        // Experts side by side where they can share the work evenly; otherwise each product is cut by itself. Neither changes
        // any bits.
        let beside = threads > 1 && largest * threads <= total;
        let (mut inputs, mut hidden, mut outputs) = (&*inputs, hidden, outputs);
        let mut jobs = experts.iter().zip(starts.windows(2)).filter(|(_, w)| w[1] > w[0]).map(|(expert, w)| {
            let rows = w[1] - w[0];
            let job = Job {
                expert,
                rows,
                inputs: take(&mut inputs, rows * d),
                hidden: take_mut(&mut hidden, rows * inner),
                outputs: take_mut(&mut outputs, rows * d),
            };
            (Job::cost(rows), job)
        });
        if !beside {
            return jobs.for_each(|(_, job)| job.run(threads, &mut scratch[0]));
        }
        rayon::scope(|scope| {
            let mut done = 0;
            for (thread, scratch) in scratch.iter_mut().enumerate() {
                let until = total * (thread + 1) / threads;
                // A job belongs to the thread in whose share its middle lies.
                let mut mine = Vec::new();
                while done < until {
                    let Some((cost, job)) = jobs.next() else { break };
                    done += cost;
                    mine.push(job);
                }
                scope.spawn(move |_| mine.into_iter().for_each(|job| job.run(1, scratch)));
            }
        });
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
        // Each place is handed out from its expert's start, which moves on; afterwards the starts are put back.
        for expert in pairs() {
            let next = &mut self.starts[*expert as usize];
            self.places.push(*next as u32);
            *next += 1;
        }
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }
}

fn take<'a>(rest: &mut &'a [f32], len: usize) -> &'a [f32] {
    let (head, tail) = rest.split_at(len);
    *rest = tail;
    head
}

fn take_mut<'a>(rest: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let (head, tail) = std::mem::take(rest).split_at_mut(len);
    *rest = tail;
    head
}
