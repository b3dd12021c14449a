//! Expert blocks at inference: tokens are grouped by expert, so that a step reads each expert's weights once however
//! many sentences and hypotheses it advances. Strata that no token visits cost nothing.
//!
//! [`strata_routing`] states the rules (R1 to R7 in its header); this file applies them to rows of numbers.

use strata_recipe::{Kind, ModelConfig, NormPlace, Side};
use strata_routing::{Strata, Waiting, chance};

use crate::dispatch::{Dispatch, Group};
use crate::error::Error;
use crate::gate::{Choices, decide};
use crate::layers::{Ffn, Norm};
use crate::linear::Linear;
use crate::parallel::{over_rows, room};
use crate::parts::{LinearSpec, Part, Parts};
use crate::product::{Scratch, plain};
use crate::routing::{StratumVisit, Tracer};
use crate::storage::Storage;

/// An expert block with its norms and residual; it takes the place of a layer's whole FFN sub-layer.
pub(crate) struct ExpertBlock {
    kind: Kind,
    /// `k`: experts of each token at a gate.
    top_k: usize,
    /// What combine weights are multiplied by at each gate: 1 - rate where training masks outputs, and the factor of
    /// the stratum.
    scales: Vec<f32>,
    strata: Strata,
    norms: Vec<Norm>,
    /// One for each stratum: `d -> visible experts`, f32.
    gates: Vec<Linear>,
    /// Of each gate where there is a capacity budget, `[visible experts]`: what is added to its logits when it chooses.
    offsets: Vec<Storage<f32>>,
    /// The factor of each stratum where they are learned, `[strata]`; already in `scales`.
    learned: Option<Storage<f32>>,
    experts: Vec<Ffn>,
    cmr: Option<Cmr>,
    /// Where the norm of a block of one stratum stands.
    place: NormPlace,
    d: usize,
}

/// The shared FFN of conditional MoE routing and the gate that mixes it in.
struct Cmr {
    /// `d -> 1`, f32.
    gate: Linear,
    shared: Ffn,
}

/// Buffers of expert blocks; they only grow.
#[derive(Default)]
pub(crate) struct ExpertBuffers {
    /// The tokens at each stratum.
    waiting: Waiting,
    /// Input of a visit `[tokens, d]`.
    input: Vec<f32>,
    /// Output of a visit `[tokens, d]`.
    output: Vec<f32>,
    /// A gate's logits `[tokens, visible]`.
    logits: Vec<f32>,
    choices: Vec<Choices>,
    dispatch: Dispatch,
    /// The shared FFN's hidden layer and output, and the mixing gate, of CMR.
    hidden: Vec<f32>,
    shared: Vec<f32>,
    mix: Vec<f32>,
}

