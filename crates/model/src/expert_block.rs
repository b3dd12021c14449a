//! The expert block of every kind: MoE, Switch, CMR, stacked MoE and the Stratified MoE (Xu et al., 2023, section 3).
//!
//! [`strata_routing`] states the rules (R1 to R8 in its header); this file applies them to tensors, with gradients.

use std::sync::Arc;

use burn::tensor::{Tensor, activation};
use strata_kernels::{Activation, Dispatch, ExpertWeights, MatmulPrecision, Rows, gather_rows, linear, replace_rows};
use strata_recipe::{Kind, ModelConfig, SecondChoice};
use strata_routing::{Strata, Waiting};

use crate::forward::{AtGate, Forward};
use crate::gate::{Decision, Rules, keep_rows};
use crate::parameter::{Initializer, WeightVisitor, join};
use crate::sublayers::{Ffn, Norm};
use crate::trace::BlockTrace;

/// An expert block with its norms and residual; it takes the place of a layer's whole FFN sub-layer.
#[derive(Clone)]
pub struct ExpertBlock {
    config: ModelConfig,
    strata: Strata,
    norms: Vec<Norm>,
    /// One for each stratum: `[visible experts, d]`.
    gates: Vec<Tensor<2>>,
    experts: Experts,
    cmr: Option<Cmr>,
}

/// All experts of a block, stacked.
#[derive(Clone)]
struct Experts {
    /// `[experts, d_ffn, d]`
    fc1: Tensor<3>,
    /// `[experts, d_ffn]`
    bias1: Tensor<2>,
    /// `[experts, d, d_ffn]`
    fc2: Tensor<3>,
    /// `[experts, d]`
    bias2: Tensor<2>,
}

/// The shared FFN of conditional MoE routing and the gate that mixes it in.
#[derive(Clone)]
struct Cmr {
    /// `[1, d]`
    weight: Tensor<2>,
    /// `[1]`
    bias: Tensor<1>,
    shared: Ffn,
}

/// One pass through a block: what its visits to gates share.
struct Pass<'a> {
    forward: &'a mut Forward,
    experts: ExpertWeights,
    trace: BlockTrace,
    /// Balance loss of each gate that tokens visited; `[1]` each. Empty at inference.
    balance: Vec<Tensor<1>>,
}

/// What a visit to one gate gives.
struct Visit {
    /// The experts' weighted outputs `[tokens, d]`, without residual.
    output: Tensor<2>,
    /// Each token's first choice, by its index in the block.
    first: Vec<usize>,
}

impl ExpertBlock {
    /// A block for a checked configuration; weights are named below `path`.
    pub fn new(init: &Initializer, path: &str, config: &ModelConfig) -> Self {
        let strata = config.block_strata();
        let (d, f, experts) = (config.d_model, config.d_ffn, strata.experts());
        let gate = |i: usize| init.gate(&format!("{path}.gate.{i}.weight"), [strata.visible(i).len(), d]);
        let cmr = (config.kind == Kind::Cmr).then(|| Cmr {
            weight: init.gate(&join(path, "cmr_gate.weight"), [1, d]),
            bias: init.constant(0.0, [1]),
            shared: Ffn::new(init, &join(path, "shared"), config),
        });
        let stack = join(path, "experts");
        Self {
            norms: (0..strata.norms()).map(|_| Norm::new(init, d)).collect(),
            gates: (0..strata.count()).map(gate).collect(),
            experts: Experts {
                fc1: init.stacked(&stack, "fc1.weight", [experts, f, d]),
                bias1: init.constant(0.0, [experts, f]),
                fc2: init.stacked(&stack, "fc2.weight", [experts, d, f]),
                bias2: init.constant(0.0, [experts, d]),
            },
            cmr,
            strata,
            config: config.clone(),
        }
    }

    /// The block's output, residual included, for packed tokens `x` `[tokens, d]`.
    ///
    /// `forward` gets the block's auxiliary losses and its trace: `trace` says where the block is, the rest is filled
    /// in.
    pub fn apply(&self, x: Tensor<2>, forward: &mut Forward, mut trace: BlockTrace) -> Tensor<2> {
        let experts = self.experts_of_pass(forward);
        trace.strata_visited = vec![0; x.dims()[0]];
        let mut pass = Pass { forward, experts, trace, balance: Vec::new() };
        let y = match (self.config.kind, &self.cmr) {
            (Kind::Stacked, _) => self.stacked(x, &mut pass),
            (_, Some(cmr)) => self.cmr(cmr, x, &mut pass),
            _ => self.stratified(x, &mut pass),
        };
        let Pass { balance, trace, .. } = pass;
        let gates = balance.len();
        if let Some(sum) = balance.into_iter().reduce(|a, b| a + b) {
            forward.balance.push(sum / gates as f32);
        }
        forward.blocks.push(trace);
        y
    }

