//! The buffers of a pass, allocated once and reused.

use crate::experts::ExpertBuffers;
use crate::kernels::AttentionScratch;
use crate::linear::{Activation, Options, Scratch};
use crate::model::FeedForward;
use crate::parallel::room;
use crate::routing::Tracer;

/// Buffers of encoder and decoder passes; they only grow.
pub(crate) struct Workspace {
    /// One for each thread.
    pub scratch: Vec<Scratch>,
    /// One for each thread.
    pub attention: Vec<AttentionScratch>,
    /// Hidden states `[tokens, d]`.
    pub x: Vec<f32>,
    /// Normed hidden states `[tokens, d]`; after a pass, its result.
    pub normed: Vec<f32>,
    /// Queries, or queries, keys and values `[tokens, 3d]`.
    pub projections: Vec<f32>,
    /// Attention's output before its projection `[tokens, d]`.
    pub context: Vec<f32>,
    /// Hidden layer of an FFN `[tokens, d_ffn]`.
    pub hidden: Vec<f32>,
    pub experts: ExpertBuffers,
    pub tracer: Tracer,
}

impl Workspace {
    pub fn new(threads: usize) -> Self {
        Self {
            scratch: (0..threads.max(1)).map(|_| Scratch::default()).collect(),
            attention: (0..threads.max(1)).map(|_| AttentionScratch::default()).collect(),
            x: Vec::new(),
            normed: Vec::new(),
            projections: Vec::new(),
            context: Vec::new(),
            hidden: Vec::new(),
            experts: ExpertBuffers::default(),
            tracer: Tracer::default(),
        }
    }

    pub fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Puts the first `n` tokens of `x` through the FFN sub-layer of `layer`.
    pub fn feed_forward(&mut self, feed_forward: &FeedForward, n: usize, layer: usize, d: usize, inner: usize) {
        let threads = self.threads();
        let x = &mut self.x[..n * d];
        match feed_forward {
            FeedForward::Experts(block) => {
                self.tracer.layer = layer;
                block.apply(x, &mut self.experts, &mut self.scratch, &mut self.tracer);
            }
            FeedForward::Dense { norm, ffn } => {
                let normed = room(&mut self.normed, n * d);
                norm.apply(x, normed);
                let hidden = room(&mut self.hidden, n * inner);
                ffn.fc1.apply(normed, n, hidden, relu(threads), &mut self.scratch[0]);
                ffn.fc2.apply(hidden, n, x, added(threads), &mut self.scratch[0]);
            }
        }
    }
}

/// `x W^T + b`
pub(crate) fn plain(threads: usize) -> Options {
    Options { activation: Activation::None, accumulate: false, threads, out_stride: None }
}

/// `max(0, x W^T + b)`
pub(crate) fn relu(threads: usize) -> Options {
    Options { activation: Activation::Relu, ..plain(threads) }
}

/// `out + x W^T + b`
pub(crate) fn added(threads: usize) -> Options {
    Options { accumulate: true, ..plain(threads) }
}
