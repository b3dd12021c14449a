//! The products of one visit, forward and backward, over rows sorted by expert.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use strata_simd::dot;

use super::{Dispatch, SlotMasks};
use crate::buffer::{Room, Shared, filled};
use crate::flex::Values;
use crate::gemm::{After, Matrix, Product, Threads, multiply_all};
use crate::linear::column_sums;
use crate::parallel::for_rows;
use crate::precision::MatmulPrecision;
use crate::rows::{add_to, gather};

/// The parts of one visit.
pub(crate) struct Groups {
    pub d: usize,
    pub d_ffn: usize,
    pub fc1: Values,
    pub bias1: Values,
    pub fc2: Values,
    pub bias2: Values,
    pub dispatch: Arc<Dispatch>,
    /// Dropout of the hidden values, where there is any.
    pub masks: Option<SlotMasks>,
    pub precision: MatmulPrecision,
}

/// What the backward pass needs of the forward pass, rows sorted by expert.
pub(crate) struct Forward {
    /// Hidden values after ReLU and dropout, `[slots, d_ffn]`.
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

    /// Both products of every group: `x` `[tokens, d]`.
    pub fn forward(&self, x: &[f32]) -> Forward {
        let (d, f) = (self.d, self.d_ffn);
        let sorted = gather(x, &self.dispatch.tokens, d);
        let mut hidden = self.for_slots(f, |out, e, rows| {
            let x = Matrix::rows(&sorted[rows.start * d..rows.end * d], d);
            let (w, bias) = (self.weights(e).0.transposed(), &self.bias1[e * f..][..f]);
            Product::new(out, (rows.len(), f, d), x, w).then(Some(bias), After::Relu)
        });
        if let Some(masks) = &self.masks {
            masks.drop_from(&mut hidden, f);
        }
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
    pub fn sum_per_token(&self, rows: &[f32], n: usize, factor: impl Fn(usize) -> f32 + Sync) -> Vec<f32> {
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

    /// The slots' outputs `y` `[slots, d]`, each times its combine weight, added up for each token: `[n, d]`.
    pub fn combine(&self, y: &[f32], weights: &[f32], n: usize) -> Vec<f32> {
        self.sum_per_token(
            y,
            n,
            #[inline(always)]
            |slot| weights[self.dispatch.weight_place(slot)],
        )
    }

    /// Gradients of the slots' outputs `y` `[slots, d]` and of the combine weights, from that of the visit's output.
    pub fn output_gradients(&self, weights: &[f32], y: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
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
        // A dropped value is zero and so gets no gradient, like a negative one behind the ReLU. A kept one was
        // multiplied by `scale`, and so is its gradient.
        let scale = self.masks.as_ref().map_or(1.0, SlotMasks::scale);
        let dhidden = self.for_slots(f, |out, e, rows| {
            let dy = Matrix::rows(&dy[rows.start * d..rows.end * d], d);
            let hidden = Matrix::rows(&hidden[rows.start * f..rows.end * f], f);
            let product = Product::new(out, (rows.len(), f, d), dy, self.weights(e).1);
            Product { scale, ..product.then(None, After::ReluGradient(hidden)) }
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
                    add_to(bias1.slice(e * f, f), &column_sums(dh, f));
                    add_to(bias2.slice(e * d, d), &column_sums(dy, d));
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

/// Sums of the gradients of a block's experts, in the shapes of the weights.
pub(crate) struct WeightGradients {
    pub fc1: Vec<f32>,
    pub bias1: Vec<f32>,
    pub fc2: Vec<f32>,
    pub bias2: Vec<f32>,
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
