//! The model stated plainly, in f64, from the weights by name: no cache, no packing, no batch, no grouping by expert.
//! Every prefix is computed from scratch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use strata_recipe::{
    Activation, EmbeddingScale, Exits, Frequencies, Kind, Mark, Mixer, ModelConfig, NormPlace, Normalization,
    PositionLayout, Side, Visible,
};
use strata_runtime::{RandomWeights, Weights};

type Row = Vec<f64>;

pub struct Reference<'a> {
    config: &'a ModelConfig,
    weights: RandomWeights,
    /// Weights that were asked for before.
    known: RefCell<HashMap<String, Rc<Row>>>,
}

impl<'a> Reference<'a> {
    pub fn new(config: &'a ModelConfig, seed: u64) -> Self {
        Self { config, weights: RandomWeights::new(seed), known: RefCell::default() }
    }

    fn weight(&self, name: &str, shape: &[usize]) -> Rc<Row> {
        let values = || self.weights.f32(name, shape).expect("a weight").iter().map(|v| f64::from(*v)).collect();
        self.known.borrow_mut().entry(name.to_owned()).or_insert_with(|| Rc::new(values())).clone()
    }

    /// `W x` or `W x + b`.
    fn product(&self, path: &str, outputs: usize, bias: bool, x: &Row) -> Row {
        let weight = self.weight(&format!("{path}.weight"), &[outputs, x.len()]);
        let mut y: Row = weight.chunks(x.len()).map(|w| w.iter().zip(x).map(|(a, b)| a * b).sum()).collect();
        if bias {
            let bias = self.weight(&format!("{path}.bias"), &[outputs]);
            y.iter_mut().zip(bias.iter()).for_each(|(y, b)| *y += b);
        }
        y
    }

    fn affine(&self, path: &str, outputs: usize, x: &Row) -> Row {
        self.product(path, outputs, true, x)
    }

    fn norm(&self, path: &str, x: &Row) -> Row {
        let d = x.len();
        let (weight, bias) = (self.weight(&format!("{path}.weight"), &[d]), self.weight(&format!("{path}.bias"), &[d]));
        let epsilon = self.config.network.layer_norm.epsilon;
        let mean = x.iter().sum::<f64>() / d as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
        (0..d).map(|i| (x[i] - mean) / (variance + epsilon).sqrt() * weight[i] + bias[i]).collect()
    }

    fn ffn(&self, path: &str, inner: usize, x: &Row) -> Row {
        let hidden = self.affine(&format!("{path}.fc1"), inner, x);
        let hidden = hidden.into_iter().map(|v| activate(self.config.network.activation, v)).collect();
        self.affine(&format!("{path}.fc2"), x.len(), &hidden)
    }

    /// The sub-layer `f` with its norm and residual.
    fn sublayer(&self, norm: &str, x: &Row, f: impl FnOnce(&Row) -> Row) -> Row {
        match self.config.network.layer_norm.place {
            NormPlace::Pre => add(x, &f(&self.norm(norm, x))),
            NormPlace::Post => self.norm(norm, &add(x, &f(x))),
        }
    }

    /// What a sub-layer whose norm is `norm` reads.
    fn read(&self, norm: &str, x: &Row) -> Row {
        match self.config.network.layer_norm.place {
            NormPlace::Pre => self.norm(norm, x),
            NormPlace::Post => x.clone(),
        }
    }

    fn last(&self, side: &str, x: &Row) -> Row {
        if self.config.network.layer_norm.last { self.norm(&format!("{side}.norm"), x) } else { x.clone() }
    }

    fn embed(&self, side: Side, id: u32, place: usize) -> Row {
        let (d, network) = (self.config.d_model, &self.config.network);
        let (name, rows) = match side {
            Side::Encoder if network.embeddings.tables.source_apart() => {
                ("source_embedding", self.config.source_vocab_size())
            }
            _ => ("embedding", self.config.vocab_size),
        };
        let table = self.weight(&format!("{name}.weight"), &[rows, d]);
        let mut scale = match network.embeddings.scale {
            EmbeddingScale::SqrtD => (d as f64).sqrt(),
            EmbeddingScale::One => 1.0,
        };
        if side == Side::Decoder && place == 0 && self.config.prompts.decoder[0] == Mark::Zero {
            scale = 0.0;
        }
        (0..d)
            .map(|i| {
                let (pair, is_sine) = match network.positions.layout {
                    PositionLayout::Halves => (i % (d / 2), i < d / 2),
                    PositionLayout::Interleaved => (i / 2, i % 2 == 0),
                };
                let pairs = match network.positions.frequencies {
                    Frequencies::Paper => d as f64 / 2.0,
                    Frequencies::Tensor2tensor => d as f64 / 2.0 - 1.0,
                };
                let angle = (network.positions.first + place) as f64 / 10_000f64.powf(pair as f64 / pairs);
                let position = if is_sine { angle.sin() } else { angle.cos() };
                table[id as usize * d + i] * scale + position
            })
            .collect()
    }

