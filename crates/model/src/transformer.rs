//! The encoder-decoder Transformer (Vaswani et al., 2017), pre-norm, with one embedding shared by source, target and
//! output.

use burn::tensor::{Device, Tensor, TensorData};
use strata_kernels::{
    Activation, CrossEntropy, MatmulPrecision, Offsets, Rows, cross_entropy, embed, gather_rows, linear,
};
use strata_recipe::{EmbeddingScale, ModelConfig, Side, sinusoidal};

use crate::error::Error;
use crate::forward::Forward;
use crate::layer::Layer;
use crate::packed::Packed;
use crate::parameter::{Initializer, WeightVisitor};
use crate::share::ExpertShare;
use crate::stages::Stages;
use crate::sublayers::{Context, KeysValues, Norm};
use crate::supported::check_supported;
use crate::trace::BlockTrace;
use crate::weights::InnerIfAutodiff;

/// An encoder-decoder Transformer of any kind.
#[derive(Clone)]
pub struct Transformer {
    config: ModelConfig,
    pub(crate) share: ExpertShare,
    /// `[vocabulary, d]`
    embedding: Tensor<2>,
    /// Sinusoidal positions of the longest sequence, prompt included: `[tokens, d]`.
    positions: Tensor<2>,
    encoder: Vec<Layer>,
    decoder: Vec<Layer>,
    encoder_norm: Option<Norm>,
    decoder_norm: Option<Norm>,
}

/// What the decoder keeps between steps, for [`Transformer::step`].
pub struct DecoderState {
    /// Keys and values of the tokens so far, of each layer: rows of hypothesis `h` are `h * length..(h + 1) * length`.
    own: Vec<Option<KeysValues>>,
    /// Keys and values of the source, of each layer.
    source: Vec<KeysValues>,
    /// Hypotheses of each sentence, as offsets: those of sentence `i` are `hypotheses[i]..hypotheses[i + 1]`.
    hypotheses: Offsets,
    /// Tokens so far.
    length: usize,
}

