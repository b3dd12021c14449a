//! The model as a plain tree of named parts: packed products and vectors. It is built from any [`Parts`], and visited part by
//! part, so that a file of packed parts can be written and rebuilt without the original weights.

use std::sync::Arc;

use strata_recipe::{ModelConfig, sinusoidal};
use strata_store::MappedFile;

use crate::error::Error;
use crate::experts::ExpertBlock;
use crate::kernels::layer_norm;
use crate::linear::{Linear, Precision};
use crate::storage::Storage;

/// A product to be packed: one or more affine maps of one input, their outputs one after another.
#[derive(Clone, Copy, Debug)]
pub struct LinearSpec<'a> {
    /// The part's own name.
    pub name: &'a str,
    /// The affine maps that it is made of, by their names in `model.safetensors` without `.weight` and `.bias`; each has
    /// `outputs / maps.len()` outputs.
    pub maps: &'a [String],
    /// All outputs.
    pub outputs: usize,
    /// The inputs.
    pub inputs: usize,
    /// Whether the maps have a bias.
    pub bias: bool,
    /// Whether the part stays in f32 whatever the model's precision is: gates, which decide by small differences.
    pub exact: bool,
}

/// Gives a model's parts by name.
pub trait Parts {
    /// The packed product.
    ///
    /// # Errors
    /// A part that is missing or has another shape.
    fn linear(&mut self, spec: LinearSpec<'_>) -> Result<Linear, Error>;

    /// The vector or table `name` of `shape`.
    ///
    /// # Errors
    /// As [`Parts::linear`].
    fn vector(&mut self, name: &str, shape: &[usize]) -> Result<Storage<f32>, Error>;

    /// The table `name` of `shape` of embeddings, for parts that have it besides the output projection, which is made of the same
    /// weights.
    ///
    /// # Errors
    /// As [`Parts::linear`].
    fn table(&mut self, name: &str, shape: &[usize]) -> Result<Option<Storage<f32>>, Error> {
        let _ = (name, shape);
        Ok(None)
    }
}

/// One part of a model.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A packed product.
    Linear(&'a Linear),
    /// A vector, or a table row by row.
    Vector(&'a [f32]),
}

/// An encoder-decoder Transformer, ready to run.
pub struct Model {
    pub(crate) config: ModelConfig,
    precision: Precision,
    /// `[vocabulary, d]`, in packed folders of version 1 only.
    table: Option<Storage<f32>>,
    /// The embedding as the output projection, `d -> vocabulary`; its rows are the embeddings of the tokens.
    pub(crate) output: Linear,
    /// Sinusoidal positions `[max_length + 1, d]`.
    positions: Vec<f32>,
    pub(crate) encoder: Vec<EncoderLayer>,
    pub(crate) decoder: Vec<DecoderLayer>,
    pub(crate) encoder_norm: Norm,
    pub(crate) decoder_norm: Norm,
    /// The file that its weights are views of, if they are.
    pub(crate) file: Option<Arc<MappedFile>>,
}

pub(crate) struct EncoderLayer {
    pub attention: SelfAttention,
    pub feed_forward: FeedForward,
}

pub(crate) struct DecoderLayer {
    pub attention: SelfAttention,
    pub cross: CrossAttention,
    pub feed_forward: FeedForward,
}

pub(crate) struct SelfAttention {
    pub norm: Norm,
    /// `d -> 3d`: query, key, value.
    pub projections: Linear,
    pub output: Linear,
}

pub(crate) struct CrossAttention {
    pub norm: Norm,
    pub query: Linear,
    /// `d -> 2d`: key, value; of the encoder's output.
    pub key_value: Linear,
    pub output: Linear,
}

pub(crate) enum FeedForward {
    Dense { norm: Norm, ffn: Box<Ffn> },
    Experts(Box<ExpertBlock>),
}

/// The two-layer ReLU FFN.
pub(crate) struct Ffn {
    pub fc1: Linear,
    pub fc2: Linear,
}

/// Added to the variance, as in training.
const EPSILON: f32 = 1e-5;

/// A layer norm's weight and bias, `[d]` each.
pub(crate) struct Norm {
    weight: Storage<f32>,
    bias: Storage<f32>,
}

impl Model {
    /// A model of `config` from its parts.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that no model can have; what `parts` reports.
    pub fn build(config: &ModelConfig, precision: Precision, parts: &mut dyn Parts) -> Result<Self, Error> {
        config.validate()?;
        let (d, vocabulary) = (config.d_model, config.vocab_size);
        let table = parts.table("embedding.weight", &[vocabulary, d])?;
        let output = parts.linear(LinearSpec {
            name: "output",
            maps: &["embedding".to_owned()],
            outputs: vocabulary,
            inputs: d,
            bias: false,
            exact: false,
        })?;
        let mut encoder = Vec::with_capacity(config.encoder_layers);
        for layer in 0..config.encoder_layers {
            let path = format!("encoder.layers.{layer}");
            encoder.push(EncoderLayer {
                attention: SelfAttention::build(&path, d, parts)?,
                feed_forward: FeedForward::build(&path, config, layer, parts)?,
            });
        }
        let mut decoder = Vec::with_capacity(config.decoder_layers);
        for layer in 0..config.decoder_layers {
            let path = format!("decoder.layers.{layer}");
            decoder.push(DecoderLayer {
                attention: SelfAttention::build(&path, d, parts)?,
                cross: CrossAttention::build(&path, d, parts)?,
                feed_forward: FeedForward::build(&path, config, layer, parts)?,
            });
        }
        Ok(Self {
            config: config.clone(),
            precision,
            table,
            output,
            positions: sinusoidal(config.max_length + 1, d),
            encoder,
            decoder,
            encoder_norm: Norm::build("encoder.norm", d, parts)?,
            decoder_norm: Norm::build("decoder.norm", d, parts)?,
            file: None,
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What another program has done to the mapped file that the weights are in, if it has: what is computed with them is
    /// then worth nothing.
    pub fn change(&self) -> Option<String> {
        self.file.as_ref().and_then(|file| file.change())
    }

    /// What its products are packed as.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Visits every part under its name, in the order of [`Model::build`].
    pub fn visit(&self, visitor: &mut dyn FnMut(&str, Part<'_>)) {
        if let Some(table) = &self.table {
            visitor("embedding.weight", Part::Vector(table));
        }
        visitor("output", Part::Linear(&self.output));
        for (layer, part) in self.encoder.iter().enumerate() {
            let path = format!("encoder.layers.{layer}");
            part.attention.visit(&path, visitor);
            part.feed_forward.visit(&path, visitor);
        }
        for (layer, part) in self.decoder.iter().enumerate() {
            let path = format!("decoder.layers.{layer}");
            part.attention.visit(&path, visitor);
            part.cross.visit(&path, visitor);
            part.feed_forward.visit(&path, visitor);
        }
        self.encoder_norm.visit("encoder.norm", visitor);
        self.decoder_norm.visit("decoder.norm", visitor);
    }

    /// Writes `sqrt(d) * embedding + position` of each token into `out` `[tokens, d]`.
    pub(crate) fn embed(&self, tokens: impl Iterator<Item = (u32, u32)>, out: &mut [f32]) {
        let d = self.config.d_model;
        let scale = (d as f32).sqrt();
        for ((token, place), out) in tokens.zip(out.chunks_exact_mut(d)) {
            match &self.table {
                Some(table) => out.copy_from_slice(&table[token as usize * d..][..d]),
                None => self.output.row(token as usize, out),
            }
            let position = &self.positions[place as usize * d..][..d];
            out.iter_mut().zip(position).for_each(|(out, p)| *out = scale * *out + p);
        }
    }
}

impl SelfAttention {
    fn build(layer: &str, d: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        let path = format!("{layer}.self_attention");
        let maps = ["query", "key", "value"].map(|map| format!("{path}.{map}"));
        Ok(Self {
            norm: Norm::build(&format!("{path}.norm"), d, parts)?,
            projections: parts.linear(LinearSpec {
                name: &format!("{path}.query_key_value"),
                maps: &maps,
                outputs: 3 * d,
                inputs: d,
                bias: true,
                exact: false,
            })?,
            output: affine(&format!("{path}.output"), d, d, parts)?,
        })
    }

    fn visit(&self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'_>)) {
        let path = format!("{layer}.self_attention");
        self.norm.visit(&format!("{path}.norm"), visitor);
        visitor(&format!("{path}.query_key_value"), Part::Linear(&self.projections));
        visitor(&format!("{path}.output"), Part::Linear(&self.output));
    }
}

impl CrossAttention {
    fn build(layer: &str, d: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        let path = format!("{layer}.cross_attention");
        let maps = ["key", "value"].map(|map| format!("{path}.{map}"));
        Ok(Self {
            norm: Norm::build(&format!("{path}.norm"), d, parts)?,
            query: affine(&format!("{path}.query"), d, d, parts)?,
            key_value: parts.linear(LinearSpec {
                name: &format!("{path}.key_value"),
                maps: &maps,
                outputs: 2 * d,
                inputs: d,
                bias: true,
                exact: false,
            })?,
            output: affine(&format!("{path}.output"), d, d, parts)?,
        })
    }

    fn visit(&self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'_>)) {
        let path = format!("{layer}.cross_attention");
        self.norm.visit(&format!("{path}.norm"), visitor);
        visitor(&format!("{path}.query"), Part::Linear(&self.query));
        visitor(&format!("{path}.key_value"), Part::Linear(&self.key_value));
        visitor(&format!("{path}.output"), Part::Linear(&self.output));
    }
}

impl FeedForward {
    fn build(layer: &str, config: &ModelConfig, index: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        if config.is_expert_layer(index) {
            return Ok(Self::Experts(Box::new(ExpertBlock::build(&format!("{layer}.block"), config, parts)?)));
        }
        Ok(Self::Dense {
            norm: Norm::build(&format!("{layer}.ffn.norm"), config.d_model, parts)?,
            ffn: Box::new(Ffn::build(&format!("{layer}.ffn"), config, parts)?),
        })
    }

    fn visit(&self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'_>)) {
        match self {
            Self::Experts(block) => block.visit(&format!("{layer}.block"), visitor),
            Self::Dense { norm, ffn } => {
                norm.visit(&format!("{layer}.ffn.norm"), visitor);
                ffn.visit(&format!("{layer}.ffn"), visitor);
            }
        }
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

    pub fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Part<'_>)) {
        visitor(&format!("{path}.fc1"), Part::Linear(&self.fc1));
        visitor(&format!("{path}.fc2"), Part::Linear(&self.fc2));
    }
}

impl Norm {
    pub fn build(path: &str, d: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        Ok(Self {
            weight: parts.vector(&format!("{path}.weight"), &[d])?,
            bias: parts.vector(&format!("{path}.bias"), &[d])?,
        })
    }

    pub fn visit(&self, path: &str, visitor: &mut dyn FnMut(&str, Part<'_>)) {
        visitor(&format!("{path}.weight"), Part::Vector(&self.weight));
        visitor(&format!("{path}.bias"), Part::Vector(&self.bias));
    }

    /// Norms the rows of `x` into `out`.
    pub fn apply(&self, x: &[f32], out: &mut [f32]) {
        layer_norm(x, &self.weight, &self.bias, EPSILON, out);
    }
}

/// An affine map whose part and weights have one name.
fn affine(path: &str, outputs: usize, inputs: usize, parts: &mut dyn Parts) -> Result<Linear, Error> {
    parts.linear(LinearSpec { name: path, maps: &[path.to_owned()], outputs, inputs, bias: true, exact: false })
}
