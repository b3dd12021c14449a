//! The layers that a Transformer repeats: norms, the two-layer FFN and the projections of attention.

use strata_recipe::ModelConfig;

use crate::error::Error;
use crate::kernels::layer_norm;
use crate::linear::Linear;
use crate::parts::{LinearSpec, Part, Parts};
use crate::storage::Storage;

/// Added to the variance, as in training.
const EPSILON: f32 = 1e-5;

/// A layer norm's weight and bias, `[d]` each.
pub(crate) struct Norm {
    weight: Storage<f32>,
    bias: Storage<f32>,
}

/// The two-layer ReLU FFN.
pub(crate) struct Ffn {
    /// `d -> d_ffn`
    pub fc1: Linear,
    /// `d_ffn -> d`
    pub fc2: Linear,
}

/// Attention of tokens to tokens of the same sequence.
pub(crate) struct SelfAttention {
    pub norm: Norm,
    /// `d -> 3d`: query, key, value.
    pub projections: Linear,
    pub output: Linear,
}

/// Attention of target tokens to the source.
pub(crate) struct CrossAttention {
    pub norm: Norm,
    pub query: Linear,
    /// `d -> 2d`: key, value; of the encoder's output.
    pub key_value: Linear,
    pub output: Linear,
}

impl Norm {
    pub fn build(path: &str, d: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        Ok(Self {
            weight: parts.vector(&format!("{path}.weight"), d)?,
            bias: parts.vector(&format!("{path}.bias"), d)?,
        })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        visitor(&format!("{path}.weight"), Part::Vector(&self.weight));
        visitor(&format!("{path}.bias"), Part::Vector(&self.bias));
    }

    /// Norms the rows of `x` `[tokens, d]` into `out`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm(x, &self.weight, &self.bias, EPSILON, out);
    }
}

impl Ffn {
    pub fn build(path: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        let (d, inner) = (config.d_model, config.d_ffn);
        Ok(Self {
            fc1: affine(&format!("{path}.fc1"), inner, d, parts)?,
            fc2: affine(&format!("{path}.fc2"), d, inner, parts)?,
        })
    }

    pub fn visit<'a>(&'a self, path: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        visitor(&format!("{path}.fc1"), Part::Linear(&self.fc1));
        visitor(&format!("{path}.fc2"), Part::Linear(&self.fc2));
    }
}

impl SelfAttention {
    pub fn build(layer: &str, d: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        let path = format!("{layer}.self_attention");
        Ok(Self {
            norm: Norm::build(&format!("{path}.norm"), d, parts)?,
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

impl CrossAttention {
    pub fn build(layer: &str, d: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        let path = format!("{layer}.cross_attention");
        Ok(Self {
            norm: Norm::build(&format!("{path}.norm"), d, parts)?,
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
