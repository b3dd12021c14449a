//! The expert block of every kind: MoE, Switch, CMR, stacked MoE and the Stratified MoE (Xu et al., 2023, section 3).
//!
//! [`strata_routing`] states the rules (R1 to R8 in its header); this file applies them to tensors, with gradients.
//! `weights` has the block's parameters by name.

mod weights;

use std::sync::Arc;

use burn::tensor::{Tensor, activation};
use strata_kernels::{
    Activation, Dispatch, ExpertWeights, MatmulPrecision, Rows, gather_rows, host, linear, replace_rows,
};
use strata_recipe::{Exits, ExpertDropout, Kind, ModelConfig, SecondChoice};
use strata_routing::{SMALLEST_SUM, Strata, Waiting, chance};
use strata_simd::random::{mix, unit};

use crate::forward::{AtGate, Forward};
use crate::gate::{Decision, Masks, Rules, keep_rows};
use crate::share::ExpertShare;
use crate::sublayers::Norm;
use crate::trace::BlockTrace;
pub use weights::is_trained;
use weights::{Cmr, Experts, Gate};

/// An expert block with its norms and residual; it takes the place of a layer's whole FFN sub-layer.
#[derive(Clone)]
pub struct ExpertBlock {
    config: ModelConfig,
    strata: Strata,
    /// Whose weights are here; the others' are with other ranks.
    share: ExpertShare,
    norms: Vec<Norm>,
    /// One for each stratum.
    gates: Vec<Gate>,
    /// Of each gate where there is a capacity budget, `[visible experts]`: what is added to its logits when it chooses.
    /// Without gradient; [`ExpertBlock::adjust_offsets`] moves them.
    offsets: Vec<Tensor<1>>,
    /// `[strata]`, where strata learn the factor of their output.
    scales: Option<Tensor<1>>,
    experts: Experts,
    cmr: Option<Cmr>,
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
    /// `[tokens, 1]`: the probability that the token moves on to a further stratum, where exits are learned.
    go_on: Option<Tensor<2>>,
}

impl ExpertBlock {
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

    /// The experts for one pass.
    ///
    /// # Panics
    /// If some are with other ranks that do not make this pass.
    fn experts_of_pass(&self, forward: &Forward) -> ExpertWeights {
        let Experts { fc1, bias1, fc2, bias2 } = self.experts.clone();
        let weights = ExpertWeights::new(fc1, bias1, fc2, bias2, forward.products);
        match &forward.experts {
            Some(ranks) => weights.spread(ranks.clone(), self.share.bounds(self.strata.experts()).into()),
            None => {
                assert!(self.share.is_all(), "a model without all experts makes no pass alone");
                weights
            }
        }
    }