impl ExpertBlock {
    /// Expert block `block` of the model, which belongs to `side`.
    pub fn build(
        path: &str,
        config: &ModelConfig,
        side: Side,
        block: usize,
        parts: &mut dyn Parts,
    ) -> Result<Self, Error> {
        let strata = config.strata_of_block(block);
        let (d, inner) = (config.d_model, config.d_ffn_of(side));
        let norms = (0..strata.norms())
            .map(|i| Norm::build(&format!("{path}.norm.{i}"), config, parts))
            .collect::<Result<_, _>>()?;
        let mut exact = |name: String, outputs: usize, bias: bool| {
            let maps = [name.clone()];
            parts.linear(LinearSpec { name: &name, maps: &maps, outputs, inputs: d, bias, exact: true })
        };
        let gates = (0..strata.count())
            .map(|stratum| {
                exact(format!("{path}.gate.{stratum}"), strata.visible(stratum).len(), config.network.gate_bias)
            })
            .collect::<Result<_, _>>()?;
        let gate = if config.kind == Kind::Cmr { Some(exact(format!("{path}.cmr_gate"), 1, true)?) } else { None };
        let offset = |stratum: usize| format!("{path}.gate.{stratum}.offset");
        let budgeted = if config.capacity_budget > 0.0 { strata.count() } else { 0 };
        let offsets =
            (0..budgeted).map(|i| parts.vector(&offset(i), strata.visible(i).len())).collect::<Result<_, _>>()?;
        let learned = match config.learned_scale {
            true => Some(parts.vector(&format!("{path}.visit_scale.weight"), strata.count())?),
            false => None,
        };
        let factor = |stratum: usize| learned.as_ref().map_or(config.visit_scale as f32, |learned| learned[stratum]);
        let scales = (0..strata.count()).map(|stratum| config.inference_scale() * factor(stratum)).collect();
        let experts = (0..strata.experts())
            .map(|e| Ffn::build(&format!("{path}.experts.{e}"), config, inner, parts))
            .collect::<Result<_, _>>()?;
        let cmr = match gate {
            Some(gate) => Some(Cmr { gate, shared: Ffn::build(&format!("{path}.shared"), config, inner, parts)? }),
            None => None,
        };
        Ok(Self {
            kind: config.kind,
            top_k: config.top_k,
            scales,
            strata,
            norms,
            gates,
            offsets,
            learned,
            experts,
            cmr,
            place: config.network.layer_norm.place,
            d,
        })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        for (i, norm) in self.norms.iter().enumerate() {
            norm.visit(&format!("{path}.norm.{i}"), visitor);
        }
        for (i, gate) in self.gates.iter().enumerate() {
            visitor(&format!("{path}.gate.{i}"), Part::Linear(gate));
        }
        for (i, offsets) in self.offsets.iter().enumerate() {
            visitor(&format!("{path}.gate.{i}.offset"), Part::Vector(offsets));
        }
        if let Some(learned) = &self.learned {
            visitor(&format!("{path}.visit_scale.weight"), Part::Vector(learned));
        }
        if let Some(cmr) = &self.cmr {
            visitor(&format!("{path}.cmr_gate"), Part::Linear(&cmr.gate));
        }
        for (e, expert) in self.experts.iter().enumerate() {
            expert.visit(&format!("{path}.experts.{e}"), visitor);
        }
        if let Some(cmr) = &self.cmr {
            cmr.shared.visit(&format!("{path}.shared"), visitor);
        }
    }

    /// Replaces the tokens `x` `[n, d]` by the block's output, residual included.
    pub fn apply(&self, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        match (self.kind, &self.cmr) {
            (Kind::Stacked, _) => self.stacked(x, buffers, scratch, tracer),
            (_, Some(cmr)) => self.cmr(cmr, x, buffers, scratch, tracer),
            _ => self.stratified(x, buffers, scratch, tracer),
        }
    }

    /// Stratum by stratum; with one stratum this is the plain MoE.
    fn stratified(&self, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        let d = self.d;
        buffers.waiting.start(self.strata.count(), x.len() / d);
        for stratum in 0..self.strata.count() {
            let rows = buffers.waiting.take(stratum);
            let input = room(&mut buffers.input, rows.len() * d).chunks_exact_mut(d).zip(&rows);
            match self.strata.norm_on_arrival(stratum).filter(|_| self.place == NormPlace::Pre) {
                Some(norm) => input.for_each(|(to, row)| self.norms[norm].apply(row_of(x, *row, d), to)),
                None => input.for_each(|(to, row)| to.copy_from_slice(row_of(x, *row, d))),
            }
            self.visit_stratum(stratum, &rows, buffers, scratch, tracer);
            let first_visible = self.strata.visible(stratum).start;
            for (i, row) in rows.iter().enumerate() {
                let y = &mut x[*row as usize * d..][..d];
                y.iter_mut().zip(row_of(&buffers.output, i as u32, d)).for_each(|(y, o)| *y += o);
                let first = first_visible + buffers.choices[i].experts[0] as usize;
                // The norm below overwrites row 0 of the input alone, which is asked for first.
                let next = self.strata.next(stratum, first, || chance(stratum, row_of(&buffers.input, i as u32, d)));
                if let Some(norm) = self.strata.norm_on_leaving(next) {
                    let normed = room(&mut buffers.input, d);
                    self.norms[norm].apply(y, normed);
                    y.copy_from_slice(normed);
                }
                buffers.waiting.move_to(next, *row);
            }
            buffers.waiting.give_back(stratum, rows);
        }
        if self.place == NormPlace::Post {
            let normed = room(&mut buffers.input, x.len());
            self.norms[0].apply(x, normed);
            x.copy_from_slice(normed);
        }
    }

