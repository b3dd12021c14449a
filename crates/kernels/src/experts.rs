//! The expert FFNs of one visit over ragged groups: `y[t] = sum over choices of weight * FFN_e(x[t])`.
//!
//! Tokens are grouped by expert without padding, both products of a group run over contiguous rows, and the combine
//! weights are applied on the way back to the tokens.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use burn::tensor::{IndexingUpdateOp, Tensor, TensorData, activation::relu};
use rayon::prelude::*;
use strata_ranks::Ranks;
use strata_simd::dot;

use crate::away::Away;
use crate::buffer::{Room, Shared, filled};
use crate::flex::{FlexTensor, Operand, Values, on_flex, record, tensor};
use crate::gemm::{After, Matrix, Product, Threads, multiply_all};
use crate::linear::column_sums;
use crate::parallel::for_rows;
use crate::precision::MatmulPrecision;
use crate::rows::{gather, index};

/// Which tokens go to which expert: slots sorted by expert, each the choice of one token.
#[derive(Clone, Debug, Default)]
pub struct Dispatch {
    /// Slots of expert `e` are `offsets[e]..offsets[e + 1]`; one more entry than experts.
    pub offsets: Vec<usize>,
    /// The token (row of `x`) of each slot.
    pub tokens: Vec<u32>,
    /// Which of the token's `k` choices the slot is.
    pub choices: Vec<u32>,
    /// Choices per token, the columns of the combine weights.
    pub k: usize,
}

impl Dispatch {
    /// Groups `chosen[t * k + c] = Some(expert)` (the choice `c` of token `t`, `None` where it was dropped) by expert.
    ///
    /// # Panics
    /// If an expert is not below `experts`.
    pub fn new(experts: usize, k: usize, chosen: &[Option<u32>]) -> Self {
        let mut offsets = vec![0; experts + 1];
        for expert in chosen.iter().flatten() {
            offsets[*expert as usize + 1] += 1;
        }
        for e in 0..experts {
            offsets[e + 1] += offsets[e];
        }
        let mut next = offsets.clone();
        let slots = offsets[experts];
        let (mut tokens, mut choices) = (vec![0; slots], vec![0; slots]);
        for (place, expert) in chosen.iter().enumerate() {
            if let Some(expert) = expert {
                let slot = &mut next[*expert as usize];
                tokens[*slot] = (place / k) as u32;
                choices[*slot] = (place % k) as u32;
                *slot += 1;
            }
        }
        Self { offsets, tokens, choices, k }
    }

    fn experts(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The place of a slot's combine weight in `[tokens, k]`.
    fn weight_place(&self, slot: usize) -> usize {
        self.tokens[slot] as usize * self.k + self.choices[slot] as usize
    }
}

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

pub(crate) struct WeightGradients {
    fc1: Vec<f32>,
    bias1: Vec<f32>,
    fc2: Vec<f32>,
    bias2: Vec<f32>,
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

