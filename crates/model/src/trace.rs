//! The routing trace of a training or validation pass: what its tokens asked of the experts, in sums.

use strata_recipe::Side;

/// What one gate decided for the tokens that visited it.
#[derive(Clone, Debug, Default)]
pub struct GateTrace {
    /// The stratum of the gate, from 0.
    pub stratum: usize,
    /// Tokens at this gate.
    pub tokens: usize,
    /// First choices of each expert that the gate sees, dropped ones included.
    pub first: Vec<u32>,
    /// Choices of each expert of the block (by its index in the block), dropped ones included.
    pub chosen: Vec<u32>,
    /// Choices that found their expert full.
    pub dropped: usize,
    /// Entropy of the gate's probabilities in nats, summed over the tokens.
    pub entropy: f64,
}

/// What one expert block did in one pass.
#[derive(Clone, Debug, Default)]
pub struct BlockTrace {
    /// The side that the block belongs to.
    pub side: Side,
    /// The block's layer, from 0.
    pub layer: usize,
    /// Strata visited by each token: its requested capacity (RC).
    pub strata_visited: Vec<u8>,
    /// The gates that tokens visited, in order.
    pub gates: Vec<GateTrace>,
}
