//! The routing trace: what the experts of a pass were asked for.

/// One gate's decisions over the tokens that visited it.
#[derive(Clone, Debug, Default)]
pub struct GateTrace {
    /// The gate's stratum, from 0.
    pub stratum: usize,
    /// Tokens at this gate.
    pub tokens: usize,
    /// Tokens whose choice fell on each expert of the block (global index), all choices counted, dropped ones too.
    pub chosen: Vec<u32>,
    /// Choices that found their expert full.
    pub dropped: usize,
    /// Sum over the tokens of the entropy of the gate's probabilities, in nats.
    pub entropy: f64,
    /// Of a pass with details: for each token its row in the batch.
    pub rows: Vec<u32>,
    /// Of a pass with details: the chosen experts, `k` for each token, global index.
    pub experts: Vec<u32>,
    /// Of a pass with details: the gate's probability of each of `experts`.
    pub probabilities: Vec<f32>,
}

/// What one expert block did in one pass.
#[derive(Clone, Debug, Default)]
pub struct BlockTrace {
    /// Whether the block belongs to the decoder.
    pub decoder: bool,
    /// The block's layer, from 0.
    pub layer: usize,
    /// Strata visited by each token: its requested capacity (RC).
    pub strata_visited: Vec<u8>,
    /// The gates that saw tokens, in order.
    pub gates: Vec<GateTrace>,
}

impl BlockTrace {
    /// Mean requested capacity over the tokens; 0 without tokens.
    pub fn mean_rc(&self) -> f64 {
        let visits: u64 = self.strata_visited.iter().map(|v| u64::from(*v)).sum();
        visits as f64 / self.strata_visited.len().max(1) as f64
    }
}