    /// MoE layers one after another, without norm or residual between; every token visits them all.
    fn stacked(&self, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        let rows = self.all_rows(x, buffers);
        for layer in 0..self.strata.count() {
            self.visit_stratum(layer, &rows, buffers, scratch, tracer);
            std::mem::swap(&mut buffers.input, &mut buffers.output);
        }
        x.iter_mut().zip(&buffers.input).for_each(|(x, y)| *x += y);
        buffers.waiting.give_back(0, rows);
    }

    /// Conditional MoE routing (Kudugunta et al., 2021): `(1 - g) FFN(x) + g MoE(x)` with a sigmoid gate g of each
    /// token.
    fn cmr(&self, cmr: &Cmr, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        let d = self.d;
        let rows = self.all_rows(x, buffers);
        let n = rows.len();
        self.visit_stratum(0, &rows, buffers, scratch, tracer);
        let threads = scratch.len();
        let input = &buffers.input[..n * d];
        let mix = room(&mut buffers.mix, n);
        cmr.gate.apply(input, n, mix, plain(threads), &mut scratch[0]);
        let hidden = cmr.shared.hidden(input, n, threads, &mut buffers.hidden, &mut scratch[0]);
        let shared = room(&mut buffers.shared, n * d);
        cmr.shared.fc2.apply(hidden, n, shared, plain(threads), &mut scratch[0]);
        for (row, logit) in mix.iter().enumerate() {
            let gate = 1.0 / (1.0 + (-logit).exp());
            let rows = row * d..(row + 1) * d;
            let (shared, moe) = (&shared[rows.clone()], &buffers.output[rows.clone()]);
            for ((x, shared), moe) in x[rows].iter_mut().zip(shared).zip(moe) {
                *x += shared + gate * (moe - shared);
            }
        }
        buffers.waiting.give_back(0, rows);
    }

    /// Norms all tokens into `buffers.input` and gives their rows; all of them visit the first gate.
    fn all_rows(&self, x: &[f32], buffers: &mut ExpertBuffers) -> Vec<u32> {
        buffers.waiting.start(1, x.len() / self.d);
        self.norms[0].apply(x, room(&mut buffers.input, x.len()));
        room(&mut buffers.output, x.len());
        buffers.waiting.take(0)
    }

    /// One visit: tokens `buffers.input` `[rows, d]`, normed, at the gate of `stratum` and through the experts that it
    /// chooses. Leaves the experts' weighted outputs in `buffers.output` and the choices in `buffers.choices`.
    fn visit_stratum(
        &self,
        stratum: usize,
        rows: &[u32],
        buffers: &mut ExpertBuffers,
        scratch: &mut [Scratch],
        tracer: &mut Tracer,
    ) {
        let (n, d, top_k) = (rows.len(), self.d, self.top_k);
        let threads = scratch.len();
        buffers.choices.clear();
        if n == 0 {
            return;
        }
        let visible = self.strata.visible(stratum);
        let input = &buffers.input[..n * d];
        let logits = room(&mut buffers.logits, n * visible.len());
        self.gates[stratum].apply(input, n, logits, plain(threads), &mut scratch[0]);
        let (scale, offsets) = (self.scales[stratum], self.offsets.get(stratum).map_or(&[][..], |offsets| offsets));
        buffers.choices.extend(logits.chunks_exact_mut(visible.len()).map(|row| decide(row, top_k, scale, offsets)));
        let choices = &buffers.choices;
        // Deciding has turned the logits into probabilities.
        let probabilities = &*logits;
        tracer.note(StratumVisit { stratum, visible: visible.clone(), top_k, rows, choices, probabilities });
        let group = Group { choices, top_k, d };
        buffers.dispatch.run(&self.experts[visible], group, input, scratch);
        let dispatch = &buffers.dispatch;
        // First choice, then second: the order of the sum does not depend on the batch.
        over_rows(room(&mut buffers.output, n * d), d, threads, 2 * d, |first, out| {
            for (i, out) in out.chunks_exact_mut(d).enumerate() {
                let weights = choices[first + i].weights;
                let y = dispatch.output(first + i, 0, top_k, d);
                out.iter_mut().zip(y).for_each(|(out, y)| *out = weights[0] * y);
                for choice in 1..top_k {
                    let y = dispatch.output(first + i, choice, top_k, d);
                    out.iter_mut().zip(y).for_each(|(out, y)| *out += weights[choice] * y);
                }
            }
        });
    }
}

fn row_of(x: &[f32], row: u32, d: usize) -> &[f32] {
    &x[row as usize * d..][..d]
}