impl Transformer {
    /// A model with initial weights on `device`; an autodiff device for training.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration, and for an architecture that this crate does not know yet.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self, Error> {
        Self::with_share(config, seed, device, ExpertShare::ALL)
    }

    /// The same model with a share of its experts, for passes [with others](Forward::with_spread_experts) that hold the
    /// rest.
    ///
    /// # Errors
    /// As [`Transformer::new`].
    pub fn with_share(config: &ModelConfig, seed: u64, device: &Device, share: ExpertShare) -> Result<Self, Error> {
        config.validate()?;
        check_supported(config)?;
        let init = Initializer { initialization: config.initialization, seed, device: device.clone(), share };
        let d = config.d_model;
        let layers = |name: &str, side: Side| -> Vec<Layer> {
            let path = |layer: usize| format!("{name}.layers.{layer}");
            (0..config.layers(side)).map(|i| Layer::new(&init, &path(i), config, side, i)).collect()
        };
        let last_norm = || config.network.layer_norm.last.then(|| Norm::new(&init, config));
        let longest = config.max_length + config.prompts.decoder.len();
        Ok(Self {
            embedding: init.embedding("embedding.weight", [config.vocab_size, d]),
            positions: Tensor::from_data(
                TensorData::new(sinusoidal(config.network.positions, longest, d), [longest, d]),
                device,
            ),
            encoder: layers("encoder", Side::Encoder),
            decoder: layers("decoder", Side::Decoder),
            encoder_norm: last_norm(),
            decoder_norm: last_norm(),
            share,
            config: config.clone(),
        })
    }

    /// The same weights without gradients, for validation and decoding during training. It shares their memory, so drop
    /// it before the next update.
    pub fn without_gradients(&self) -> Self {
        struct Detach;
        impl WeightVisitor for Detach {
            fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut Tensor<D>) {
                *weight = weight.clone().inner_if_autodiff();
            }
        }
        let mut plain = self.clone();
        plain.visit_weights(&mut Detach);
        plain.positions = plain.positions.inner_if_autodiff();
        plain
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the weights live.
    pub fn device(&self) -> Device {
        self.embedding.device()
    }

    /// Whether the weights live on the CPU.
    pub fn is_on_cpu(&self) -> bool {
        strata_kernels::on_flex(&self.device())
    }

    pub(crate) fn stages(&self) -> Stages {
        Stages { encoder: self.encoder.len(), decoder: self.decoder.len() }
    }

    /// Visits every weight under its name, in a fixed order.
    pub fn visit_weights(&mut self, visitor: &mut impl WeightVisitor) {
        visitor.visit_weight("embedding.weight", &mut self.embedding);
        for (side, layers) in [(Side::Encoder, &mut self.encoder), (Side::Decoder, &mut self.decoder)] {
            for (i, layer) in layers.iter_mut().enumerate() {
                layer.visit_weights(&format!("{}.layers.{i}", side.name()), visitor);
            }
        }
        for (norm, path) in [(&mut self.encoder_norm, "encoder.norm"), (&mut self.decoder_norm, "decoder.norm")] {
            if let Some(norm) = norm {
                norm.visit_weights(path, visitor);
            }
        }
    }

    /// Moves the offsets of all gates one step of `rate` towards the capacity budget, given what the gates decided in
    /// the passes of an update ([`strata_routing::adjust_offsets`]). Does nothing without a budget.
    pub fn adjust_offsets(&mut self, blocks: &[BlockTrace], rate: f64) {
        for (side, layers) in [(Side::Encoder, &mut self.encoder), (Side::Decoder, &mut self.decoder)] {
            for (i, layer) in layers.iter_mut().enumerate() {
                let own: Vec<&BlockTrace> = blocks.iter().filter(|b| b.side == side && b.layer == i).collect();
                if let Some(block) = layer.expert_block() {
                    block.adjust_offsets(&own, rate);
                }
            }
        }
    }

    /// Checks that sentences fit the model.
    ///
    /// # Errors
    /// [`Error::Input`] for a sentence over the model's maximum length or an id outside its vocabulary.
    pub fn check(&self, sentences: &Packed) -> Result<(), Error> {
        let (longest, most) = (sentences.longest(), self.config.max_length);
        if longest > most {
            return Err(Error::Input(format!("a sentence of {longest} subwords; this model takes at most {most}")));
        }
        match sentences.ids.iter().find(|id| **id as usize >= self.config.vocab_size) {
            Some(id) => Err(Error::Input(format!(
                "subword id {id} is outside the model's vocabulary of {}; text and model use different subword models",
                self.config.vocab_size
            ))),
            None => Ok(()),
        }
    }

    fn embed(&self, ids: Rows, places: Rows, forward: &mut Forward) -> Tensor<2> {
        let scale = match self.config.network.embeddings.scale {
            EmbeddingScale::SqrtD => (self.config.d_model as f32).sqrt(),
            EmbeddingScale::One => 1.0,
        };
        let x = embed(self.embedding.clone(), ids, scale, &self.positions, places);
        forward.dropout(x, self.config.dropout)
    }

    /// The encoder's output `[tokens, d]` for source sentences that passed [`Transformer::check`].
    pub fn encode(&self, source: &Packed, forward: &mut Forward) -> Tensor<2> {
        let before = forward.before();
        forward.first_row = before.source;
        forward.first_probability = before.probabilities[0] * self.config.heads_of(Side::Encoder);
        let mut x = self.embed(source.ids.clone(), source.places(), forward);
        for (i, layer) in self.encoder.iter().enumerate() {
            if i > 0 {
                x = self.tapped(x, self.stages().encoder_layer(i), forward);
            }
            let h = layer.self_attention.normed(x.clone());
            let over = layer.self_attention.keys_values(h.clone(), source.offsets.clone(), forward.products);
            let context = Context { queries: source.offsets.clone(), over, causal: false };
            x = layer.attend_self(x, h, context, forward, &self.config);
            x = layer.feed_forward(x, forward, &self.config, BlockTrace { layer: i, ..BlockTrace::default() });
        }
        self.tapped(ended(&self.encoder_norm, x), self.stages().encoder_output(), forward)
    }

    /// The decoder's output `[tokens, d]` for whole target prefixes `target`, one for each sentence of the source.
    pub fn decode(&self, memory: Tensor<2>, source: &Packed, target: &Packed, forward: &mut Forward) -> Tensor<2> {
        let (before, heads) = (forward.before(), self.config.heads_of(Side::Decoder));
        forward.first_row = before.target;
        let mut x = self.embed(target.ids.clone(), target.places(), forward);
        for (i, layer) in self.decoder.iter().enumerate() {
            if i > 0 {
                x = self.tapped(x, self.stages().decoder_layer(i), forward);
            }
            forward.first_probability = before.probabilities[1] * heads;
            let h = layer.self_attention.normed(x.clone());
            let over = layer.self_attention.keys_values(h.clone(), target.offsets.clone(), forward.products);
            let context = Context { queries: target.offsets.clone(), over, causal: true };
            x = layer.attend_self(x, h, context, forward, &self.config);
            if let Some(cross) = &layer.cross_attention {
                forward.first_probability = before.probabilities[2] * heads;
                let over = cross.keys_values(memory.clone(), source.offsets.clone(), forward.products);
                let context = Context { queries: target.offsets.clone(), over, causal: false };
                x = layer.attend_source(x, cross, context, forward, &self.config);
            }
            x = layer.feed_forward(x, forward, &self.config, decoder_trace(i));
        }
        ended(&self.decoder_norm, x)
    }

    /// Label-smoothed loss of `targets` after `target` prefixes, times `scale`; see [`cross_entropy`]. A prefix begins
    /// with the decoder's prompt, and `targets` are those of its last token and of all behind it.
    pub fn loss(
        &self,
        source: &Packed,
        target: &Packed,
        targets: Rows,
        smoothing: f32,
        scale: f32,
        forward: &mut Forward,
    ) -> CrossEntropy {
        let memory = self.encode(source, forward);
        let mut hidden = self.decode(memory, source, target, forward);
        let unscored = self.config.prompts.decoder.len() - 1;
        if unscored > 0 {
            let scored = target.offsets.windows(2).flat_map(|ends| (ends[0] + unscored) as u32..ends[1] as u32);
            hidden = gather_rows(hidden, scored.collect::<Vec<u32>>().into());
        }
        cross_entropy(hidden, self.embedding.clone(), targets, smoothing, scale, forward.products)
    }

    /// Starts decoding step by step: no tokens yet, one hypothesis for each source sentence.
    pub fn start(&self, memory: Tensor<2>, source: &Packed) -> DecoderState {
        let sentences = source.offsets.len() - 1;
        DecoderState {
            own: self.decoder.iter().map(|_| None).collect(),
            source: self
                .decoder
                .iter()
                .filter_map(|layer| layer.cross_attention.as_ref())
                .map(|cross| cross.keys_values(memory.clone(), source.offsets.clone(), MatmulPrecision::F32))
                .collect(),
            hypotheses: (0..=sentences).collect::<Vec<_>>().into(),
            length: 0,
        }
    }

    /// Feeds one more token to every hypothesis -> logits `[hypotheses, vocabulary]` of the next one.
    pub fn step(&self, state: &mut DecoderState, tokens: &[u32], forward: &mut Forward) -> Tensor<2> {
        let n = tokens.len();
        let place = state.length as u32;
        let mut x = self.embed(tokens.into(), vec![place; n].into(), forward);
        state.length += 1;
        let own_queries: Offsets = (0..=n).collect::<Vec<_>>().into();
        let own_offsets: Offsets = (0..=n).map(|h| h * state.length).collect::<Vec<_>>().into();
        for (i, layer) in self.decoder.iter().enumerate() {
            let h = layer.self_attention.normed(x.clone());
            let new = layer.self_attention.keys_values(h.clone(), own_offsets.clone(), forward.products);
            let over = match state.own[i].take() {
                None => new,
                Some(past) => KeysValues {
                    keys: append(past.keys, new.keys),
                    values: append(past.values, new.values),
                    offsets: own_offsets.clone(),
                },
            };
            state.own[i] = Some(over.clone());
            let context = Context { queries: own_queries.clone(), over, causal: false };
            x = layer.attend_self(x, h, context, forward, &self.config);
            if let Some(cross) = &layer.cross_attention {
                let context =
                    Context { queries: state.hypotheses.clone(), over: state.source[i].clone(), causal: false };
                x = layer.attend_source(x, cross, context, forward, &self.config);
            }
            x = layer.feed_forward(x, forward, &self.config, decoder_trace(i));
        }
        let hidden = ended(&self.decoder_norm, x);
        linear(hidden, self.embedding.clone(), None, Activation::None, forward.products)
    }
}

