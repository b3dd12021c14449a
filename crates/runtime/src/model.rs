//! The model as a plain tree of named parts.

use std::sync::Arc;

use strata_recipe::{EmbeddingScale, Mark, Mixer, ModelConfig, Side, sinusoidal};
use strata_store::MappedFile;

use crate::error::Error;
use crate::experts::ExpertBlock;
use crate::layers::{CrossAttention, Ffn, Norm, SelfAttention, Ssru, SublayerNorm};
use crate::linear::{Linear, Precision};
use crate::parallel::room;
use crate::parts::{LinearSpec, Part, Parts};
use crate::product::added;
use crate::workspace::Workspace;

/// An encoder-decoder Transformer, ready to run.
pub struct Model {
    pub(crate) config: ModelConfig,
    precision: Precision,
    /// The output projection, `d -> vocabulary`; its rows are the embeddings of the tokens where there is no other
    /// table.
    pub(crate) output: Linear,
    /// A table of its own for the target, `d -> vocabulary`.
    target_embedding: Option<Linear>,
    /// A table of its own for the source, `d -> source vocabulary`.
    source_embedding: Option<Linear>,
    /// Sinusoidal positions of the longest sequence, prompt included: `[tokens, d]`.
    positions: Vec<f32>,
    pub(crate) encoder: Vec<EncoderLayer>,
    pub(crate) decoder: Vec<DecoderLayer>,
    encoder_norm: Option<Norm>,
    decoder_norm: Option<Norm>,
    /// The mapped file behind the weights, if they are not owned.
    pub(crate) file: Option<Arc<MappedFile>>,
}

pub(crate) struct EncoderLayer {
    pub attention: SelfAttention,
    pub feed_forward: FeedForward,
}

pub(crate) struct DecoderLayer {
    pub mixer: TargetMixer,
    pub cross: CrossAttention,
    pub feed_forward: FeedForward,
}

/// How target tokens see those in front of them.
pub(crate) enum TargetMixer {
    Attention(Box<SelfAttention>),
    Ssru(Box<Ssru>),
}

/// The FFN sub-layer of a layer, or the expert block in its place.
pub(crate) enum FeedForward {
    Dense { norm: SublayerNorm, ffn: Box<Ffn> },
    Experts(Box<ExpertBlock>),
}

