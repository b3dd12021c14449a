//! The model stated plainly, in f64, from the weights by name: no cache, no packing, no batch, no grouping by expert.
//! Every prefix is computed from scratch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use strata_recipe::{ExitRule, Kind, ModelConfig, Normalization, Visible};
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
        let mean = x.iter().sum::<f64>() / d as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
        (0..d).map(|i| (x[i] - mean) / (variance + 1e-5).sqrt() * weight[i] + bias[i]).collect()
    }

    fn ffn(&self, path: &str, x: &Row) -> Row {
        let hidden = self.affine(&format!("{path}.fc1"), self.config.d_ffn, x);
        let hidden = hidden.into_iter().map(|v| v.max(0.0)).collect();
        self.affine(&format!("{path}.fc2"), x.len(), &hidden)
    }

    fn embed(&self, id: u32, place: usize) -> Row {
        let d = self.config.d_model;
        let table = self.weight("embedding.weight", &[self.config.vocab_size, d]);
        (0..d)
            .map(|i| {
                let pair = i % (d / 2);
                let angle = place as f64 / 10_000f64.powf(2.0 * pair as f64 / d as f64);
                let position = if i < d / 2 { angle.sin() } else { angle.cos() };
                table[id as usize * d + i] * (d as f64).sqrt() + position
            })
            .collect()
    }

    /// Attention of `query` (already normed) over `memory`; the probabilities of each head come too.
    fn attend(&self, path: &str, query: &Row, memory: &[Row]) -> (Row, Vec<Row>) {
        let (d, heads) = (self.config.d_model, self.config.heads);
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

    fn feed_forward(&self, layer: &str, index: usize, x: &Row) -> (Row, usize) {
        if !self.config.is_expert_layer(index) {
            let y = self.ffn(&format!("{layer}.ffn"), &self.norm(&format!("{layer}.ffn.norm"), x));
            return (add(x, &y), 0);
        }
        let block = format!("{layer}.block");
        match self.config.kind {
            Kind::Stacked => {
                let mut y = self.norm(&format!("{block}.norm.0"), x);
                for gate in 0..self.config.strata.len() {
                    y = self.visit(&block, gate, &y).0;
                }
                (add(x, &y), self.config.strata.len())
            }
            Kind::Cmr => {
                let input = self.norm(&format!("{block}.norm.0"), x);
                let moe = self.visit(&block, 0, &input).0;
                let shared = self.ffn(&format!("{block}.shared"), &input);
                let gate = 1.0 / (1.0 + (-self.affine(&format!("{block}.cmr_gate"), 1, &input)[0]).exp());
                let mixed = (0..x.len()).map(|i| (1.0 - gate) * shared[i] + gate * moe[i]).collect();
                (add(x, &mixed), 1)
            }
            _ => self.stratified(&block, x),
        }
    }

    /// Follows the one token through its strata; gives the strata visited too.
    fn stratified(&self, block: &str, x: &Row) -> (Row, usize) {
        let strata = self.config.block_strata().sizes();
        let on_leaving = self.config.kind == Kind::Smoe && self.config.normalization == Normalization::Reference;
        let (mut x, mut stratum, mut visits) = (x.clone(), 0, 0);
        while stratum < strata.len() {
            let fresh = on_leaving && stratum > 0;
            let input = if fresh { x.clone() } else { self.norm(&format!("{block}.norm.{stratum}"), &x) };
            let (output, first) = self.visit(block, stratum, &input);
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
                ExitRule::Choice | ExitRule::Learned => own.max(stratum) + 1,
                ExitRule::Never => stratum + 1,
                ExitRule::Random => unreachable!("chance hangs on the bits of the engine's numbers"),
            };
            if on_leaving {
                x = self.norm(&format!("{block}.norm.{stratum}"), &x);
            }
        }
        (x, visits)
    }

    /// The weighted outputs of the chosen experts and the first choice.
    fn visit(&self, block: &str, gate: usize, x: &Row) -> (Row, usize) {
        let strata = self.config.block_strata().sizes();
        let last = if self.config.kind == Kind::Stacked { gate } else { strata.len() - 1 };
        let from = if self.config.visible == Visible::All { 0 } else { gate };
        let visible: usize = strata[from..=last].iter().sum();
        let offset: usize = strata[..from].iter().sum();
        let logits = self.product(&format!("{block}.gate.{gate}"), visible, false, x);
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
            let output = self.ffn(&format!("{block}.experts.{}", offset + expert), x);
            let weight = p[*expert] / sum * (1.0 - self.config.eom) * (1.0 - self.config.fom);
            y.iter_mut().zip(output).for_each(|(y, o)| *y += weight * o);
        }
        (y, offset + order[0])
    }

    pub fn encode(&self, source: &[u32]) -> Vec<Row> {
        let mut x: Vec<Row> = source.iter().enumerate().map(|(i, id)| self.embed(*id, i)).collect();
        for index in 0..self.config.encoder_layers {
            let layer = format!("encoder.layers.{index}");
            let path = format!("{layer}.self_attention");
            let normed: Vec<Row> = x.iter().map(|x| self.norm(&format!("{path}.norm"), x)).collect();
            x = x.iter().zip(&normed).map(|(x, q)| add(x, &self.attend(&path, q, &normed).0)).collect();
            x = x.iter().map(|x| self.feed_forward(&layer, index, x).0).collect();
        }
        x.iter().map(|x| self.norm("encoder.norm", x)).collect()
    }

    /// Log-probabilities after the last of `target`, and the mean over heads of the last layer's attention to the
    /// source.
    pub fn next(&self, source: &[u32], target: &[u32]) -> (Row, Row) {
        let memory = self.encode(source);
        let mut x: Vec<Row> = target.iter().enumerate().map(|(i, id)| self.embed(*id, i)).collect();
        let mut attention = Vec::new();
        for index in 0..self.config.decoder_layers {
            let layer = format!("decoder.layers.{index}");
            let path = format!("{layer}.self_attention");
            let normed: Vec<Row> = x.iter().map(|x| self.norm(&format!("{path}.norm"), x)).collect();
            x = (0..x.len()).map(|i| add(&x[i], &self.attend(&path, &normed[i], &normed[..=i]).0)).collect();
            let path = format!("{layer}.cross_attention");
            for x in &mut x {
                let (y, heads) = self.attend(&path, &self.norm(&format!("{path}.norm"), x), &memory);
                *x = add(x, &y);
                attention =
                    (0..source.len()).map(|s| heads.iter().map(|p| p[s]).sum::<f64>() / heads.len() as f64).collect();
            }
            x = x.iter().map(|x| self.feed_forward(&layer, index, x).0).collect();
        }
        let last = self.norm("decoder.norm", x.last().expect("a token"));
        let logits = self.product("embedding", self.config.vocab_size, false, &last);
        (softmax(&logits).into_iter().map(f64::ln).collect(), attention)
    }
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
