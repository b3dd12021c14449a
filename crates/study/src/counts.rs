//! Sums over routed tokens: requested capacity, use of the experts, entropy, balance; for each direction and block.

use std::collections::HashMap;

use strata_recipe::{ModelConfig, Side};
use strata_routing::{balance_loss, combine_weights};
use strata_runtime::{BlockRouting, TokenRouting};

use crate::routed::RoutedPair;

/// Sums over the tokens that passed through one expert block.
#[derive(Clone, Debug, Default)]
pub struct BlockCounts {
    /// Tokens.
    pub tokens: u64,
    /// Strata visited, all tokens together.
    pub visits: u64,
    /// Tokens that visited 1, 2, ... strata.
    pub tokens_by_capacity: Vec<u64>,
    /// What each expert's output was multiplied by, summed over the choices that fell on it.
    pub mass: Vec<f64>,
    /// Choices that fell on each expert.
    pub chosen: Vec<u64>,
    /// One for each stratum.
    pub gates: Vec<GateCounts>,
    /// Of each subword id: tokens, and strata that they visited.
    pub subwords: HashMap<u32, (u32, u32)>,
}

/// Sums over the tokens at one gate.
#[derive(Clone, Debug, Default)]
pub struct GateCounts {
    /// Tokens.
    pub tokens: u64,
    /// Entropy of the gate's probabilities, nats, summed.
    pub entropy: f64,
    /// How often each visible expert was the first choice.
    pub first: Vec<u64>,
    /// The probability of each visible expert, summed.
    pub probability: Vec<f64>,
}

/// The counts of all expert blocks of one direction, encoder blocks first.
#[derive(Clone, Debug)]
pub struct DirectionCounts {
    /// Pairs.
    pub sentences: usize,
    /// One for each expert block.
    pub blocks: Vec<BlockCounts>,
}

/// Where an expert block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The side that it belongs to.
    pub side: Side,
    /// Its layer, from 0.
    pub layer: usize,
}

/// The expert blocks of a model, encoder blocks first.
pub fn places(config: &ModelConfig) -> Vec<Place> {
    let of = |side, layers: usize| (0..layers).map(move |layer| Place { side, layer });
    of(Side::Encoder, config.encoder_layers)
        .chain(of(Side::Decoder, config.decoder_layers))
        .filter(|place| config.is_expert_layer(place.layer))
        .collect()
}

impl BlockCounts {
    /// Of expert block `block`, encoder blocks first.
    fn new(config: &ModelConfig, block: usize) -> Self {
        let strata = config.strata_of_block(block);
        let gate = |stratum| GateCounts {
            first: vec![0; strata.visible(stratum).len()],
            probability: vec![0.0; strata.visible(stratum).len()],
            ..GateCounts::default()
        };
        Self {
            tokens_by_capacity: vec![0; strata.count()],
            mass: vec![0.0; strata.experts()],
            chosen: vec![0; strata.experts()],
            gates: (0..strata.count()).map(gate).collect(),
            ..Self::default()
        }
    }

    /// Adds a token's path through the block.
    fn add(&mut self, id: u32, routing: &BlockRouting) {
        let visits = routing.visits.len();
        self.tokens += 1;
        self.visits += visits as u64;
        if let Some(tokens) = visits.checked_sub(1).and_then(|v| self.tokens_by_capacity.get_mut(v)) {
            *tokens += 1;
        }
        let of_subword = self.subwords.entry(id).or_default();
        *of_subword = (of_subword.0 + 1, of_subword.1 + visits as u32);
        for visit in &routing.visits {
            let mut weights = visit.probabilities.clone();
            combine_weights(&mut weights);
            for (expert, weight) in visit.experts.iter().zip(weights) {
                self.chosen[*expert as usize] += 1;
                self.mass[*expert as usize] += f64::from(weight);
            }
            let gate = &mut self.gates[visit.stratum];
            gate.tokens += 1;
            if let Some(first) = visit.experts.first() {
                gate.first[*first as usize - visit.first] += 1;
            }
            for (sum, p) in gate.probability.iter_mut().zip(&visit.distribution) {
                *sum += f64::from(*p);
                if *p > 0.0 {
                    gate.entropy -= f64::from(*p) * f64::from(*p).ln();
                }
            }
        }
    }

    /// Adds the sums of another block of the same shape.
    pub fn merge(&mut self, other: &BlockCounts) {
        fn add<T: Copy + std::ops::AddAssign>(to: &mut [T], from: &[T]) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
        }
        self.tokens += other.tokens;
        self.visits += other.visits;
        add(&mut self.tokens_by_capacity, &other.tokens_by_capacity);
        add(&mut self.mass, &other.mass);
        add(&mut self.chosen, &other.chosen);
        for (gate, other) in self.gates.iter_mut().zip(&other.gates) {
            gate.tokens += other.tokens;
            gate.entropy += other.entropy;
            add(&mut gate.first, &other.first);
            add(&mut gate.probability, &other.probability);
        }
        for (id, (tokens, visits)) in &other.subwords {
            let sum = self.subwords.entry(*id).or_default();
            *sum = (sum.0 + tokens, sum.1 + visits);
        }
    }

    /// Mean requested capacity: strata visited per token.
    pub fn requested_capacity(&self) -> f64 {
        self.visits as f64 / self.tokens.max(1) as f64
    }

    /// Each expert's share of the gate mass; zeros without tokens.
    pub fn mass_share(&self) -> Vec<f64> {
        let all: f64 = self.mass.iter().sum();
        self.mass.iter().map(|mass| if all > 0.0 { mass / all } else { 0.0 }).collect()
    }

    /// Mean entropy of the gates' probabilities, nats.
    pub fn entropy(&self) -> f64 {
        let tokens: u64 = self.gates.iter().map(|gate| gate.tokens).sum();
        self.gates.iter().map(|gate| gate.entropy).sum::<f64>() / tokens.max(1) as f64
    }

    /// The training's balance loss over these tokens, the mean over gates that saw any: 1 for perfectly even experts.
    pub fn balance(&self) -> f64 {
        let seen: Vec<&GateCounts> = self.gates.iter().filter(|gate| gate.tokens > 0).collect();
        let loss = |gate: &&GateCounts| balance_loss(&gate.first, &gate.probability);
        seen.iter().map(loss).sum::<f64>() / seen.len().max(1) as f64
    }
}