    /// The experts' weighted outputs, without residual: `x` `[tokens, d]`, `weights` `[tokens, k]` -> `[tokens, d]`.
    ///
    /// Tokens without a slot get zero. A later call's `x` must depend on the earlier calls' results wherever gradients
    /// are recorded, as it does for strata.
    pub fn apply(&mut self, x: Tensor<2>, weights: Tensor<2>, dispatch: Arc<Dispatch>) -> Tensor<2> {
        if !on_flex(&x.device()) {
            return self.composed(x, weights, &dispatch);
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
        let groups = Groups {
            d,
            d_ffn,
            fc1: parameters[0].values(),
            bias1: parameters[1].values(),
            fc2: parameters[2].values(),
            bias2: parameters[3].values(),
            dispatch,
            precision: self.precision,
        };
        let (xs, ws) = (x.values(), weights.values());
        let visit = match &self.spread {
            None => Visited::Here(groups.forward(&xs)),
            Some((ranks, bounds)) => Visited::Away(Box::new(Away::forward(ranks.clone(), bounds, &groups, &xs))),
        };
        let out = groups.combine(visit.outputs(), &ws, n);
        let out = tensor(out, [n, d]);
        let pending = self.pending.clone();
        let backward = move |grad: Values| {
            let mut pending = pending.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let total = trained.then_some(&mut *pending);
            let (dy, dweights) = groups.output_gradients(&ws, visit.outputs(), &grad);
            let dsorted = match &visit {
                Visited::Here(forward) => {
                    groups.input_gradients(&gather(&xs, &groups.dispatch.tokens, d), &dy, &forward.hidden, total)
                }
                Visited::Away(away) => away.backward(dy, total),
            };
            let dx = groups.sum_per_token(
                &dsorted,
                n,
                #[inline(always)]
                |_| 1.0,
            );
            let k = groups.dispatch.k;
            let done = if first { pending.take() } else { None };
            (tensor(dx, [n, d]), tensor(dweights, [n, k]), done)
        };
        if first {
            let [fc1, bias1, fc2, bias2] = parameters;
            record([x, weights, fc1, bias1, fc2, bias2], out, move |grad, _| {
                let (dx, dweights, done) = backward(grad);
                let [g1, g2, g3, g4] = match done {
                    Some(g) => {
                        let part = |v: Vec<f32>, shape: &[usize]| -> Option<FlexTensor> {
                            Some(tensor(v, burn::tensor::Shape::from(shape.to_vec())))
                        };
                        [
                            part(g.fc1, &[experts, d_ffn, d]),
                            part(g.bias1, &[experts, d_ffn]),
                            part(g.fc2, &[experts, d, d_ffn]),
                            part(g.bias2, &[experts, d]),
                        ]
                    }
                    None => [None, None, None, None],
                };
                [Some(dx), Some(dweights), g1, g2, g3, g4]
            })
        } else {
            record([x, weights], out, move |grad, _| {
                let (dx, dweights, _) = backward(grad);
                [Some(dx), Some(dweights)]
            })
        }
    }

    fn composed(&self, x: Tensor<2>, weights: Tensor<2>, dispatch: &Dispatch) -> Tensor<2> {
        let [n, d] = x.dims();
        let [_, d_ffn, _] = self.fc1.dims();
        let mut out = Vec::new();
        for e in 0..dispatch.experts() {
            let slots = dispatch.offsets[e]..dispatch.offsets[e + 1];
            if slots.is_empty() {
                continue;
            }
            let tokens = index(&dispatch.tokens[slots], &x);
            let fc1 = self.fc1.clone().narrow(0, e, 1).reshape([d_ffn, d]);
            let fc2 = self.fc2.clone().narrow(0, e, 1).reshape([d, d_ffn]);
            let x = x.clone().select(0, tokens);
            let hidden = relu(self.precision.matmul(x, fc1.transpose()) + self.bias1.clone().narrow(0, e, 1));
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

/// The parts of one visit.
pub(crate) struct Groups {
    pub d: usize,
    pub d_ffn: usize,
    pub fc1: Values,
    pub bias1: Values,
    pub fc2: Values,
    pub bias2: Values,
    pub dispatch: Arc<Dispatch>,
    pub precision: MatmulPrecision,
}

/// What the backward pass needs of the forward pass, rows sorted by expert.
pub(crate) struct Forward {
    /// Hidden values after ReLU, `[slots, d_ffn]`.
    pub hidden: Vec<f32>,
    /// Expert outputs before weighting, `[slots, d]`.
    pub y: Vec<f32>,
}

impl Groups {
    fn slots(&self) -> usize {
        self.dispatch.tokens.len()
    }

    /// Computes the products that `of` lists for every expert that has tokens and its slots, all of them together.
    ///
    /// # Safety
    /// As for [`multiply_all`].
    unsafe fn multiply<'a, const N: usize>(&self, of: impl Fn(usize, Range<usize>) -> [Product<'a>; N]) {
        let offsets = &self.dispatch.offsets;
        let busy = (0..self.dispatch.experts()).filter(|e| offsets[*e] < offsets[e + 1]);
        let list: Vec<_> = busy.flat_map(|e| of(e, offsets[e]..offsets[e + 1])).collect();
        // SAFETY: the caller's promise.
        unsafe { multiply_all(&list, self.precision, Threads::All) }
    }

    /// A row of `width` values for each slot, `[slots, width]`, by the product that `of(out, expert, slots)` gives for
    /// each group.
    fn for_slots<'a>(&self, width: usize, of: impl Fn(Shared, usize, Range<usize>) -> Product<'a>) -> Vec<f32> {
        let fill = |out: Shared| {
            // SAFETY: every slot belongs to one group, whose rows are its own.
            unsafe { self.multiply(|e, rows| [of(out.from(rows.start * width), e, rows)]) }
        };
        // SAFETY: each group writes all of its rows.
        unsafe { filled(self.slots() * width, fill) }
    }

    /// The weights of expert `e`: `[d_ffn, d]` and `[d, d_ffn]`.
    fn weights(&self, e: usize) -> (Matrix<'_>, Matrix<'_>) {
        let (d, f) = (self.d, self.d_ffn);
        (Matrix::rows(&self.fc1[e * f * d..][..f * d], d), Matrix::rows(&self.fc2[e * f * d..][..f * d], f))
    }

    pub fn forward(&self, x: &[f32]) -> Forward {
        let (d, f) = (self.d, self.d_ffn);
        let sorted = gather(x, &self.dispatch.tokens, d);
        let hidden = self.for_slots(f, |out, e, rows| {
            let x = Matrix::rows(&sorted[rows.start * d..rows.end * d], d);
            let (w, bias) = (self.weights(e).0.transposed(), &self.bias1[e * f..][..f]);
            Product::new(out, (rows.len(), f, d), x, w).then(Some(bias), After::Relu)
        });
        let y = self.for_slots(d, |out, e, rows| {
            let h = Matrix::rows(&hidden[rows.start * f..rows.end * f], f);
            let (w, bias) = (self.weights(e).1.transposed(), &self.bias2[e * d..][..d]);
            Product::new(out, (rows.len(), d, f), h, w).then(Some(bias), After::Nothing)
        });
        Forward { hidden, y }
    }

    /// Slots of each token, in slot order: `(starts, slots)`, slots of token `t` at `starts[t]..starts[t + 1]`.
    fn slots_of_tokens(&self, n: usize) -> (Vec<u32>, Vec<u32>) {
        let mut starts = vec![0u32; n + 1];
        self.dispatch.tokens.iter().for_each(|t| starts[*t as usize + 1] += 1);
        for t in 0..n {
            starts[t + 1] += starts[t];
        }
        let mut next = starts.clone();
        let mut slots = vec![0u32; self.slots()];
        for (slot, t) in self.dispatch.tokens.iter().enumerate() {
            slots[next[*t as usize] as usize] = slot as u32;
            next[*t as usize] += 1;
        }
        (starts, slots)
    }

    /// Adds rows of slots up per token, each times `factor(slot)`: `[slots, d]` -> `[n, d]`.
    fn sum_per_token(&self, rows: &[f32], n: usize, factor: impl Fn(usize) -> f32 + Sync) -> Vec<f32> {
        let d = self.d;
        let (starts, slots) = self.slots_of_tokens(n);
        let fill = |out: Shared| {
            for_rows(
                n,
                d,
                #[inline(always)]
                |_, first, count| {
                    for t in first..first + count {
                        // SAFETY: each piece has rows of its own.
                        let out = unsafe { out.zeros(t * d, d) };
                        for slot in &slots[starts[t] as usize..starts[t + 1] as usize] {
                            let slot = *slot as usize;
                            let factor = factor(slot);
                            for (o, v) in out.iter_mut().zip(&rows[slot * d..][..d]) {
                                *o += factor * v;
                            }
                        }
                    }
                },
            );
        };
        // SAFETY: every row is written.
        unsafe { filled(n * d, fill) }
    }

    fn combine(&self, y: &[f32], weights: &[f32], n: usize) -> Vec<f32> {
        self.sum_per_token(
            y,
            n,
            #[inline(always)]
            |slot| weights[self.dispatch.weight_place(slot)],
        )
    }

    /// Gradients of the slots' outputs `y` `[slots, d]` and of the combine weights, from that of the visit's output.
    fn output_gradients(&self, weights: &[f32], y: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (d, slots) = (self.d, self.slots());
        let mut dweights = vec![0.0f32; weights.len()];
        let dweights_out = Shared::new(&mut dweights);
        // dy[slot] = weight * grad[token], and dweight = <grad[token], y[slot]>.
        let fill = |out: Shared| {
            for_rows(
                slots,
                d,
                #[inline(always)]
                |_, first, count| {
                    for slot in first..first + count {
                        let place = self.dispatch.weight_place(slot);
                        let (g, y) = (&grad[self.dispatch.tokens[slot] as usize * d..][..d], &y[slot * d..][..d]);
                        // SAFETY: each slot has a row and a weight of its own.
                        let (dy, dweight) = unsafe { (out.room(slot * d, d), dweights_out.slice(place, 1)) };
                        dweight[0] = dot(g, y);
                        for (o, g) in dy.iter_mut().zip(g) {
                            o.write(weights[place] * g);
                        }
                    }
                },
            );
        };
        // SAFETY: every slot's row is written.
        let dy = unsafe { filled(slots * d, fill) };
        (dy, dweights)
    }

    /// Gradients of the slots' inputs `sorted` `[slots, d]`, from those of their outputs, `dy`; those of the experts
    /// are added to `total`, or are the first of it.
    pub fn input_gradients(
        &self,
        sorted: &[f32],
        dy: &[f32],
        hidden: &[f32],
        mut total: Option<&mut Option<WeightGradients>>,
    ) -> Vec<f32> {
        let (d, f, slots) = (self.d, self.d_ffn, self.slots());
        let fresh = total.as_ref().is_some_and(|total| total.is_none());
        let mut rooms = WeightGradientRooms::new(self, fresh);
        let outs = total.as_deref_mut().map(|total| match total {
            Some(g) => [&mut g.fc1, &mut g.bias1, &mut g.fc2, &mut g.bias2].map(|values| Shared::new(values)),
            None => rooms.shared(),
        });
        let dhidden = self.for_slots(f, |out, e, rows| {
            let dy = Matrix::rows(&dy[rows.start * d..rows.end * d], d);
            let hidden = Matrix::rows(&hidden[rows.start * f..rows.end * f], f);
            Product::new(out, (rows.len(), f, d), dy, self.weights(e).1).then(None, After::ReluGradient(hidden))
        });
        let rest = |out: Shared| {
            let dx = |e: usize, rows: &Range<usize>| {
                let dh = Matrix::rows(&dhidden[rows.start * f..rows.end * f], f);
                Product::new(out.from(rows.start * d), (rows.len(), d, f), dh, self.weights(e).0)
            };
            let Some([fc1, bias1, fc2, bias2]) = outs else {
                // SAFETY: each group has rows of its own.
                return unsafe { self.multiply(|e, rows| [dx(e, &rows)]) };
            };
            let of = |e: usize, rows: Range<usize>| {
                let m = rows.len();
                let (dy, dh) = (&dy[rows.start * d..rows.end * d], &dhidden[rows.start * f..rows.end * f]);
                let h = Matrix::rows(&hidden[rows.start * f..rows.end * f], f);
                let x = Matrix::rows(&sorted[rows.start * d..rows.end * d], d);
                let (dy, dh) = (Matrix::rows(dy, d).transposed(), Matrix::rows(dh, f).transposed());
                let dfc1 = Product::new(fc1.from(e * f * d), (f, d, m), dh, x);
                let dfc2 = Product::new(fc2.from(e * f * d), (d, f, m), dy, h);
                if fresh { [dx(e, &rows), dfc1, dfc2] } else { [dx(e, &rows), dfc1.added(), dfc2.added()] }
            };
            // SAFETY: the rows, and the places of expert e in the sums, are this group's alone.
            unsafe { self.multiply(of) };
            let offsets = &self.dispatch.offsets;
            (0..self.dispatch.experts()).into_par_iter().for_each(|e| {
                let rows = offsets[e]..offsets[e + 1];
                let (dh, dy) = (&dhidden[rows.start * f..rows.end * f], &dy[rows.start * d..rows.end * d]);
                // SAFETY: as above.
                unsafe {
                    crate::rows::add_to(bias1.slice(e * f, f), &column_sums(dh, f));
                    crate::rows::add_to(bias2.slice(e * d, d), &column_sums(dy, d));
                    if fresh && rows.is_empty() {
                        fc1.zeros(e * f * d, f * d);
                        fc2.zeros(e * f * d, f * d);
                    }
                }
            });
        };
        // SAFETY: each group writes all of its rows.
        let dsorted = unsafe { filled(slots * d, rest) };
        if let (Some(total), true) = (total, fresh) {
            // SAFETY: the products of busy experts and the zeros of the others have filled the rooms.
            *total = Some(unsafe { rooms.filled() });
        }
        dsorted
    }
}

/// Memory for the weight gradients of the first visit: its products write those of the matrices, biases start at zero.
struct WeightGradientRooms {
    fc1: Room,
    bias1: Vec<f32>,
    fc2: Room,
    bias2: Vec<f32>,
}

impl WeightGradientRooms {
    /// No room at all for a visit that is not the first.
    fn new(groups: &Groups, first: bool) -> Self {
        let size = |values: &Values| if first { values.len() } else { 0 };
        Self {
            fc1: Room::new(size(&groups.fc1)),
            bias1: vec![0.0; size(&groups.bias1)],
            fc2: Room::new(size(&groups.fc2)),
            bias2: vec![0.0; size(&groups.bias2)],
        }
    }