    /// The experts for one pass, those of this rank where they are spread.
    fn experts_of_pass(&self, forward: &Forward) -> ExpertWeights {
        let Experts { fc1, bias1, fc2, bias2 } = self.experts.clone();
        let Some(ranks) = &forward.experts else {
            return ExpertWeights::new(fc1, bias1, fc2, bias2, forward.products);
        };
        let (all, size) = (self.strata.experts(), ranks.size());
        let bounds: Vec<usize> = (0..=size).map(|rank| rank * all / size).collect();
        let (from, n) = (bounds[ranks.rank()], bounds[ranks.rank() + 1] - bounds[ranks.rank()]);
        let [bias1, bias2] = [bias1, bias2].map(|bias| bias.narrow(0, from, n));
        let [fc1, fc2] = [fc1, fc2].map(|weight| weight.narrow(0, from, n));
        ExpertWeights::new(fc1, bias1, fc2, bias2, forward.products).spread(ranks.clone(), bounds.into())
    }

    /// Stratum by stratum; with one stratum this is the plain pre-norm MoE.
    fn stratified(&self, mut x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let [tokens, _] = x.dims();
        let mut waiting = Waiting::default();
        waiting.start(self.strata.count(), tokens);
        for stratum in 0..self.strata.count() {
            let rows: Rows = waiting.take(stratum).into();
            let at = pass.forward.at_gate(rows.len());
            if !at.visited {
                continue;
            }
            let randomness = pass.forward.random_decisions();
            rows.iter().for_each(|row| pass.trace.strata_visited[*row as usize] += 1);
            let all = rows.len() == tokens;
            let residual = if all { x.clone() } else { gather_rows(x.clone(), rows.clone()) };
            let visit = self.visit_stratum(stratum, self.on_arrival(stratum, residual.clone()), at, pass);
            let first_row = std::mem::replace(&mut pass.forward.first_row, at.before);
            let y = pass.forward.add_dropout(residual, visit.output, self.config.dropout);
            pass.forward.first_row = first_row;
            if at.tokens == 0 {
                pass.forward.undo_random(randomness);
            }
            let next: Vec<usize> = visit.first.iter().map(|expert| self.strata.next(*expert)).collect();
            rows.iter().zip(&next).for_each(|(row, next)| waiting.move_to(*next, *row));
            let y = self.on_leaving(y, &next);
            x = if all { y } else { replace_rows(x, rows, y) };
        }
        x
    }

    /// Tokens as a stratum takes them: normalized, unless they came normalized.
    fn on_arrival(&self, stratum: usize, x: Tensor<2>) -> Tensor<2> {
        match self.strata.norm_on_arrival(stratum) {
            Some(norm) => self.norms[norm].apply(x),
            None => x,
        }
    }

    /// Tokens as they leave a stratum: row `i` goes on to stratum `next[i]` and is normalized for it where norms stand
    /// on leaving.
    fn on_leaving(&self, y: Tensor<2>, next: &[usize]) -> Tensor<2> {
        let mut out = y.clone();
        for stratum in 1..=self.strata.count() {
            let Some(norm) = self.strata.norm_on_leaving(stratum) else { continue };
            let rows: Vec<u32> = (0..).zip(next).filter(|(_, next)| **next == stratum).map(|(row, _)| row).collect();
            if !rows.is_empty() {
                let rows: Rows = rows.into();
                let normed = self.norms[norm].apply(gather_rows(y.clone(), rows.clone()));
                out = replace_rows(out, rows, normed);
            }
        }
        out
    }

    /// MoE layers one after another, without norm or residual between; every token visits them all.
    fn stacked(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let at = pass.forward.at_gate(x.dims()[0]);
        let mut y = x.clone();
        for layer in 0..self.strata.count() {
            pass.trace.strata_visited.iter_mut().for_each(|visits| *visits += 1);
            y = self.visit_stratum(layer, self.on_arrival(layer, y), at, pass).output;
        }
        pass.forward.add_dropout(x, y, self.config.dropout)
    }

