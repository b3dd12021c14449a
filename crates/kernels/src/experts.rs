//! The expert FFNs of one visit over ragged groups: `y[t] = sum over choices of weight * FFN_e(x[t])`.
//!
//! Tokens are grouped by expert without padding (`dispatch`), both products of a group run over contiguous rows
//! (`groups`), the hidden values between them may be dropped (`hidden`), and the combine weights are applied on the way
//! back to the tokens.

mod dispatch;
mod groups;
mod hidden;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use burn::tensor::{IndexingUpdateOp, Tensor, activation::relu};
use strata_ranks::Ranks;

use crate::away::Away;
use crate::dropout::drawn_by_device;
use crate::flex::{FlexTensor, Operand, Values, on_flex, record, tensor};
use crate::precision::MatmulPrecision;
use crate::rows::{gather, index};
pub use dispatch::{Dispatch, mask_dropped};
pub(crate) use groups::{Forward, Groups, WeightGradients};
pub use hidden::HiddenDropout;
pub(crate) use hidden::SlotMasks;

/// The experts of one block, all strata together, experts stacked along the first dimension.
///
/// A block calls [`ExpertWeights::apply`] once for each stratum that tokens visit. On the CPU the weight gradients of
/// those visits are added up in one shared buffer: the backward pass comes to the first visit last, and only that one
/// hands the sum to the parameters.
pub struct ExpertWeights {
    /// `[experts, d_ffn, d]`
    fc1: Tensor<3>,
    /// `[experts, d_ffn]`
    bias1: Tensor<2>,
    /// `[experts, d, d_ffn]`
    fc2: Tensor<3>,
    /// `[experts, d]`
    bias2: Tensor<2>,
    precision: MatmulPrecision,
    pending: Arc<Mutex<Option<WeightGradients>>>,
    visits: usize,
    /// The ranks among which the experts are spread, and the bounds of their shares: rank `r` has `bounds[r]` to
    /// `bounds[r + 1]`, and the weights here are those of this rank alone.
    spread: Option<(Ranks, Arc<[usize]>)>,
}

impl ExpertWeights {
    /// Experts for one forward pass: `fc1` `[experts, d_ffn, d]`, `bias1` `[experts, d_ffn]`, `fc2`
    /// `[experts, d, d_ffn]`, `bias2` `[experts, d]`.
    pub fn new(fc1: Tensor<3>, bias1: Tensor<2>, fc2: Tensor<3>, bias2: Tensor<2>, precision: MatmulPrecision) -> Self {
        Self { fc1, bias1, fc2, bias2, precision, pending: Arc::default(), visits: 0, spread: None }
    }

    /// The same where the block's experts are spread over `ranks`: rank `r` has those from `bounds[r]` to
    /// `bounds[r + 1]`, and `self` holds this rank's alone. Every rank makes the same visits, also with no tokens.
    ///
    /// # Panics
    /// If the bounds are not those of this rank's weights, or the device is not the CPU.
    pub fn spread(mut self, ranks: Ranks, bounds: Arc<[usize]>) -> Self {
        let mine = bounds[ranks.rank() + 1] - bounds[ranks.rank()];
        assert_eq!(mine, self.fc1.dims()[0], "a rank's bounds are those of its weights");
        assert!(on_flex(&self.fc1.device()), "experts are spread on the CPU only");
        self.spread = Some((ranks, bounds));
        self
    }

    /// The experts' weighted outputs, without residual: `x` `[tokens, d]`, `weights` `[tokens, k]` -> `[tokens, d]`,
    /// with `dropout` of the experts' hidden values.
    ///
    /// Tokens without a slot get zero. A later call's `x` must depend on the earlier calls' results wherever gradients
    /// are recorded, as it does for strata.
    pub fn apply(
        &mut self,
        x: Tensor<2>,
        weights: Tensor<2>,
        dispatch: Arc<Dispatch>,
        dropout: HiddenDropout,
    ) -> Tensor<2> {
        if !on_flex(&x.device()) {
            return self.composed(x, weights, &dispatch, |hidden, _| drawn_by_device(hidden, dropout.rate));
        }
        let [n, d] = x.dims();
        let [experts, d_ffn, _] = self.fc1.dims();
        let all = self.spread.as_ref().map_or(experts, |(_, bounds)| bounds[bounds.len() - 1]);
        assert_eq!(dispatch.experts(), all, "dispatch and weights have the same experts");
        let first = self.visits == 0;
        self.visits += 1;
        let (x, weights) = (Operand::new(x), Operand::new(weights));
        let parameters = [
            Operand::new(self.fc1.clone()),
            Operand::new(self.bias1.clone()),
            Operand::new(self.fc2.clone()),
            Operand::new(self.bias2.clone()),
        ];
        let trained = parameters.iter().any(Operand::tracked);
        let visit = self.visit(&parameters, x.values(), weights.values(), dispatch, dropout);
        let out = tensor(visit.groups.combine(visit.slots.outputs(), &visit.weights, n), [n, d]);
        let pending = self.pending.clone();
        let backward = move |grad: Values| {
            let mut pending = pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let gradients = visit.backward(&grad, n, trained.then_some(&mut *pending));
            let done = if first { pending.take() } else { None };
            (gradients, done)
        };
        if !first {
            return record([x, weights], out, move |grad, _| backward(grad).0.map(Some));
        }
        let [fc1, bias1, fc2, bias2] = parameters;
        record([x, weights, fc1, bias1, fc2, bias2], out, move |grad, _| {
            let ([dx, dweights], done) = backward(grad);
            let [fc1, bias1, fc2, bias2] = match done {
                Some(g) => [
                    Some(tensor(g.fc1, [experts, d_ffn, d])),
                    Some(tensor(g.bias1, [experts, d_ffn])),
                    Some(tensor(g.fc2, [experts, d, d_ffn])),
                    Some(tensor(g.bias2, [experts, d])),
                ],
                None => [None, None, None, None],
            };
            [Some(dx), Some(dweights), fc1, bias1, fc2, bias2]
        })
    }