    fn shared(&mut self) -> [Shared; 4] {
        let Self { fc1, bias1, fc2, bias2 } = self;
        [fc1.shared(), Shared::new(bias1), fc2.shared(), Shared::new(bias2)]
    }

    /// # Safety
    /// Both matrices have been written.
    unsafe fn filled(self) -> WeightGradients {
        let Self { fc1, bias1, fc2, bias2 } = self;
        // SAFETY: the caller's promise.
        let (fc1, fc2) = unsafe { (fc1.filled(), fc2.filled()) };
        WeightGradients { fc1, bias1, fc2, bias2 }
    }
}

/// Combine weights `[tokens, k]` with those of dropped choices set to zero.
pub fn mask_dropped(weights: Tensor<2>, chosen: &[Option<u32>]) -> Tensor<2> {
    let kept: Vec<f32> = chosen.iter().map(|c| if c.is_some() { 1.0 } else { 0.0 }).collect();
    let kept = Tensor::from_data(TensorData::new(kept, weights.dims()), &weights.device());
    weights * kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    /// Experts on 1 to 4 ranks, each with its own tokens, give what one rank gives for all tokens.
    #[test]
    fn spread_over_ranks_they_give_the_same() {
        let (d, f, k, experts) = (6, 10, 2, 5);
        // The last rank has no tokens; none has any at expert 1.
        let tokens = [7, 40, 1, 0];
        let chosen = |rank: usize, visit: u64| -> Vec<Option<u32>> {
            let bits = |i: usize| strata_simd::random::lowbias32(visit * 10 + rank as u64, i as u32);
            (0..tokens[rank] * k)
                .map(|i| bits(i) % (experts as u32 + 1))
                .map(|e| (e < 5 && e != 1).then_some(e))
                .collect()
        };
        let host = |x: Tensor<2>| -> Vec<f32> { x.into_data().iter::<f32>().collect() };
        let values = |n: usize, seed: u64| host(random([n, 1], seed).inner());
        let part = |values: &[f32], width: usize, ranks: Range<usize>| -> Vec<f32> {
            let rows = |ranks: Range<usize>| tokens[ranks].iter().sum::<usize>() * width;
            values[rows(0..ranks.start)..rows(0..ranks.end)].to_vec()
        };
        // Output, gradients of x and of the combine weights, gradients of the experts `mine`.
        let run = |parts: Range<usize>, mine: Range<usize>, spread: Option<(Ranks, Arc<[usize]>)>| -> Vec<Vec<f32>> {
            let n = tokens[parts.clone()].iter().sum();
            let device = random([1, 1], 1).device();
            let leaf = |v: Vec<f32>, width: usize| {
                let rows = v.len() / width;
                Tensor::<2>::from_data(TensorData::new(v, [rows, width]), &device).require_grad()
            };
            let x = leaf(part(&values(48 * d, 5), d, parts.clone()), d);
            let ws = [6, 7].map(|seed| leaf(part(&values(48 * k, seed), k, parts.clone()), k));
            let weights = |seed: u64, width: usize| {
                leaf(values(experts * width, seed)[mine.start * width..mine.end * width].to_vec(), width)
            };
            let [fc1, fc2] = [(1, f * d), (2, d * f)].map(|(seed, width)| weights(seed, width));
            let [b1, b2] = [(3, f), (4, d)].map(|(seed, width)| weights(seed, width));
            let (stack1, stack2) = (fc1.clone().reshape([mine.len(), f, d]), fc2.clone().reshape([mine.len(), d, f]));
            let mut block = ExpertWeights::new(stack1, b1.clone(), stack2, b2.clone(), MatmulPrecision::F32);
            if let Some((ranks, bounds)) = spread {
                block = block.spread(ranks, bounds);
            }
            let mut y = x.clone();
            for (visit, w) in (0..).zip(&ws) {
                let chosen: Vec<_> = parts.clone().flat_map(|rank| chosen(rank, visit)).collect();
                y = y.clone() + block.apply(y, w.clone(), Arc::new(Dispatch::new(experts, k, &chosen)));
            }
            assert_eq!(y.dims(), [n, d]);
            let gradients = (y.clone() * y.clone()).sum().backward();
            let of = |x: &Tensor<2>| host(x.grad(&gradients).expect("a gradient"));
            [&x, &ws[0], &ws[1], &fc1, &fc2, &b1, &b2].into_iter().map(of).chain([host(y.inner())]).collect()
        };
        let close = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}"));
        };
        let expected = run(0..4, 0..experts, None);
        for size in 1..=4usize {
            let bounds: Arc<[usize]> = (0..=size).map(|r| r * experts / size).collect::<Vec<_>>().into();
            std::thread::scope(|scope| {
                for ranks in Ranks::threads(size) {
                    let (run, part, close, expected, bounds) = (&run, &part, &close, &expected, bounds.clone());
                    scope.spawn(move || {
                        let rank = ranks.rank();
                        let parts = rank..if rank + 1 == size { 4 } else { rank + 1 };
                        let mine = bounds[rank]..bounds[rank + 1];
                        let got = run(parts.clone(), mine.clone(), Some((ranks, bounds)));
                        for (i, width) in [d, k, k].into_iter().enumerate() {
                            close(&got[i], &part(&expected[i], width, parts.clone()));
                        }
                        for (i, width) in [(3, f * d), (4, f * d), (5, f), (6, d)] {
                            close(&got[i], &expected[i][mine.start * width..mine.end * width]);
                        }
                        close(&got[7], &part(&expected[7], d, parts));
                    });
                }
            });
        }
    }

