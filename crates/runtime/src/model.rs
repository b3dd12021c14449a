//! The model as a plain tree of named parts.

use std::sync::Arc;

use strata_recipe::{ModelConfig, sinusoidal};
use strata_store::MappedFile;

use crate::error::Error;
use crate::experts::ExpertBlock;
use crate::layers::{CrossAttention, Ffn, Norm, SelfAttention};
use crate::linear::{Linear, Precision};
use crate::parallel::room;
use crate::parts::{LinearSpec, Part, Parts};
use crate::product::{added, relu};
use crate::workspace::Workspace;

/// An encoder-decoder Transformer, ready to run.
pub struct Model {
    pub(crate) config: ModelConfig,
    precision: Precision,
    /// The embedding as the output projection, `d -> vocabulary`; its rows are the embeddings of the tokens.
    pub(crate) output: Linear,
    /// Sinusoidal positions `[max_length + 1, d]`.
    positions: Vec<f32>,
    pub(crate) encoder: Vec<EncoderLayer>,
    pub(crate) decoder: Vec<DecoderLayer>,
    pub(crate) encoder_norm: Norm,
    pub(crate) decoder_norm: Norm,
    /// The mapped file behind the weights, if they are not owned.
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

/// The FFN sub-layer of a layer, or the expert block in its place.
pub(crate) enum FeedForward {
    Dense { norm: Norm, ffn: Box<Ffn> },
    Experts(Box<ExpertBlock>),
}

impl Model {
    /// A model of `config` from its parts.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; what `parts` reports.
    pub(crate) fn build(config: &ModelConfig, precision: Precision, parts: &mut dyn Parts) -> Result<Self, Error> {
        config.validate()?;
        let d = config.d_model;
        let output = parts.linear(LinearSpec {
            name: "output",
            maps: &["embedding".to_owned()],
            outputs: config.vocab_size,
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

    /// What another program did to the mapped file behind the weights since it was opened, if anything. Results
    /// computed with a changed file are worthless.
    pub fn change(&self) -> Option<String> {
        self.file.as_ref().and_then(|file| file.change())
    }

    /// Precision of the packed products; some stay f32 in an int8 model.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Visits every part under its name, in the order of [`Model::build`].
    pub(crate) fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&str, Part<'a>)) {
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

    /// Writes `sqrt(d) * embedding + position` of each (token, position) into `out` `[tokens, d]`.
    pub(crate) fn embed(&self, tokens: impl Iterator<Item = (u32, u32)>, out: &mut [f32]) {
        let d = self.config.d_model;
        let scale = (d as f32).sqrt();
        for ((token, place), out) in tokens.zip(out.chunks_exact_mut(d)) {
            self.output.row(token as usize, out);
            let position = &self.positions[place as usize * d..][..d];
            out.iter_mut().zip(position).for_each(|(out, p)| *out = scale * *out + p);
        }
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

    fn visit<'a>(&'a self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        match self {
            Self::Experts(block) => block.visit(&format!("{layer}.block"), visitor),
            Self::Dense { norm, ffn } => {
                norm.visit(&format!("{layer}.ffn.norm"), visitor);
                ffn.visit(&format!("{layer}.ffn"), visitor);
            }
        }
    }

    /// Replaces the first `n` tokens of `workspace.x` `[tokens, d]` by this sub-layer's output, residual included;
    /// `layer` is the sub-layer's place in its stack, from 0, for the routing trace.
    pub fn apply(&self, n: usize, layer: usize, d: usize, workspace: &mut Workspace) {
        let threads = workspace.threads();
        let x = &mut workspace.x[..n * d];
        match self {
            Self::Experts(block) => {
                workspace.tracer.layer = layer;
                block.apply(x, &mut workspace.experts, &mut workspace.scratch, &mut workspace.tracer);
            }
            Self::Dense { norm, ffn } => {
                let normed = room(&mut workspace.normed, n * d);
                norm.apply(x, normed);
                let hidden = room(&mut workspace.hidden, n * ffn.fc1.outputs());
                ffn.fc1.apply(normed, n, hidden, relu(threads), &mut workspace.scratch[0]);
                ffn.fc2.apply(hidden, n, x, added(threads), &mut workspace.scratch[0]);
            }
        }
    }
}