    /// Conditional MoE routing (Kudugunta et al., 2021): `(1 - g) FFN(x) + g MoE(x)` with a sigmoid gate g of each
    /// token.
    fn cmr(&self, cmr: &Cmr, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let [tokens, _] = x.dims();
        let input = self.on_arrival(0, x.clone());
        pass.trace.strata_visited.fill(1);
        let at = pass.forward.at_gate(tokens);
        let moe = self.visit_stratum(0, input.clone(), at, pass).output;
        let logit =
            linear(input.clone(), cmr.weight.clone(), Some(cmr.bias.clone()), Activation::None, MatmulPrecision::F32);
        let mut gate = activation::sigmoid(logit); // [tokens, 1]
        if pass.forward.is_training() && self.config.cmr_gate_dropout > 0.0 {
            gate = gate * keep_rows(at.before, tokens, self.config.cmr_gate_dropout, pass.forward.next_seed(), &x);
        }
        if at.tokens > 0 {
            let used = match pass.forward.split() {
                None => gate.clone().mean(),
                Some(_) => gate.clone().sum() / at.tokens as f32,
            };
            pass.forward.cmr_used.push(used);
        }
        let shared = cmr.shared.apply(input, pass.forward, self.config.activation_dropout);
        let mixed = shared.clone() + gate * (moe - shared);
        pass.forward.add_dropout(x, mixed, self.config.dropout)
    }

    /// One visit: tokens `x` `[tokens, d]`, normalized, at the gate of `stratum` and through the experts that it
    /// chooses. `at` says where they stand among those of the whole batch.
    fn visit_stratum(&self, stratum: usize, x: Tensor<2>, at: AtGate, pass: &mut Pass) -> Visit {
        if !at.visited {
            return Visit { output: x, first: Vec::new() };
        }
        let visible = self.strata.visible(stratum);
        // Gates decide by small differences: always f32.
        let logits = linear(x.clone(), self.gates[stratum].clone(), None, Activation::None, MatmulPrecision::F32);
        let probabilities = activation::softmax(logits, 1); // [tokens, visible]
        let values = host(probabilities.clone());
        let rules = self.rules(visible.len(), pass.forward);
        let decision = Decision::new(&values, &rules, at, pass.forward.split());
        if pass.forward.is_training() && at.tokens > 0 {
            pass.balance.push(decision.balance_loss(probabilities.clone()));
        }
        let weights = decision.combine_weights(probabilities, self.config.eom, pass.forward);
        let chosen = decision.experts(visible.start);
        let dispatch = Arc::new(Dispatch::new(self.strata.experts(), self.config.top_k, &chosen));
        pass.trace.gates.push(decision.trace(self.strata.experts(), visible.start, &values));
        Visit {
            output: pass.experts.apply(x, weights, dispatch),
            first: decision.first().map(|expert| visible.start + expert as usize).collect(),
        }
    }

    /// How a gate decides in this pass. At inference experts take every token, and choices are not sampled.
    fn rules(&self, visible: usize, forward: &mut Forward) -> Rules {
        let seed = forward.next_seed();
        let training = forward.is_training();
        Rules {
            choices: self.config.top_k,
            visible,
            capacity_factor: self.config.capacity_factor.filter(|_| training),
            noise: (training && self.config.second_choice == SecondChoice::Gumbel).then_some(seed),
        }
    }

    /// Visits every weight of the block under its name; experts stay stacked.
    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        for (i, norm) in self.norms.iter_mut().enumerate() {
            norm.visit_weights(&format!("{path}.norm.{i}"), visitor);
        }
        for (i, gate) in self.gates.iter_mut().enumerate() {
            visitor.visit_weight(&format!("{path}.gate.{i}.weight"), gate);
        }
        visitor.visit_weight(&join(path, "experts.*.fc1.weight"), &mut self.experts.fc1);
        visitor.visit_weight(&join(path, "experts.*.fc1.bias"), &mut self.experts.bias1);
        visitor.visit_weight(&join(path, "experts.*.fc2.weight"), &mut self.experts.fc2);
        visitor.visit_weight(&join(path, "experts.*.fc2.bias"), &mut self.experts.bias2);
        if let Some(cmr) = &mut self.cmr {
            visitor.visit_weight(&join(path, "cmr_gate.weight"), &mut cmr.weight);
            visitor.visit_weight(&join(path, "cmr_gate.bias"), &mut cmr.bias);
            cmr.shared.visit_weights(&join(path, "shared"), visitor);
        }
    }
}

/// A tensor's values on the host.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