    /// Two visits in a row, as two strata make them, over groups of many sizes, some empty, some choices dropped.
    #[test]
    fn equals_its_composition_over_two_visits() {
        for (n, experts, seed) in [(0, 3, 1), (1, 3, 8), (9, 4, 3), (700, 3, 4), (40, 16, 5)] {
            let (d, f, k) = (6, 10, 2);
            let chosen = |seed: u64| -> Vec<Option<u32>> {
                (0..n * k)
                    .map(|i| strata_simd::random::lowbias32(seed, i as u32) % (experts as u32 + 1))
                    .map(|e| (e < experts as u32 && e != 1).then_some(e))
                    .collect()
            };
            let visits = [chosen(seed), chosen(seed + 100)].map(|c| Arc::new(Dispatch::new(experts, k, &c)));
            let inputs = || {
                let weights = [random([experts, f, d], 1), random([experts, d, f], 2)];
                let biases = [random([experts, f], 3), random([experts, d], 4)];
                (random([n, d], 5), [random([n, k], 6), random([n, k], 7)], weights, biases)
            };
            let run = |fast: bool| {
                let (x, [w1, w2], [fc1, fc2], [b1, b2]) = inputs();
                let mut experts =
                    ExpertWeights::new(fc1.clone(), b1.clone(), fc2.clone(), b2.clone(), MatmulPrecision::F32);
                let mut visit = |x: Tensor<2>, w: Tensor<2>, dispatch: &Arc<Dispatch>| {
                    let y = if fast {
                        experts.apply(x.clone(), w, dispatch.clone())
                    } else {
                        experts.composed(x.clone(), w, dispatch)
                    };
                    x + y
                };
                let y = visit(x.clone(), w1.clone(), &visits[0]);
                let y = visit(y, w2.clone(), &visits[1]);
                (y, vec![x.into(), w1.into(), w2.into(), fc1.into(), b1.into(), fc2.into(), b2.into()])
            };
            assert_same(|| run(true), || run(false));
        }
    }
}
