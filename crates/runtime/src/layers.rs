//! The layers that a Transformer repeats: norms, the two-layer FFN, the projections of attention and the maps of an
//! SSRU.

use strata_recipe::{Activation, ModelConfig, NormPlace};

use crate::error::Error;
use crate::kernels::{activate, layer_norm};
use crate::linear::Linear;
use crate::parallel::{over_rows, room};
use crate::parts::{LinearSpec, Part, Parts};
use crate::product::{Scratch, plain, relu};
use crate::storage::Storage;

/// A layer norm.
pub(crate) struct Norm {
    /// `[d]`
    weight: Storage<f32>,
    /// `[d]`
    bias: Storage<f32>,
    /// Added to the variance.
    epsilon: f32,
}

/// The norm of a sub-layer, in front of it or behind its residual.
pub(crate) struct SublayerNorm {
    norm: Norm,
    place: NormPlace,
}

/// The two-layer FFN.
pub(crate) struct Ffn {
    /// `d -> d_ffn`
    fc1: Linear,
    /// `d_ffn -> d`
    pub fc2: Linear,
    activation: Activation,
}

/// Attention of tokens to tokens of the same sequence.
pub(crate) struct SelfAttention {
    pub norm: SublayerNorm,
    /// `d -> 3d`: query, key, value.
    pub projections: Linear,
    pub output: Linear,
}

/// A simpler simple recurrent unit: how a token sees those in front of it without attention.
pub(crate) struct Ssru {
    pub norm: SublayerNorm,
    /// `d -> 2d`: forget gate, input.
    pub maps: Linear,
}

/// Attention of target tokens to the source.
pub(crate) struct CrossAttention {
    pub norm: SublayerNorm,
    pub query: Linear,
    /// `d -> 2d`: key, value; of the encoder's output.
    pub key_value: Linear,
    pub output: Linear,
}

impl Norm {
    pub fn build(path: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        Ok(Self {
            weight: parts.vector(&format!("{path}.weight"), config.d_model)?,
            bias: parts.vector(&format!("{path}.bias"), config.d_model)?,
            epsilon: config.network.layer_norm.epsilon as f32,
        })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        visitor(&format!("{path}.weight"), Part::Vector(&self.weight));
        visitor(&format!("{path}.bias"), Part::Vector(&self.bias));
    }

    /// Norms the rows of `x` `[tokens, d]` into `out`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm(x, &self.weight, &self.bias, self.epsilon, out);
    }
}

impl SublayerNorm {
    pub fn build(path: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        Ok(Self { norm: Norm::build(path, config, parts)?, place: config.network.layer_norm.place })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        self.norm.visit(path, visitor);
    }

    /// What the sub-layer reads of `x` `[tokens, d]`: the normed rows, in `buffer`, or `x` itself.
    pub fn input<'a>(&self, x: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        match self.place {
            NormPlace::Pre => {
                let normed = room(buffer, x.len());
                self.norm.apply(x, normed);
                normed
            }
            NormPlace::Post => x,
        }
    }

    /// Norms the first `len` values of `x`, to which the sub-layer has been added, if the norm stands behind it.
    pub fn finish(&self, len: usize, x: &mut Vec<f32>, buffer: &mut Vec<f32>) {
        if self.place == NormPlace::Post {
            self.norm.apply(&x[..len], room(buffer, len));
            std::mem::swap(x, buffer);
        }
    }
}

impl Ffn {
    /// An FFN of inner width `inner`.
    pub fn build(path: &str, config: &ModelConfig, inner: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        let d = config.d_model;
        Ok(Self {
            fc1: affine(&format!("{path}.fc1"), inner, d, parts)?,
            fc2: affine(&format!("{path}.fc2"), d, inner, parts)?,
            activation: config.network.activation,
        })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        visitor(&format!("{path}.fc1"), Part::Linear(&self.fc1));
        visitor(&format!("{path}.fc2"), Part::Linear(&self.fc2));
    }

    /// The hidden layer of the rows `x` `[n, d]`, in `buffer`: `[n, d_ffn]`.
    pub fn hidden<'a>(
        &self,
        x: &[f32],
        n: usize,
        threads: usize,
        buffer: &'a mut Vec<f32>,
        scratch: &mut Scratch,
    ) -> &'a [f32] {
        let inner = self.fc1.outputs();
        let hidden = room(buffer, n * inner);
        if self.activation == Activation::Relu {
            self.fc1.apply(x, n, hidden, relu(threads), scratch);
        } else {
            self.fc1.apply(x, n, hidden, plain(threads), scratch);
            over_rows(hidden, inner, threads, 16 * inner, |_, rows| activate(self.activation, rows));
        }
        hidden
    }
}

impl SelfAttention {
    pub fn build(layer: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        let (path, d) = (format!("{layer}.self_attention"), config.d_model);
        Ok(Self {
            norm: SublayerNorm::build(&format!("{path}.norm"), config, parts)?,
            projections: stacked(&path, "query_key_value", &["query", "key", "value"], d, parts)?,
            output: affine(&format!("{path}.output"), d, d, parts)?,
        })
    }

    pub fn visit<'a>(&'a self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        let path = format!("{layer}.self_attention");
        self.norm.visit(&format!("{path}.norm"), visitor);
        visitor(&format!("{path}.query_key_value"), Part::Linear(&self.projections));
        visitor(&format!("{path}.output"), Part::Linear(&self.output));
    }
}

impl Ssru {
    pub fn build(layer: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        let path = format!("{layer}.ssru");
        Ok(Self {
            norm: SublayerNorm::build(&format!("{path}.norm"), config, parts)?,
            maps: stacked(&path, "forget_input", &["forget", "input"], config.d_model, parts)?,
        })
    }

    pub fn visit<'a>(&'a self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        let path = format!("{layer}.ssru");
        self.norm.visit(&format!("{path}.norm"), visitor);
        visitor(&format!("{path}.forget_input"), Part::Linear(&self.maps));
    }
}

impl CrossAttention {
    pub fn build(layer: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        let (path, d) = (format!("{layer}.cross_attention"), config.d_model);
        Ok(Self {
            norm: SublayerNorm::build(&format!("{path}.norm"), config, parts)?,
            query: affine(&format!("{path}.query"), d, d, parts)?,
            key_value: stacked(&path, "key_value", &["key", "value"], d, parts)?,
            output: affine(&format!("{path}.output"), d, d, parts)?,
        })
    }

    pub fn visit<'a>(&'a self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        let path = format!("{layer}.cross_attention");
        self.norm.visit(&format!("{path}.norm"), visitor);
        visitor(&format!("{path}.query"), Part::Linear(&self.query));
        visitor(&format!("{path}.key_value"), Part::Linear(&self.key_value));
        visitor(&format!("{path}.output"), Part::Linear(&self.output));
    }
}

/// An affine map whose part and weights have the same name.
fn affine(path: &str, outputs: usize, inputs: usize, parts: &mut dyn Parts) -> Result<Linear, Error> {
    parts.linear(LinearSpec { name: path, maps: &[path.to_owned()], outputs, inputs, bias: true, exact: false })
}

/// The affine maps `path.MAP`, `d -> d` each, as one product `path.name`.
fn stacked(path: &str, name: &str, maps: &[&str], d: usize, parts: &mut dyn Parts) -> Result<Linear, Error> {
    let maps: Vec<String> = maps.iter().map(|map| format!("{path}.{map}")).collect();
    let (name, outputs) = (format!("{path}.{name}"), maps.len() * d);
    parts.linear(LinearSpec { name: &name, maps: &maps, outputs, inputs: d, bias: true, exact: false })
}