impl Model {
    /// A model of `config` from its parts.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; what `parts` reports.
    pub(crate) fn build(config: &ModelConfig, precision: Precision, parts: &mut dyn Parts) -> Result<Self, Error> {
        config.validate()?;
        let embeddings = config.network.embeddings;
        let mut table = |name: &str, map: &str, rows: usize, bias: bool| {
            let maps = [map.to_owned()];
            parts.linear(LinearSpec { name, maps: &maps, outputs: rows, inputs: config.d_model, bias, exact: false })
        };
        let apart = embeddings.tables.output_apart();
        let map = if apart { "output" } else { "embedding" };
        let output = table("output", map, config.vocab_size, embeddings.output_bias)?;
        let target_embedding =
            if apart { Some(table("embedding", "embedding", config.vocab_size, false)?) } else { None };
        let source_embedding = if embeddings.tables.source_apart() {
            Some(table("source_embedding", "source_embedding", config.source_vocab_size(), false)?)
        } else {
            None
        };
        let mut encoder = Vec::with_capacity(config.encoder_layers);
        for layer in 0..config.encoder_layers {
            let path = format!("encoder.layers.{layer}");
            encoder.push(EncoderLayer {
                attention: SelfAttention::build(&path, config, parts)?,
                feed_forward: FeedForward::build(&path, config, Side::Encoder, layer, parts)?,
            });
        }
        let mut decoder = Vec::with_capacity(config.decoder_layers);
        for layer in 0..config.decoder_layers {
            let path = format!("decoder.layers.{layer}");
            decoder.push(DecoderLayer {
                mixer: TargetMixer::build(&path, config, parts)?,
                cross: CrossAttention::build(&path, config, parts)?,
                feed_forward: FeedForward::build(&path, config, Side::Decoder, layer, parts)?,
            });
        }
        let mut last = |path| match config.network.layer_norm.last {
            true => Norm::build(path, config, parts).map(Some),
            false => Ok(None),
        };
        let (encoder_norm, decoder_norm) = (last("encoder.norm")?, last("decoder.norm")?);
        let longest = config.max_length + config.prompts.decoder.len();
        Ok(Self {
            config: config.clone(),
            precision,
            output,
            target_embedding,
            source_embedding,
            positions: sinusoidal(config.network.positions, longest, config.d_model),
            encoder,
            decoder,
            encoder_norm,
            decoder_norm,
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

    /// Precision of the packed products; some stay f32 in models of other precisions.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Visits every part under its name, in the order of [`Model::build`].
    pub(crate) fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        visitor("output", Part::Linear(&self.output));
        if let Some(table) = &self.target_embedding {
            visitor("embedding", Part::Linear(table));
        }
        if let Some(table) = &self.source_embedding {
            visitor("source_embedding", Part::Linear(table));
        }
        for (layer, part) in self.encoder.iter().enumerate() {
            let path = format!("encoder.layers.{layer}");
            part.attention.visit(&path, visitor);
            part.feed_forward.visit(&path, visitor);
        }
        for (layer, part) in self.decoder.iter().enumerate() {
            let path = format!("decoder.layers.{layer}");
            part.mixer.visit(&path, visitor);
            part.cross.visit(&path, visitor);
            part.feed_forward.visit(&path, visitor);
        }
        for (norm, path) in [(&self.encoder_norm, "encoder.norm"), (&self.decoder_norm, "decoder.norm")] {
            if let Some(norm) = norm {
                norm.visit(path, visitor);
            }
        }
    }

    /// Values in a token's row of the target cache.
    pub(crate) fn row_width(&self) -> usize {
        match self.config.network.decoder.mixer {
            Mixer::Attention => 2 * self.config.d_model,
            Mixer::Ssru => self.config.d_model,
        }
    }

    /// Writes `scale * embedding + position` of each (token, place) into `out` `[tokens, d]`; places count from 0.
    pub(crate) fn embed(&self, side: Side, tokens: impl Iterator<Item = (u32, u32)>, out: &mut [f32]) {
        let d = self.config.d_model;
        let own = match side {
            Side::Encoder => self.source_embedding.as_ref().or(self.target_embedding.as_ref()),
            Side::Decoder => self.target_embedding.as_ref(),
        };
        let table = own.unwrap_or(&self.output);
        let scale = match self.config.network.embeddings.scale {
            EmbeddingScale::SqrtD => (d as f32).sqrt(),
            EmbeddingScale::One => 1.0,
        };
        let from_zero = side == Side::Decoder && self.config.prompts.decoder.first() == Some(&Mark::Zero);
        for ((token, place), out) in tokens.zip(out.chunks_exact_mut(d)) {
            let position = &self.positions[place as usize * d..][..d];
            if from_zero && place == 0 {
                out.copy_from_slice(position);
                continue;
            }
            table.row(token as usize, out);
            out.iter_mut().zip(position).for_each(|(out, p)| *out = scale * *out + p);
        }
    }

    /// Ends a pass: leaves the first `n` tokens of `workspace.x` in `workspace.normed`, through the side's last norm if
    /// there is one.
    pub(crate) fn finish(&self, side: Side, n: usize, workspace: &mut Workspace) {
        let norm = match side {
            Side::Encoder => &self.encoder_norm,
            Side::Decoder => &self.decoder_norm,
        };
        let len = n * self.config.d_model;
        match norm {
            Some(norm) => norm.apply(&workspace.x[..len], room(&mut workspace.normed, len)),
            None => std::mem::swap(&mut workspace.x, &mut workspace.normed),
        }
    }
}

impl TargetMixer {
    fn build(layer: &str, config: &ModelConfig, parts: &mut dyn Parts) -> Result<Self, Error> {
        Ok(match config.network.decoder.mixer {
            Mixer::Attention => Self::Attention(Box::new(SelfAttention::build(layer, config, parts)?)),
            Mixer::Ssru => Self::Ssru(Box::new(Ssru::build(layer, config, parts)?)),
        })
    }

    fn visit<'a>(&'a self, layer: &str, visitor: &mut dyn FnMut(&str, Part<'a>)) {
        match self {
            Self::Attention(attention) => attention.visit(layer, visitor),
            Self::Ssru(ssru) => ssru.visit(layer, visitor),
        }
    }
}

impl FeedForward {
    fn build(path: &str, config: &ModelConfig, side: Side, layer: usize, parts: &mut dyn Parts) -> Result<Self, Error> {
        if let Some(block) = config.block_at(side, layer) {
            let path = format!("{path}.block");
            return Ok(Self::Experts(Box::new(ExpertBlock::build(&path, config, side, block, parts)?)));
        }
        Ok(Self::Dense {
            norm: SublayerNorm::build(&format!("{path}.ffn.norm"), config, parts)?,
            ffn: Box::new(Ffn::build(&format!("{path}.ffn"), config, config.d_ffn_of(side), parts)?),
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
        match self {
            Self::Experts(block) => {
                workspace.tracer.layer = layer;
                let x = &mut workspace.x[..n * d];
                block.apply(x, &mut workspace.experts, &mut workspace.scratch, &mut workspace.tracer);
            }
            Self::Dense { norm, ffn } => {
                let Workspace { x, normed, hidden, scratch, .. } = workspace;
                let input = norm.input(&x[..n * d], normed);
                let hidden = ffn.hidden(input, n, threads, hidden, &mut scratch[0]);
                ffn.fc2.apply(hidden, n, &mut x[..n * d], added(threads), &mut scratch[0]);
                norm.finish(n * d, x, normed);
            }
        }
    }
}
