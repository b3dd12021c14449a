//! What the expert blocks did over several passes: requested capacity, shares of the experts, entropy, dropped tokens.

use serde::{Deserialize, Serialize};
use strata_model::BlockTrace;
use strata_recipe::Side;
use strata_records::LoggedBlock;

/// Counts of one expert block, added up over passes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct BlockCounts {
    side: Side,
    layer: usize,
    tokens: u64,
    visits: u64,
    chosen: Vec<u64>,
    dropped: u64,
    gate_tokens: u64,
    /// Of each visit to a gate, in order: added up at the end, so that their sum does not depend on how passes were
    /// grouped.
    #[serde(with = "crate::spread::bits::list")]
    entropies: Vec<f64>,
}

/// The routing of all expert blocks of a model, encoder blocks first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RoutingStats {
    blocks: Vec<BlockCounts>,
}

impl RoutingStats {
    /// Adds the traces of one pass.
    pub fn add(&mut self, traces: &[BlockTrace]) {
        for trace in traces {
            let block = self.block(trace.side, trace.layer);
            block.tokens += trace.strata_visited.len() as u64;
            block.visits += trace.strata_visited.iter().map(|v| u64::from(*v)).sum::<u64>();
            for gate in &trace.gates {
                block.gate_tokens += gate.tokens as u64;
                block.entropies.push(gate.entropy);
                block.dropped += gate.dropped as u64;
                block.chosen.resize(gate.chosen.len(), 0);
                block.chosen.iter_mut().zip(&gate.chosen).for_each(|(sum, n)| *sum += u64::from(*n));
            }
        }
    }

    /// Adds the counts of other passes.
    pub fn merge(&mut self, other: &Self) {
        for from in &other.blocks {
            let block = self.block(from.side, from.layer);
            block.tokens += from.tokens;
            block.visits += from.visits;
            block.gate_tokens += from.gate_tokens;
            block.entropies.extend(&from.entropies);
            block.dropped += from.dropped;
            block.chosen.resize(from.chosen.len(), 0);
            block.chosen.iter_mut().zip(&from.chosen).for_each(|(sum, n)| *sum += n);
        }
    }

    /// The counts of a block, in the order of blocks.
    fn block(&mut self, side: Side, layer: usize) -> &mut BlockCounts {
        let at = self.blocks.partition_point(|b| (b.side, b.layer) < (side, layer));
        if self.blocks.get(at).is_none_or(|b| (b.side, b.layer) != (side, layer)) {
            self.blocks.insert(at, BlockCounts { side, layer, ..BlockCounts::default() });
        }
        &mut self.blocks[at]
    }

    /// Each block's routing for the log, encoder blocks first.
    pub fn blocks(&self) -> Vec<LoggedBlock> {
        self.blocks
            .iter()
            .map(|b| {
                let all = b.chosen.iter().sum::<u64>().max(1) as f64;
                LoggedBlock {
                    side: b.side.name().to_owned(),
                    layer: b.layer,
                    requested_capacity: b.visits as f64 / b.tokens.max(1) as f64,
                    expert_share: b.chosen.iter().map(|n| *n as f64 / all).collect(),
                    entropy: b.entropies.iter().fold(0.0, |sum, entropy| sum + entropy) / b.gate_tokens.max(1) as f64,
                    dropped: b.dropped,
                }
            })
            .collect()
    }

    /// Mean requested capacity over the blocks of one side; `None` without expert blocks there.
    pub fn mean_rc(&self, side: Side) -> Option<f64> {
        let blocks: Vec<&BlockCounts> = self.blocks.iter().filter(|b| b.side == side).collect();
        let sum: f64 = blocks.iter().map(|b| b.visits as f64 / b.tokens.max(1) as f64).sum();
        (!blocks.is_empty()).then(|| sum / blocks.len() as f64)
    }

    /// Choices that found their expert full, all blocks together.
    pub fn dropped(&self) -> u64 {
        self.blocks.iter().map(|b| b.dropped).sum()
    }
}

#[cfg(test)]
mod tests {
    use strata_model::GateTrace;

    use super::*;

    #[test]
    fn passes_add_up_by_block() {
        let gate = |chosen: &[u32]| GateTrace {
            tokens: 2,
            chosen: chosen.to_vec(),
            dropped: 1,
            entropy: 1.0,
            ..GateTrace::default()
        };
        let trace =
            |side, visited: &[u8], gates| BlockTrace { side, layer: 1, strata_visited: visited.to_vec(), gates };
        let mut stats = RoutingStats::default();
        stats.add(&[
            trace(Side::Decoder, &[1, 1], vec![gate(&[2, 0])]),
            trace(Side::Encoder, &[2, 1], vec![gate(&[3, 1])]),
        ]);
        stats.add(&[trace(Side::Encoder, &[2, 2], vec![gate(&[0, 4])])]);
        let blocks = stats.blocks();
        assert_eq!((blocks[0].side.as_str(), blocks[0].requested_capacity), ("encoder", 1.75));
        assert_eq!(blocks[0].expert_share, [0.375, 0.625]);
        assert_eq!((blocks[0].entropy, blocks[0].dropped, stats.dropped()), (0.5, 2, 3));
        assert_eq!((stats.mean_rc(Side::Encoder), stats.mean_rc(Side::Decoder)), (Some(1.75), Some(1.0)));
        assert_eq!(RoutingStats::default().mean_rc(Side::Encoder), None);
        let mut twice = stats.clone();
        twice.merge(&stats);
        assert_eq!(twice.blocks()[0].expert_share, blocks[0].expert_share);
        assert_eq!((twice.dropped(), twice.blocks()[1].entropy), (6, stats.blocks()[1].entropy));
    }
}
