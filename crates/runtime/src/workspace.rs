//! The buffers of a pass, allocated once and reused.

use crate::experts::ExpertBuffers;
use crate::kernels::AttentionScratch;
use crate::product::Scratch;
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
    /// Empty buffers for passes on `threads` threads, at least one.
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

    /// Threads of a pass.
    pub fn threads(&self) -> usize {
        self.scratch.len()
    }
}