    /// The forward pass of one visit, here or spread over ranks.
    fn visit(
        &self,
        [fc1, bias1, fc2, bias2]: &[Operand; 4],
        x: Values,
        weights: Values,
        dispatch: Arc<Dispatch>,
        dropout: HiddenDropout,
    ) -> Visit {
        let [_, d_ffn, d] = self.fc1.dims();
        let groups = Groups {
            d,
            d_ffn,
            fc1: fc1.values(),
            bias1: bias1.values(),
            fc2: fc2.values(),
            bias2: bias2.values(),
            masks: SlotMasks::new(&dropout, &dispatch),
            dispatch,
            precision: self.precision,
        };
        let slots = match &self.spread {
            None => Visited::Here(groups.forward(&x)),
            Some((ranks, bounds)) => Visited::Away(Box::new(Away::forward(ranks.clone(), bounds, &groups, &x))),
        };
        Visit { groups, x, weights, slots }
    }

    /// The same of Burn's operations. `dropped` gives an expert's hidden values `[slots, d_ffn]` after dropout, told
    /// which slots they are.
    fn composed(
        &self,
        x: Tensor<2>,
        weights: Tensor<2>,
        dispatch: &Dispatch,
        dropped: impl Fn(Tensor<2>, Range<usize>) -> Tensor<2>,
    ) -> Tensor<2> {
        let [n, d] = x.dims();
        let [_, d_ffn, _] = self.fc1.dims();
        let mut out = Vec::new();
        for e in 0..dispatch.experts() {
            let slots = dispatch.offsets[e]..dispatch.offsets[e + 1];
            if slots.is_empty() {
                continue;
            }
            let tokens = index(&dispatch.tokens[slots.clone()], &x);
            let fc1 = self.fc1.clone().narrow(0, e, 1).reshape([d_ffn, d]);
            let fc2 = self.fc2.clone().narrow(0, e, 1).reshape([d, d_ffn]);
            let x = x.clone().select(0, tokens);
            let hidden = relu(self.precision.matmul(x, fc1.transpose()) + self.bias1.clone().narrow(0, e, 1));
            let hidden = dropped(hidden, slots);
            out.push(self.precision.matmul(hidden, fc2.transpose()) + self.bias2.clone().narrow(0, e, 1));
        }
        let zeros = Tensor::zeros([n, d], &x.device());
        if out.is_empty() {
            return zeros;
        }
        let places: Vec<u32> = (0..dispatch.tokens.len()).map(|slot| dispatch.weight_place(slot) as u32).collect();
        let weights = weights.reshape([n * dispatch.k, 1]);
        let places = index(&places, &weights);
        let y = Tensor::cat(out, 0) * weights.select(0, places);
        let tokens = index(&dispatch.tokens, &y);
        zeros.select_assign(0, tokens, y, IndexingUpdateOp::Add)
    }
}

/// A visit between its forward and its backward pass.
struct Visit {
    groups: Groups,
    /// `[tokens, d]`
    x: Values,
    /// `[tokens, k]`
    weights: Values,
    slots: Visited,
}

impl Visit {
    /// Gradients of `x` and of the combine weights from that of the output of the `n` tokens; those of the experts are
    /// added to `total`.
    fn backward(&self, grad: &[f32], n: usize, total: Option<&mut Option<WeightGradients>>) -> [FlexTensor; 2] {
        let Self { groups, x, weights, slots } = self;
        let (d, k) = (groups.d, groups.dispatch.k);
        let (dy, dweights) = groups.output_gradients(weights, slots.outputs(), grad);
        let dsorted = match slots {
            Visited::Here(forward) => {
                groups.input_gradients(&gather(x, &groups.dispatch.tokens, d), &dy, &forward.hidden, total)
            }
            Visited::Away(away) => away.backward(dy, total),
        };
        let dx = groups.sum_per_token(
            &dsorted,
            n,
            #[inline(always)]
            |_| 1.0,
        );
        [tensor(dx, [n, d]), tensor(dweights, [n, k])]
    }
}

/// What a visit keeps for the backward pass.
enum Visited {
    /// All experts are here.
    Here(Forward),
    /// They are spread over ranks.
    Away(Box<Away>),
}

impl Visited {
    /// Expert outputs of this rank's slots before weighting, `[slots, d]`.
    fn outputs(&self) -> &[f32] {
        match self {
            Visited::Here(forward) => &forward.y,
            Visited::Away(away) => away.outputs(),
        }
    }
}