    /// Stratum by stratum; with one stratum this is the plain pre-norm MoE.
    fn stratified(&self, mut x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let [tokens, _] = x.dims();
        let mut waiting = Waiting::default();
        waiting.start(self.strata.count(), tokens);
        let mut credit: Option<Tensor<2>> = None; // [tokens, 1]: the probability with which each was sent on
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
            let input = self.on_arrival(stratum, residual.clone());
            let Visit { output, first, go_on } = self.visit_stratum(stratum, input.clone(), at, pass);
            let mut output = self.scaled(stratum, output);
            if let Some(credit) = &credit {
                let credit = if all { credit.clone() } else { gather_rows(credit.clone(), rows.clone()) };
                output = straight_through(output, credit);
            }
            let first_row = std::mem::replace(&mut pass.forward.first_row, at.before);
            let y = pass.forward.add_dropout(residual, output, self.dropout_of_sum());
            pass.forward.first_row = first_row;
            let next = self.next(stratum, &first, input, at, pass.forward);
            if at.tokens == 0 {
                pass.forward.undo_random(randomness);
            }
            rows.iter().zip(&next).for_each(|(row, next)| waiting.move_to(*next, *row));
            credit = match (credit, go_on) {
                (Some(credit), Some(go_on)) => Some(replace_rows(credit, rows.clone(), go_on)),
                (None, go_on) => go_on, // the first stratum, which all tokens visit
                (credit, None) => credit,
            };
            let y = self.on_leaving(y, &next);
            x = if all { y } else { replace_rows(x, rows, y) };
        }
        x
    }

    /// Where each token of a visit goes, given the first choices and the `input` `[tokens, d]` of the gate. By chance:
    /// in training as the pass's seed says, at inference as the token's hidden state does.
    fn next(&self, stratum: usize, first: &[usize], input: Tensor<2>, at: AtGate, forward: &mut Forward) -> Vec<usize> {
        let random = self.config.exits == Exits::Random;
        let seed = (random && forward.is_training()).then(|| forward.next_seed());
        let (d, states) = (self.config.d_model, if random && seed.is_none() { host(input) } else { Vec::new() });
        let chance = |token: usize| match seed {
            Some(seed) => unit(mix(seed, (at.before + token) as u64)),
            None => chance(stratum, &states[token * d..(token + 1) * d]),
        };
        first.iter().enumerate().map(|(i, expert)| self.strata.next(stratum, *expert, || chance(i))).collect()
    }

    /// A visit's output with the factor of its stratum.
    fn scaled(&self, stratum: usize, output: Tensor<2>) -> Tensor<2> {
        match &self.scales {
            Some(scales) => output * scales.clone().narrow(0, stratum, 1).reshape([1, 1]),
            None if self.config.visit_scale != 1.0 => output * self.config.visit_scale as f32,
            None => output,
        }
    }

    /// The dropout rate of the experts' sum: none where each expert's output has its own.
    fn dropout_of_sum(&self) -> f64 {
        match self.config.expert_dropout {
            ExpertDropout::Sum => self.config.dropout,
            ExpertDropout::Each => 0.0,
        }
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
        pass.forward.add_dropout(x, y, self.dropout_of_sum())
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
        let rate = self.config.cmr_gate_dropout;
        if pass.forward.is_training() && rate > 0.0 {
            let keep = keep_rows(at.before, tokens, rate, pass.forward.next_seed(), &x);
            gate = gate * keep / (1.0 - rate);
        }
        if at.tokens > 0 {
            pass.forward.cmr_used.push((gate.clone().sum(), at.tokens));
        }
        let mut shared = cmr.shared.apply(input, pass.forward, self.config.activation_dropout);
        if self.config.expert_dropout == ExpertDropout::Each {
            shared = pass.forward.dropout(shared, self.config.dropout);
        }
        let mixed = shared.clone() + gate * (moe - shared);
        pass.forward.add_dropout(x, mixed, self.dropout_of_sum())
    }

    /// One visit: tokens `x` `[tokens, d]`, normalized, at the gate of `stratum` and through the experts that it
    /// chooses. `at` says where they stand among those of the whole batch.
    fn visit_stratum(&self, stratum: usize, x: Tensor<2>, at: AtGate, pass: &mut Pass) -> Visit {
        if !at.visited {
            return Visit { output: x, first: Vec::new(), go_on: None };
        }
        let visible = self.strata.visible(stratum);
        // Gates decide by small differences: always f32.
        let Gate { weight, bias } = self.gates[stratum].clone();
        let logits = linear(x.clone(), weight, bias, Activation::None, MatmulPrecision::F32);
        let probabilities = activation::softmax(logits, 1); // [tokens, visible]
        let values = host(probabilities.clone());
        let rules = self.rules(stratum, pass.forward);
        let decision = Decision::new(&values, &rules, at, pass.forward.split());
        if pass.forward.is_training() && at.tokens > 0 {
            pass.balance.push(decision.balance_loss(probabilities.clone()));
        }
        let learned = self.config.exits == Exits::Learned && pass.forward.is_training();
        let go_on = (learned && stratum + 1 < self.strata.count()).then(|| {
            let leads_on = |expert| self.strata.next(stratum, expert, || 0.0) < self.strata.count();
            decision.go_on(probabilities.clone(), visible.clone().map(leads_on))
        });
        let masks =
            Masks { eom: self.config.eom, fom: self.config.fom, inference_scale: self.config.inference_scale() };
        let weights = decision.combine_weights(probabilities, masks, pass.forward);
        let chosen = decision.experts(visible.start);
        pass.trace.gates.push(decision.trace(stratum, self.strata.experts(), visible.clone(), &values));
        Visit {
            output: self.mixed(x, weights, &chosen, at, pass),
            first: decision.first().map(|expert| visible.start + expert as usize).collect(),
            go_on,
        }
    }

    /// The weighted sum of the outputs of each token's `chosen` `[tokens * k]` experts, by its `weights` `[tokens, k]`.
    fn mixed(
        &self,
        x: Tensor<2>,
        weights: Tensor<2>,
        chosen: &[Option<u32>],
        at: AtGate,
        pass: &mut Pass,
    ) -> Tensor<2> {
        let ([tokens, d], [_, k]) = (x.dims(), weights.dims());
        let dispatch = |k| Arc::new(Dispatch::new(self.strata.experts(), k, chosen));
        let hidden = pass.forward.hidden_dropout(self.config.activation_dropout, at.before * k);
        if self.config.expert_dropout == ExpertDropout::Sum || pass.forward.rate(self.config.dropout) == 0.0 {
            return pass.experts.apply(x, weights, dispatch(k), hidden);
        }
        // Each choice as a token of its own, so that dropout sees each output.
        let rows: Rows = (0..tokens as u32).flat_map(|token| std::iter::repeat_n(token, k)).collect();
        let weights = weights.reshape([tokens * k, 1]);
        let outputs = pass.experts.apply(gather_rows(x, rows), weights, dispatch(1), hidden);
        let first_row = std::mem::replace(&mut pass.forward.first_row, at.before * k);
        let outputs = pass.forward.dropout(outputs, self.config.dropout);
        pass.forward.first_row = first_row;
        outputs.reshape([tokens, k, d]).sum_dim(1).reshape([tokens, d])
    }

    /// How a gate decides in this pass. At inference experts take every token, and choices are not sampled.
    fn rules(&self, stratum: usize, forward: &mut Forward) -> Rules {
        let seed = forward.next_seed();
        let training = forward.is_training();
        Rules {
            choices: self.config.top_k,
            visible: self.strata.visible(stratum).len(),
            capacity_factor: self.config.capacity_factor.filter(|_| training),
            noise: (training && self.config.second_choice == SecondChoice::Gumbel).then_some(seed),
            offsets: self.offsets.get(stratum).map_or_else(Vec::new, |offsets| host(offsets.clone())),
        }
    }
}

/// `output` `[tokens, d]` unchanged, with a gradient for `q` `[tokens, 1]` as if it had been multiplied by `q` and
/// divided by its value: the gate that sent a token on learns whether what followed was worth more of it.
fn straight_through(output: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
    let q = q.clamp_min(SMALLEST_SUM);
    output * (q.clone() / q.detach())
}