/// The end of a side: through its last norm, if it has one.
fn ended(norm: &Option<Norm>, x: Tensor<2>) -> Tensor<2> {
    match norm {
        Some(norm) => norm.apply(x),
        None => x,
    }
}

fn decoder_trace(layer: usize) -> BlockTrace {
    BlockTrace { side: Side::Decoder, layer, ..BlockTrace::default() }
}

/// Appends one row of `new` `[n, d]` to the rows that each of `n` hypotheses has in `past`.
fn append(past: Tensor<2>, new: Tensor<2>) -> Tensor<2> {
    let [n, d] = new.dims();
    let length = past.dims()[0] / n;
    let both = Tensor::cat(vec![past.reshape([n, length, d]), new.reshape([n, 1, d])], 1);
    both.reshape([n * (length + 1), d])
}

impl DecoderState {
    /// Keeps the hypotheses at the positions `hypotheses`, `counts[i]` of them for the sentence that was at
    /// `sentences[i]`. Sentences not listed leave the batch.
    pub fn select(&mut self, hypotheses: &[u32], sentences: &[usize], counts: &[usize]) {
        let length = self.length as u32;
        let rows: Rows = hypotheses.iter().flat_map(|h| h * length..(h + 1) * length).collect::<Vec<u32>>().into();
        for own in self.own.iter_mut().flatten() {
            own.keys = gather_rows(own.keys.clone(), rows.clone());
            own.values = gather_rows(own.values.clone(), rows.clone());
        }
        let everyone = sentences.len() + 1 == self.hypotheses.len();
        if !everyone {
            for source in &mut self.source {
                let kept = sentences.iter().map(|s| source.offsets[*s]..source.offsets[*s + 1]);
                let offsets: Offsets = cumulative(kept.clone().map(|range| range.len())).into();
                let rows: Rows = kept.flatten().map(|row| row as u32).collect::<Vec<u32>>().into();
                source.keys = gather_rows(source.keys.clone(), rows.clone());
                source.values = gather_rows(source.values.clone(), rows);
                source.offsets = offsets;
            }
        }
        self.hypotheses = cumulative(counts.iter().copied()).into();
    }
}

fn cumulative(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut offsets = vec![0];
    offsets.extend(lengths.scan(0, |total, length| {
        *total += length;
        Some(*total)
    }));
    offsets
}
