//! Expert blocks at inference: tokens grouped by expert, so that each expert's weights are read once a step however many
//! sentences and hypotheses are under way, and strata that no token visits cost nothing.

use strata_recipe::{Kind, ModelConfig, Normalisation};

use crate::dispatch::{Dispatch, Group};
use crate::error::Error;
use crate::gate::{Choices, choose};
use crate::layers::{Ffn, Norm};
use crate::linear::Linear;
use crate::parallel::{over_rows, room};
use crate::parts::{LinearSpec, Part, Parts};
use crate::product::{Scratch, plain, relu};
use crate::routing::{AtGate, Tracer};

/// An expert block with its norms and residual; it takes the place of a layer's whole FFN sub-layer.
pub(crate) struct ExpertBlock {
    kind: Kind,
    top_k: usize,
    /// What expert outputs are multiplied by: 1 - rate with expert output masking.
    scale: f32,
    /// Whether a token is normed when it leaves a stratum instead of when it comes to one.
    on_leaving: bool,
    /// The stratum of each expert.
    stratum_of: Vec<usize>,
    norms: Vec<Norm>,
    gates: Vec<Gate>,
    experts: Vec<Ffn>,
    cmr: Option<Cmr>,
    d: usize,
    inner: usize,
}

struct Gate {
    /// `d -> visible experts`, f32.
    product: Linear,
    visible: usize,
    /// The first expert that it sees.
    first: usize,
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
    /// Rows waiting at each stratum, ascending.
    waiting: Vec<Vec<u32>>,
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
    pub fn build(path: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        let strata = config.strata_of_block();
        let (d, inner) = (config.d_model, config.d_ffn);
        let norms = (0..config.norms_of_block())
            .map(|i| Norm::build(&format!("{path}.norm.{i}"), d, parts))
            .collect::<Result<_, _>>()?;
        let mut exact = |name: String, outputs: usize, bias: bool| {
            let maps = [name.clone()];
            parts.linear(LinearSpec { name: &name, maps: &maps, outputs, inputs: d, bias, exact: true })
        };
        let mut gates = Vec::with_capacity(strata.len());
        for stratum in 0..strata.len() {
            let visible = config.visible_experts(stratum);
            let product = exact(format!("{path}.gate.{stratum}"), visible, false)?;
            gates.push(Gate { product, visible, first: strata[..stratum].iter().sum() });
        }
        let gate = if config.kind == Kind::Cmr { Some(exact(format!("{path}.cmr_gate"), 1, true)?) } else { None };
        let experts = (0..config.experts_of_block())
            .map(|e| Ffn::build(&format!("{path}.experts.{e}"), config, parts))
            .collect::<Result<_, _>>()?;
        let cmr = match gate {
            Some(gate) => Some(Cmr { gate, shared: Ffn::build(&format!("{path}.shared"), config, parts)? }),
            None => None,
        };
        Ok(Self {
            kind: config.kind,
            top_k: config.top_k,
            scale: 1.0 - config.eom as f32,
            on_leaving: config.kind == Kind::Smoe
                && config.normalisation == Normalisation::Reference
                && strata.len() > 1,
            stratum_of: strata.iter().enumerate().flat_map(|(s, n)| std::iter::repeat_n(s, *n)).collect(),
            norms,
            gates,
            experts,
            cmr,
            d,
            inner,
        })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        for (i, norm) in self.norms.iter().enumerate() {
            norm.visit(&format!("{path}.norm.{i}"), visitor);
        }
        for (i, gate) in self.gates.iter().enumerate() {
            visitor(&format!("{path}.gate.{i}"), Part::Linear(&gate.product));
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
        match self.kind {
            Kind::Stacked => self.stacked(x, buffers, scratch, tracer),
            Kind::Cmr => self.conditional(x, buffers, scratch, tracer),
            _ => self.stratified(x, buffers, scratch, tracer),
        }
    }

    /// Stratum by stratum; with one stratum this is the plain pre-norm MoE.
    fn stratified(&self, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        let d = self.d;
        let strata = self.gates.len();
        buffers.waiting.resize(strata + 1, Vec::new()); // the last are those that leave
        buffers.waiting.iter_mut().for_each(Vec::clear);
        buffers.waiting[0].extend(0..(x.len() / d) as u32);
        for stratum in 0..strata {
            let rows = std::mem::take(&mut buffers.waiting[stratum]);
            let input = room(&mut buffers.input, rows.len() * d);
            if self.on_leaving && stratum > 0 {
                // Normed when it left the stratum before.
                input.chunks_exact_mut(d).zip(&rows).for_each(|(to, row)| to.copy_from_slice(row_of(x, *row, d)));
            } else {
                let norm = &self.norms[stratum];
                input.chunks_exact_mut(d).zip(&rows).for_each(|(to, row)| norm.apply(row_of(x, *row, d), to));
            }
            self.at_gate(stratum, &rows, buffers, scratch, tracer);
            for (i, row) in rows.iter().enumerate() {
                let y = &mut x[*row as usize * d..][..d];
                y.iter_mut().zip(row_of(&buffers.output, i as u32, d)).for_each(|(y, o)| *y += o);
                let next = self.stratum_of[self.gates[stratum].first + buffers.choices[i].experts[0] as usize] + 1;
                if self.on_leaving {
                    let normed = room(&mut buffers.input, d);
                    self.norms[next].apply(y, normed);
                    y.copy_from_slice(normed);
                }
                buffers.waiting[next].push(*row);
            }
            // Tokens come from several earlier strata; a fixed order keeps traces readable.
            buffers.waiting[stratum + 1..].iter_mut().for_each(|rows| rows.sort_unstable());
            buffers.waiting[stratum] = rows;
        }
    }

    /// Layers of experts one after another, without norm or residual between.
    fn stacked(&self, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        let rows = self.all_rows(x, buffers);
        for layer in 0..self.gates.len() {
            self.at_gate(layer, &rows, buffers, scratch, tracer);
            std::mem::swap(&mut buffers.input, &mut buffers.output);
        }
        x.iter_mut().zip(&buffers.input).for_each(|(x, y)| *x += y);
        buffers.waiting[0] = rows;
    }

    /// `(1 - g) FFN + g MoE` with a sigmoid gate g for each token (Kudugunta et al., 2021).
    fn conditional(&self, x: &mut [f32], buffers: &mut ExpertBuffers, scratch: &mut [Scratch], tracer: &mut Tracer) {
        let d = self.d;
        let rows = self.all_rows(x, buffers);
        let n = rows.len();
        self.at_gate(0, &rows, buffers, scratch, tracer);
        let threads = scratch.len();
        if let Some(cmr) = &self.cmr {
            let input = &buffers.input[..n * d];
            let mix = room(&mut buffers.mix, n);
            cmr.gate.apply(input, n, mix, plain(threads), &mut scratch[0]);
            let hidden = room(&mut buffers.hidden, n * self.inner);
            cmr.shared.fc1.apply(input, n, hidden, relu(threads), &mut scratch[0]);
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
        }
        buffers.waiting[0] = rows;
    }

    /// Norms all tokens into `buffers.input` and gives their rows.
    fn all_rows(&self, x: &[f32], buffers: &mut ExpertBuffers) -> Vec<u32> {
        buffers.waiting.resize(self.gates.len() + 1, Vec::new());
        let mut rows = std::mem::take(&mut buffers.waiting[0]);
        rows.clear();
        rows.extend(0..(x.len() / self.d) as u32);
        self.norms[0].apply(x, room(&mut buffers.input, x.len()));
        room(&mut buffers.output, x.len());
        rows
    }

    /// One visit: tokens `buffers.input` `[rows, d]` at gate `stratum`; leaves the experts' weighted outputs in
    /// `buffers.output` and the choices in `buffers.choices`.
    fn at_gate(
        &self,
        stratum: usize,
        rows: &[u32],
        buffers: &mut ExpertBuffers,
        scratch: &mut [Scratch],
        tracer: &mut Tracer,
    ) {
        let (n, d, gate) = (rows.len(), self.d, &self.gates[stratum]);
        let threads = scratch.len();
        buffers.choices.clear();
        if n == 0 {
            return;
        }
        let input = &buffers.input[..n * d];
        let logits = room(&mut buffers.logits, n * gate.visible);
        gate.product.apply(input, n, logits, plain(threads), &mut scratch[0]);
        buffers.choices.extend(logits.chunks_exact_mut(gate.visible).map(|row| choose(row, self.top_k, self.scale)));
        let (first, visible, top_k) = (gate.first, gate.visible, self.top_k);
        // Choosing has turned the logits into probabilities.
        tracer.visits(AtGate {
            stratum,
            first,
            visible,
            top_k,
            rows,
            choices: &buffers.choices,
            distributions: logits,
        });
        let choices = &buffers.choices;
        buffers.dispatch.run(
            &self.experts[gate.first..gate.first + gate.visible],
            Group { choices, top_k: self.top_k, d, inner: self.inner },
            input,
            scratch,
        );
        let dispatch = &buffers.dispatch;
        // First choice, then second: the order of the sum does not depend on the batch.
        over_rows(room(&mut buffers.output, n * d), d, threads, 2 * d, |first, out| {
            for (i, out) in out.chunks_exact_mut(d).enumerate() {
                let weights = choices[first + i].weights;
                let y = dispatch.output(first + i, 0, self.top_k, d);
                out.iter_mut().zip(y).for_each(|(out, y)| *out = weights[0] * y);
                for choice in 1..self.top_k {
                    let y = dispatch.output(first + i, choice, self.top_k, d);
                    out.iter_mut().zip(y).for_each(|(out, y)| *out += weights[choice] * y);
                }
            }
        });
    }
}

fn row_of(x: &[f32], row: u32, d: usize) -> &[f32] {
    &x[row as usize * d..][..d]
}
