//! How far a backward pass must come for the gradient of a weight to be whole. It goes from the decoder's end to the
//! encoder's beginning, so the gradients of most weights are known long before those of the embedding, which is used at
//! both ends.

use std::sync::Arc;

use burn::tensor::Tensor;
use strata_kernels::{Leaf, tap};

use crate::forward::Forward;
use crate::parameter::WeightVisitor;
use crate::transformer::Transformer;

/// What a backward pass tells as it goes on: a stage, and the weights of it by name with their gradients, flattened;
/// none for a weight that had no part in the loss.
pub type Done = dyn Fn(usize, Vec<(String, Option<Vec<f32>>)>) + Send + Sync;

/// The stages of a model with these layers: 0 ends at the input of the last decoder layer, and so on down to its
/// second; then comes the encoder's output, then the input of each encoder layer down to the second, and last the
/// beginning.
#[derive(Clone, Copy)]
pub(crate) struct Stages {
    pub encoder: usize,
    pub decoder: usize,
}

impl Stages {
    /// At the input of a decoder layer.
    pub fn decoder_layer(self, layer: usize) -> usize {
        if layer == 0 { self.beginning() } else { self.decoder - 1 - layer }
    }

    /// At the output of the encoder, from which the decoder makes keys and values.
    pub fn encoder_output(self) -> usize {
        self.decoder - 1
    }

    /// At the input of an encoder layer.
    pub fn encoder_layer(self, layer: usize) -> usize {
        if layer == 0 { self.beginning() } else { self.decoder + self.encoder - 1 - layer }
    }

    /// Where the pass is over: the first layers and the embedding.
    fn beginning(self) -> usize {
        self.decoder + self.encoder - 1
    }

    /// The stage with which the gradient of weight `name` is whole.
    fn of(self, name: &str) -> usize {
        let path: Vec<&str> = name.split('.').collect();
        let layer = |index: &str| index.parse().unwrap_or(0);
        match path[..] {
            // The factor of a stratum is cut out of its weight before it meets a token. That depends on nothing else,
            // so a pass that goes by depth undoes it at the very end, wherever the block stands.
            [.., "visit_scale", _] => self.beginning(),
            ["decoder", "layers", _, "cross_attention", "key" | "value", ..] => self.encoder_output(),
            ["decoder", "layers", index, ..] => self.decoder_layer(layer(index)),
            ["decoder", ..] => self.decoder_layer(self.decoder - 1),
            ["encoder", "layers", index, ..] => self.encoder_layer(layer(index)),
            ["encoder", ..] => self.encoder_layer(self.encoder - 1),
            _ => self.beginning(),
        }
    }
}

impl Transformer {
    /// With which stage of a backward pass the gradient of weight `name` is whole, from 0; where a pass
    /// [tells](Forward::telling) what it has done, it goes by them.
    pub fn backward_stage(&self, name: &str) -> usize {
        self.stages().of(name)
    }

    /// `x`, on which all that a backward pass does in `stage` depends. When it comes to `x`, it tells the weights of
    /// that stage if it was asked to.
    pub(crate) fn tapped(&self, x: Tensor<2>, stage: usize, forward: &Forward) -> Tensor<2> {
        struct Collect<'a>(&'a dyn Fn(&str) -> bool, Vec<String>, Vec<Leaf>);
        impl WeightVisitor for Collect<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                if (self.0)(name)
                    && let Some(leaf) = Leaf::new(weight.clone())
                {
                    self.1.push(name.to_string());
                    self.2.push(leaf);
                }
            }
        }
        let Some(done) = forward.done.clone() else { return x };
        let of_stage = |name: &str| self.backward_stage(name) == stage;
        let mut collect = Collect(&of_stage, Vec::new(), Vec::new());
        self.clone().visit_weights(&mut collect);
        let Collect(_, names, leaves) = collect;
        tap(x, leaves, move |gradients| done(stage, names.into_iter().zip(gradients).collect()))
    }
}

impl Forward {
    /// The same pass, whose backward pass hands gradients to `done` stage by stage as soon as they are whole
    /// ([`Transformer::backward_stage`]), all but those of the last stage, and no longer has them itself. On the CPU
    /// only.
    pub fn telling(mut self, done: Arc<Done>) -> Self {
        self.done = Some(done);
        self
    }
}