    /// Attention of `query` (already normed) over `memory`; the probabilities of each head come too.
    fn attend(&self, path: &str, heads: usize, query: &Row, memory: &[Row]) -> (Row, Vec<Row>) {
        let d = self.config.d_model;
        let width = d / heads;
        let q = self.affine(&format!("{path}.query"), d, query);
        let keys: Vec<Row> = memory.iter().map(|m| self.affine(&format!("{path}.key"), d, m)).collect();
        let values: Vec<Row> = memory.iter().map(|m| self.affine(&format!("{path}.value"), d, m)).collect();
        let mut context = vec![0.0; d];
        let mut all = Vec::new();
        for head in 0..heads {
            let part = head * width..(head + 1) * width;
            let scores: Row =
                keys.iter().map(|k| part.clone().map(|i| q[i] * k[i]).sum::<f64>() / (width as f64).sqrt()).collect();
            let p = softmax(&scores);
            for (p, v) in p.iter().zip(&values) {
                part.clone().for_each(|i| context[i] += p * v[i]);
            }
            all.push(p);
        }
        (self.affine(&format!("{path}.output"), d, &context), all)
    }

    fn feed_forward(&self, side: Side, layer: &str, index: usize, x: &Row) -> (Row, usize) {
        let inner = self.config.d_ffn_of(side);
        let Some(place) = self.config.block_at(side, index) else {
            return (
                self.sublayer(&format!("{layer}.ffn.norm"), x, |x| self.ffn(&format!("{layer}.ffn"), inner, x)),
                0,
            );
        };
        let config = self.config;
        let sizes = match config.block_experts.get(place) {
            Some(experts) => vec![*experts],
            None => config.block_strata().sizes(),
        };
        let block = format!("{layer}.block");
        match self.config.kind {
            Kind::Stacked => {
                let mut y = self.norm(&format!("{block}.norm.0"), x);
                for gate in 0..self.config.strata.len() {
                    y = self.visit(&block, &sizes, inner, gate, &y).0;
                }
                (add(x, &y), self.config.strata.len())
            }
            Kind::Cmr => {
                let input = self.norm(&format!("{block}.norm.0"), x);
                let moe = self.visit(&block, &sizes, inner, 0, &input).0;
                let shared = self.ffn(&format!("{block}.shared"), inner, &input);
                let gate = 1.0 / (1.0 + (-self.affine(&format!("{block}.cmr_gate"), 1, &input)[0]).exp());
                let mixed = (0..x.len()).map(|i| (1.0 - gate) * shared[i] + gate * moe[i]).collect();
                (add(x, &mixed), 1)
            }
            Kind::Moe | Kind::Switch => {
                (self.sublayer(&format!("{block}.norm.0"), x, |x| self.visit(&block, &sizes, inner, 0, x).0), 1)
            }
            _ => self.stratified(&block, &sizes, inner, x),
        }
    }

    /// Follows the one token through its strata; gives the strata visited too.
    fn stratified(&self, block: &str, strata: &[usize], inner: usize, x: &Row) -> (Row, usize) {
        let on_leaving = self.config.kind == Kind::Smoe && self.config.normalization == Normalization::Reference;
        let (mut x, mut stratum, mut visits) = (x.clone(), 0, 0);
        while stratum < strata.len() {
            let fresh = on_leaving && stratum > 0;
            let input = if fresh { x.clone() } else { self.norm(&format!("{block}.norm.{stratum}"), &x) };
            let (output, first) = self.visit(block, strata, inner, stratum, &input);
            let factor = match self.config.learned_scale {
                true => self.weight(&format!("{block}.visit_scale.weight"), &[strata.len()])[stratum],
                false => self.config.visit_scale,
            };
            x = add(&x, &output.iter().map(|o| factor * o).collect());
            visits += 1;
            let ends: Vec<usize> = strata
                .iter()
                .scan(0, |sum, n| {
                    *sum += n;
                    Some(*sum)
                })
                .collect();
            let own = ends.iter().position(|end| first < *end).expect("a stratum");
            stratum = match self.config.exits {
                Exits::Choice | Exits::Learned => own.max(stratum) + 1,
                Exits::Never => stratum + 1,
                Exits::Random => unreachable!("chance hangs on the bits of the engine's numbers"),
            };
            if on_leaving {
                x = self.norm(&format!("{block}.norm.{stratum}"), &x);
            }
        }
        (x, visits)
    }