impl DirectionCounts {
    /// Zero counts for a model's blocks.
    pub fn new(config: &ModelConfig) -> Self {
        Self { sentences: 0, blocks: (0..places(config).len()).map(|block| BlockCounts::new(config, block)).collect() }
    }

    /// The counts of all directions together.
    pub fn total<'a>(config: &ModelConfig, directions: impl IntoIterator<Item = &'a DirectionCounts>) -> Self {
        let mut total = Self::new(config);
        for direction in directions {
            total.sentences += direction.sentences;
            total.blocks.iter_mut().zip(&direction.blocks).for_each(|(sum, block)| sum.merge(block));
        }
        total
    }

    /// Adds a routed pair; `places` are those of the model.
    pub fn add(&mut self, places: &[Place], pair: &RoutedPair) {
        self.sentences += 1;
        let mut add = |side, ids: &[u32], tokens: &[TokenRouting]| {
            for (id, blocks) in ids.iter().zip(tokens) {
                for routing in blocks {
                    let at = places.iter().position(|p| *p == Place { side, layer: routing.layer });
                    if let Some(at) = at {
                        self.blocks[at].add(*id, routing);
                    }
                }
            }
        };
        add(Side::Encoder, &pair.source, &pair.routing.source);
        add(Side::Decoder, &pair.target, &pair.routing.target);
    }
}

#[cfg(test)]
mod tests {
    use strata_recipe::Kind;
    use strata_runtime::{GateVisit, Routing};

    use super::*;

    fn config() -> ModelConfig {
        ModelConfig {
            kind: Kind::Smoe,
            strata: vec![2, 2],
            encoder_layers: 2,
            decoder_layers: 2,
            ..ModelConfig::default()
        }
    }

    /// A visit of `stratum` that chose `experts` with these probabilities of the visible experts.
    fn visit(stratum: usize, experts: [u32; 2], distribution: &[f32]) -> GateVisit {
        let first = 2 * stratum;
        GateVisit {
            stratum,
            experts: experts.to_vec(),
            probabilities: experts.iter().map(|e| distribution[*e as usize - first]).collect(),
            distribution: distribution.to_vec(),
            first,
        }
    }

    #[test]
    fn tokens_add_up_as_the_paper_counts_them() {
        let (config, at) = (config(), Place { side: Side::Encoder, layer: 1 });
        assert_eq!(places(&config), [at, Place { side: Side::Decoder, ..at }]);
        let out = BlockRouting { layer: 1, visits: vec![visit(0, [3, 0], &[0.2, 0.1, 0.1, 0.6])] };
        let on = BlockRouting {
            layer: 1,
            visits: vec![visit(0, [0, 1], &[0.5, 0.5, 0.0, 0.0]), visit(1, [2, 3], &[0.75, 0.25])],
        };
        let routing = Routing { source: vec![vec![out], vec![on]], target: Vec::new() };
        let mut counts = DirectionCounts::new(&config);
        counts.add(&places(&config), &RoutedPair { source: vec![7, 7], target: vec![1], routing });
        let block = &counts.blocks[0];
        assert_eq!((block.tokens, block.visits, block.requested_capacity()), (2, 3, 1.5));
        assert_eq!(block.tokens_by_capacity, [1, 1]);
        assert_eq!(block.chosen, [2, 1, 1, 2]);
        let expected = [0.25 + 0.5, 0.5, 0.75, 0.75 + 0.25];
        block.mass.iter().zip(expected).for_each(|(found, mass)| assert!((found - mass).abs() < 1e-6, "{block:?}"));
        assert_eq!(block.subwords[&7], (2, 3));
        // First gate: first choices 3 and 0 once each; mean probabilities .35 .3 .05 .3. Second: 2 alone, .75 .25.
        let (first, second) = (4.0 * (0.5 * 0.35 + 0.5 * 0.3), 2.0 * 0.75);
        assert!((block.balance() - (first + second) / 2.0).abs() < 1e-6, "{}", block.balance());
        let half = -0.5f64.ln();
        assert!((block.gates[1].entropy - (-0.75 * 0.75f64.ln() - 0.25 * 0.25f64.ln())).abs() < 1e-6);
        assert!(block.entropy() > half && counts.blocks[1].tokens == 0);
        assert_eq!(counts.blocks[1].balance(), 0.0);
        let mut twice = block.clone();
        twice.merge(block);
        assert_eq!((twice.tokens, twice.requested_capacity(), twice.subwords[&7]), (4, 1.5, (4, 6)));
        assert!((twice.balance() - block.balance()).abs() < 1e-9);
    }
}
