//! The expert block of every kind: MoE, Switch, CMR, stacked MoE and the Stratified MoE
//! (Xu et al., Findings of EMNLP 2023, section 3), in its two variants of normalisation.

use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData, activation};
use strata_kernels::{
    Activation, Dispatch, ExpertWeights, MatmulPrecision, Rows, gather_rows, linear, mask_dropped, replace_rows,
};
use strata_recipe::{Kind, ModelConfig, Normalisation, SecondChoice};
use strata_simd::random::mix;

use crate::forward::Forward;
use crate::gate::{Decision, Rules, decide};
use crate::layers::{Ffn, Norm};
use crate::parameter::{Initialiser, Visitor, join};
use crate::trace::{BlockTrace, GateTrace};

/// An expert block with its norms and residual: it takes the place of a layer's whole FFN sub-layer.
#[derive(Clone)]
pub struct ExpertBlock {
    config: ModelConfig,
    /// Experts of each stratum.
    strata: Vec<usize>,
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

/// What one visit to a gate gives: the experts' weighted outputs and each token's first choice (global index).
struct Visit {
    output: Tensor<2>,
    first: Vec<u32>,
}

/// Below this the sum of the kept probabilities counts as zero.
const SMALLEST_SUM: f32 = f32::EPSILON;

impl ExpertBlock {
    /// A block for a checked configuration; weights are named below `path`.
    pub fn new(init: &Initialiser, path: &str, config: &ModelConfig) -> Self {
        let strata = config.strata_of_block();
        let (d, f, experts) = (config.d_model, config.d_ffn, config.experts_of_block());
        let gates = (0..strata.len())
            .map(|i| init.gate(&format!("{path}.gate.{i}.weight"), [config.visible_experts(i), d]))
            .collect();
        let cmr = (config.kind == Kind::Cmr).then(|| Cmr {
            weight: init.gate(&join(path, "cmr_gate.weight"), [1, d]),
            bias: init.constant(0.0, [1]),
            shared: Ffn::new(init, &join(path, "shared"), config),
        });
        let stack = join(path, "experts");
        Self {
            norms: (0..config.norms_of_block()).map(|_| Norm::new(init, d)).collect(),
            gates,
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

    /// The block's output, residual included, for packed tokens `x` `[n, d]`.
    ///
    /// The pass gets the block's trace (filled into `trace`, which says where the block is) and auxiliary losses.
    pub fn apply(&self, x: Tensor<2>, forward: &mut Forward, mut trace: BlockTrace) -> Tensor<2> {
        let e = &self.experts;
        let mut experts =
            ExpertWeights::new(e.fc1.clone(), e.bias1.clone(), e.fc2.clone(), e.bias2.clone(), forward.products);
        let mut losses = Vec::new();
        let n = x.dims()[0];
        trace.strata_visited = vec![0; n];
        let y = match self.config.kind {
            Kind::Stacked => self.stacked(x, &mut experts, forward, &mut trace, &mut losses),
            Kind::Cmr => self.cmr(x, &mut experts, forward, &mut trace, &mut losses),
            _ => self.stratified(x, &mut experts, forward, &mut trace, &mut losses),
        };
        let gates = losses.len();
        if let Some(sum) = losses.into_iter().reduce(|a, b| a + b) {
            forward.balance.push(sum / gates as f32);
        }
        forward.blocks.push(trace);
        y
    }

    /// Stratum by stratum; with one stratum this is the plain pre-norm MoE.
    fn stratified(
        &self,
        mut x: Tensor<2>,
        experts: &mut ExpertWeights,
        forward: &mut Forward,
        trace: &mut BlockTrace,
        losses: &mut Vec<Tensor<1>>,
    ) -> Tensor<2> {
        let n = x.dims()[0];
        let on_leaving = self.config.normalisation == Normalisation::Reference && self.strata.len() > 1;
        let stratum_of: Vec<usize> =
            self.strata.iter().enumerate().flat_map(|(s, count)| std::iter::repeat_n(s, *count)).collect();
        // Rows waiting at each stratum, ascending, as stratum of arrival 0..=L; L is the exit.
        let mut waiting: Vec<Vec<u32>> = vec![Vec::new(); self.strata.len() + 1];
        waiting[0] = (0..n as u32).collect();
        for stratum in 0..self.strata.len() {
            let rows = std::mem::take(&mut waiting[stratum]);
            if rows.is_empty() {
                continue;
            }
            rows.iter().for_each(|row| trace.strata_visited[*row as usize] += 1);
            let all = rows.len() == n;
            let rows: Rows = rows.into();
            let residual = if all { x.clone() } else { gather_rows(x.clone(), rows.clone()) };
            let input = if on_leaving && stratum > 0 {
                residual.clone() // normalised when it left the stratum before
            } else {
                self.norms[stratum].apply(residual.clone())
            };
            let visit = self.visit(stratum, input, &rows, experts, forward, trace, losses);
            let y = forward.add_dropout(residual, visit.output, self.config.dropout);
            let arrivals: Vec<usize> = visit.first.iter().map(|e| stratum_of[*e as usize] + 1).collect();
            let y = if on_leaving { self.normalise_on_leaving(y, &arrivals) } else { y };
            for (row, to) in rows.iter().zip(&arrivals) {
                waiting[*to].push(*row);
            }
            // Tokens come from several earlier strata; queues and traces want them in token order.
            waiting.iter_mut().for_each(|rows| rows.sort_unstable());
            x = if all { y } else { replace_rows(x, rows, y) };
        }
        x
    }

    /// Row `i` of `y` normed by the norm of the stratum `arrivals[i]` it moves to (or of the exit).
    fn normalise_on_leaving(&self, y: Tensor<2>, arrivals: &[usize]) -> Tensor<2> {
        let mut out = y.clone();
        for (stratum, norm) in self.norms.iter().enumerate().skip(1) {
            let rows: Rows =
                (0..arrivals.len() as u32).filter(|i| arrivals[*i as usize] == stratum).collect::<Vec<u32>>().into();
            if !rows.is_empty() {
                out = replace_rows(out, rows.clone(), norm.apply(gather_rows(y.clone(), rows)));
            }
        }
        out
    }

    /// Layers of experts one after another, without norm or residual between.
    fn stacked(
        &self,
        x: Tensor<2>,
        experts: &mut ExpertWeights,
        forward: &mut Forward,
        trace: &mut BlockTrace,
        losses: &mut Vec<Tensor<1>>,
    ) -> Tensor<2> {
        let rows: Rows = (0..x.dims()[0] as u32).collect::<Vec<u32>>().into();
        let mut y = self.norms[0].apply(x.clone());
        for layer in 0..self.strata.len() {
            trace.strata_visited.iter_mut().for_each(|visits| *visits += 1);
            y = self.visit(layer, y, &rows, experts, forward, trace, losses).output;
        }
        forward.add_dropout(x, y, self.config.dropout)
    }

    /// `(1 - g) FFN + g MoE` with a sigmoid gate g for each token (Kudugunta et al., 2021).
    fn cmr(
        &self,
        x: Tensor<2>,
        experts: &mut ExpertWeights,
        forward: &mut Forward,
        trace: &mut BlockTrace,
        losses: &mut Vec<Tensor<1>>,
    ) -> Tensor<2> {
        let n = x.dims()[0];
        let rows: Rows = (0..n as u32).collect::<Vec<u32>>().into();
        let input = self.norms[0].apply(x.clone());
        trace.strata_visited.fill(1);
        let moe = self.visit(0, input.clone(), &rows, experts, forward, trace, losses).output;
        let Some(cmr) = &self.cmr else { return moe };
        let logit =
            linear(input.clone(), cmr.weight.clone(), Some(cmr.bias.clone()), Activation::None, MatmulPrecision::F32);
        let mut gate = activation::sigmoid(logit); // [n, 1]
        if forward.is_training() && self.config.cmr_gate_dropout > 0.0 {
            gate = gate * keep_rows(n, self.config.cmr_gate_dropout, forward.next_seed(), &x);
        }
        if n > 0 {
            forward.cmr_used.push(gate.clone().mean());
        }
        let shared = cmr.shared.apply(input, forward, self.config.activation_dropout);
        let mixed = shared.clone() + gate * (moe - shared);
        forward.add_dropout(x, mixed, self.config.dropout)
    }

    /// One visit: tokens `x` `[m, d]`, rows `rows` of the batch, at gate `stratum`.
    #[allow(clippy::too_many_arguments)]
    fn visit(
        &self,
        stratum: usize,
        x: Tensor<2>,
        rows: &Rows,
        experts: &mut ExpertWeights,
        forward: &mut Forward,
        trace: &mut BlockTrace,
        losses: &mut Vec<Tensor<1>>,
    ) -> Visit {
        let tokens = x.dims()[0];
        let (visible, k) = (self.config.visible_experts(stratum), self.config.top_k);
        let first_expert: u32 = self.strata[..stratum].iter().sum::<usize>() as u32;
        if tokens == 0 {
            return Visit { output: x, first: Vec::new() };
        }
        let logits = linear(x.clone(), self.gates[stratum].clone(), None, Activation::None, MatmulPrecision::F32);
        let probabilities = activation::softmax(logits, 1); // [m, visible]
        let values = host(probabilities.clone());
        let training = forward.is_training();
        let rules = Rules {
            k,
            capacity: if training { self.config.capacity(tokens, visible) } else { None },
            second: if training { self.config.second_choice } else { SecondChoice::Argmax },
            seed: forward.next_seed(),
        };
        let decision = decide(&values, visible, &rules);
        if forward.is_training() {
            losses.push(balance_loss(probabilities.clone(), &decision, k));
        }
        let chosen: Vec<Option<u32>> = decision
            .choices
            .iter()
            .zip(&decision.kept)
            .map(|(expert, kept)| kept.then_some(first_expert + expert))
            .collect();
        let weights = self.combine_weights(probabilities, &decision, &chosen, forward);
        let dispatch = Arc::new(Dispatch::new(self.config.experts_of_block(), k, &chosen));
        trace.gates.push(self.gate_trace(stratum, first_expert, &values, &decision, rows, forward.detailed));
        Visit {
            output: experts.apply(x, weights, dispatch),
            first: decision.first(k).map(|expert| first_expert + expert).collect(),
        }
    }

    /// Combine weights `[m, k]`, expert output masking included.
    fn combine_weights(
        &self,
        probabilities: Tensor<2>,
        decision: &Decision,
        chosen: &[Option<u32>],
        forward: &mut Forward,
    ) -> Tensor<2> {
        let [tokens, _] = probabilities.dims();
        let k = self.config.top_k;
        let choices: Vec<i32> = decision.choices.iter().map(|c| *c as i32).collect();
        let device = probabilities.device();
        let choices = Tensor::<2, Int>::from_data(TensorData::new(choices, [tokens, k]), &device);
        let mut weights = probabilities.gather(1, choices);
        if decision.kept.iter().any(|kept| !kept) {
            weights = mask_dropped(weights, chosen);
        }
        if k > 1 {
            weights = weights.clone() / weights.sum_dim(1).clamp_min(SMALLEST_SUM);
        }
        match self.config.eom {
            0.0 => weights,
            rate if forward.is_training() => {
                let keep = keep_rows(tokens, rate, forward.next_seed(), &weights);
                weights * keep
            }
            rate => weights * (1.0 - rate),
        }
    }

    fn gate_trace(
        &self,
        stratum: usize,
        first_expert: u32,
        probabilities: &[f32],
        decision: &Decision,
        rows: &Rows,
        detailed: bool,
    ) -> GateTrace {
        let visible = self.config.visible_experts(stratum);
        let mut chosen = vec![0u32; self.config.experts_of_block()];
        decision.choices.iter().for_each(|expert| chosen[(first_expert + expert) as usize] += 1);
        let entropy = probabilities.iter().map(|p| f64::from(-p * p.max(1e-30).ln())).sum();
        let mut trace = GateTrace {
            stratum,
            tokens: rows.len(),
            chosen,
            dropped: decision.kept.iter().filter(|kept| !**kept).count(),
            entropy,
            ..GateTrace::default()
        };
        if detailed {
            trace.rows = rows.to_vec();
            trace.experts = decision.choices.iter().map(|expert| first_expert + expert).collect();
            let row_of = |place: usize| place / self.config.top_k * visible;
            trace.probabilities =
                decision.choices.iter().enumerate().map(|(i, e)| probabilities[row_of(i) + *e as usize]).collect();
        }
        trace
    }

    /// Visits every weight of the block under its name; experts stay stacked.
    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl Visitor) {
        for (i, norm) in self.norms.iter_mut().enumerate() {
            norm.visit(&format!("{path}.norm.{i}"), visitor);
        }
        for (i, gate) in self.gates.iter_mut().enumerate() {
            visitor.visit(&format!("{path}.gate.{i}.weight"), gate);
        }
        visitor.visit(&join(path, "experts.*.fc1.weight"), &mut self.experts.fc1);
        visitor.visit(&join(path, "experts.*.fc1.bias"), &mut self.experts.bias1);
        visitor.visit(&join(path, "experts.*.fc2.weight"), &mut self.experts.fc2);
        visitor.visit(&join(path, "experts.*.fc2.bias"), &mut self.experts.bias2);
        if let Some(cmr) = &mut self.cmr {
            visitor.visit(&join(path, "cmr_gate.weight"), &mut cmr.weight);
            visitor.visit(&join(path, "cmr_gate.bias"), &mut cmr.bias);
            cmr.shared.visit(&join(path, "shared"), visitor);
        }
    }
}

/// `V * sum over experts of f_e * p_e` (spec "Balance loss"); `[1]`.
fn balance_loss(probabilities: Tensor<2>, decision: &Decision, k: usize) -> Tensor<1> {
    let [tokens, visible] = probabilities.dims();
    let mut share = vec![0.0f32; visible];
    decision.first(k).for_each(|expert| share[expert as usize] += 1.0 / tokens as f32);
    let share = Tensor::<2>::from_data(TensorData::new(share, [1, visible]), &probabilities.device());
    (probabilities.mean_dim(0) * share).sum() * visible as f32
}

/// `[n, 1]` of ones and, with probability `rate`, zeros, beside `like`.
fn keep_rows(n: usize, rate: f64, seed: u64, like: &Tensor<2>) -> Tensor<2> {
    let limit = (rate * u64::MAX as f64) as u64;
    let keep: Vec<f32> = (0..n as u64).map(|i| if mix(seed, i) < limit { 0.0 } else { 1.0 }).collect();
    Tensor::from_data(TensorData::new(keep, [n, 1]), &like.device())
}

/// A tensor's values on the host.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