    /// The weighted outputs of the chosen experts and the first choice.
    fn visit(&self, block: &str, strata: &[usize], inner: usize, gate: usize, x: &Row) -> (Row, usize) {
        let last = if self.config.kind == Kind::Stacked { gate } else { strata.len() - 1 };
        let from = if self.config.visible == Visible::All { 0 } else { gate };
        let visible: usize = strata[from..=last].iter().sum();
        let offset: usize = strata[..from].iter().sum();
        let logits = self.product(&format!("{block}.gate.{gate}"), visible, self.config.network.gate_bias, x);
        let offsets = match self.config.capacity_budget > 0.0 {
            true => self.weight(&format!("{block}.gate.{gate}.offset"), &[visible]).to_vec(),
            false => vec![0.0; visible],
        };
        let p = softmax(&logits);
        let mut order: Vec<usize> = (0..visible).collect();
        order.sort_by(|a, b| (logits[*b] + offsets[*b]).total_cmp(&(logits[*a] + offsets[*a])));
        order.truncate(self.config.top_k);
        let sum: f64 = if self.config.top_k > 1 { order.iter().map(|e| p[*e]).sum() } else { 1.0 };
        let mut y = vec![0.0; x.len()];
        for expert in &order {
            let output = self.ffn(&format!("{block}.experts.{}", offset + expert), inner, x);
            let weight = p[*expert] / sum * (1.0 - self.config.eom) * (1.0 - self.config.fom);
            y.iter_mut().zip(output).for_each(|(y, o)| *y += weight * o);
        }
        (y, offset + order[0])
    }

    pub fn encode(&self, source: &[u32]) -> Vec<Row> {
        let side = Side::Encoder;
        let heads = self.config.heads_of(side);
        let mut x: Vec<Row> = source.iter().enumerate().map(|(i, id)| self.embed(side, *id, i)).collect();
        for index in 0..self.config.encoder_layers {
            let layer = format!("encoder.layers.{index}");
            let path = format!("{layer}.self_attention");
            let norm = format!("{path}.norm");
            let all: Vec<Row> = x.iter().map(|x| self.read(&norm, x)).collect();
            x = x.iter().map(|x| self.sublayer(&norm, x, |q| self.attend(&path, heads, q, &all).0)).collect();
            x = x.iter().map(|x| self.feed_forward(side, &layer, index, x).0).collect();
        }
        x.iter().map(|x| self.last("encoder", x)).collect()
    }

    /// Log-probabilities after the last of `target`, which begins with the prompt, and the mean over heads of the last
    /// layer's attention to the source.
    pub fn next(&self, source: &[u32], target: &[u32]) -> (Row, Row) {
        let (side, network) = (Side::Decoder, &self.config.network);
        let heads = self.config.heads_of(side);
        let memory = self.encode(source);
        let mut x: Vec<Row> = target.iter().enumerate().map(|(i, id)| self.embed(side, *id, i)).collect();
        let mut attention = Vec::new();
        for index in 0..self.config.decoder_layers {
            let layer = format!("decoder.layers.{index}");
            x = match network.decoder.mixer {
                Mixer::Attention => {
                    let path = format!("{layer}.self_attention");
                    let norm = format!("{path}.norm");
                    let all: Vec<Row> = x.iter().map(|x| self.read(&norm, x)).collect();
                    let see = |i: usize| self.sublayer(&norm, &x[i], |q| self.attend(&path, heads, q, &all[..=i]).0);
                    (0..x.len()).map(see).collect()
                }
                Mixer::Ssru => self.remember(&format!("{layer}.ssru"), &x),
            };
            let path = format!("{layer}.cross_attention");
            for x in &mut x {
                *x = self.sublayer(&format!("{path}.norm"), x, |q| {
                    let (y, heads) = self.attend(&path, heads, q, &memory);
                    let mean = |s: usize| heads.iter().map(|p| p[s]).sum::<f64>() / heads.len() as f64;
                    attention = (0..source.len()).map(mean).collect();
                    y
                });
            }
            x = x.iter().map(|x| self.feed_forward(side, &layer, index, x).0).collect();
        }
        let last = self.last("decoder", x.last().expect("a token"));
        let table = if network.embeddings.tables.output_apart() { "output" } else { "embedding" };
        let mut logits = self.product(table, self.config.vocab_size, false, &last);
        if network.embeddings.output_bias {
            let bias = self.weight(&format!("{table}.bias"), &[self.config.vocab_size]);
            logits = add(&logits, &bias);
        }
        (softmax(&logits).into_iter().map(f64::ln).collect(), attention)
    }

    /// An SSRU over all tokens.
    fn remember(&self, path: &str, x: &[Row]) -> Vec<Row> {
        let d = self.config.d_model;
        let mut cell = vec![0.0; d];
        let mut step = |x: &Row| {
            let forget = self.affine(&format!("{path}.forget"), d, x);
            let input = self.affine(&format!("{path}.input"), d, x);
            for i in 0..d {
                let f = 1.0 / (1.0 + (-forget[i]).exp());
                cell[i] = f * cell[i] + (1.0 - f) * input[i];
            }
            cell.iter().map(|c| c.max(0.0)).collect()
        };
        x.iter().map(|x| self.sublayer(&format!("{path}.norm"), x, &mut step)).collect()
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Relu => x.max(0.0),
        Activation::Swish => x * sigmoid(x),
        Activation::Gelu => x * normal(x),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::GeluSigmoid => x * sigmoid(1.702 * x),
    }
}

/// The distribution function of the standard normal, by its series.
fn normal(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

fn add(a: &Row, b: &Row) -> Row {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn softmax(x: &[f64]) -> Row {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Row = x.iter().map(|v| (v - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|v| v / sum).collect()
}
