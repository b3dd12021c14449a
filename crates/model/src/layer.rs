//! One layer of the Transformer: self-attention, in the decoder attention to the source, and an FFN or an expert block.

use burn::tensor::Tensor;
use strata_recipe::{ModelConfig, Side};

use crate::expert_block::ExpertBlock;
use crate::forward::Forward;
use crate::parameter::{Initializer, WeightVisitor, join};
use crate::sublayers::{Attention, Context, Ffn, Norm};
use crate::trace::BlockTrace;

/// One layer of the encoder or of the decoder.
#[derive(Clone)]
pub(crate) struct Layer {
    pub self_attention: Attention,
    /// Attention to the source, in the decoder.
    pub cross_attention: Option<Attention>,
    ffn: FfnSublayer,
}

/// The FFN sub-layer of a layer.
#[derive(Clone)]
enum FfnSublayer {
    Dense(Box<DenseFfn>),
    Experts(Box<ExpertBlock>),
}

/// The FFN of a layer without experts, with its pre-norm.
#[derive(Clone)]
struct DenseFfn {
    norm: Norm,
    ffn: Ffn,
}

impl Layer {
    /// Layer `index` of `side`; weights are named below `path`.
    pub fn new(init: &Initializer, path: &str, config: &ModelConfig, side: Side, index: usize) -> Self {
        let ffn = match config.block_at(side, index) {
            Some(block) => {
                FfnSublayer::Experts(Box::new(ExpertBlock::new(init, &join(path, "block"), config, side, block)))
            }
            None => FfnSublayer::Dense(Box::new(DenseFfn {
                norm: Norm::new(init, config),
                ffn: Ffn::new(init, &join(path, "ffn"), config, side),
            })),
        };
        let attention = |name: &str| Attention::new(init, &join(path, name), config, side);
        Self {
            self_attention: attention("self_attention"),
            cross_attention: (side == Side::Decoder).then(|| attention("cross_attention")),
            ffn,
        }
    }

    /// `x` plus self-attention of its rows `normed` `[n, d]`, which have passed the pre-norm.
    pub fn attend_self(
        &self,
        x: Tensor<2>,
        normed: Tensor<2>,
        context: Context,
        forward: &mut Forward,
        config: &ModelConfig,
    ) -> Tensor<2> {
        let y = self.self_attention.attend(normed, context, forward, config.attention_dropout);
        forward.add_dropout(x, y, config.dropout)
    }

    /// `x` plus attention to the source, in decoder layers.
    pub fn attend_source(
        &self,
        x: Tensor<2>,
        cross: &Attention,
        context: Context,
        forward: &mut Forward,
        config: &ModelConfig,
    ) -> Tensor<2> {
        let y = cross.attend(cross.normed(x.clone()), context, forward, config.attention_dropout);
        forward.add_dropout(x, y, config.dropout)
    }

    /// `x` plus the FFN sub-layer; `trace` says where the layer is.
    pub fn feed_forward(
        &self,
        x: Tensor<2>,
        forward: &mut Forward,
        config: &ModelConfig,
        trace: BlockTrace,
    ) -> Tensor<2> {
        match &self.ffn {
            FfnSublayer::Experts(block) => block.apply(x, forward, trace),
            FfnSublayer::Dense(dense) => {
                let y = dense.ffn.apply(dense.norm.apply(x.clone()), forward, config.activation_dropout);
                forward.add_dropout(x, y, config.dropout)
            }
        }
    }

    /// The expert block, if the layer has one.
    pub fn expert_block(&mut self) -> Option<&mut ExpertBlock> {
        match &mut self.ffn {
            FfnSublayer::Experts(block) => Some(block),
            FfnSublayer::Dense(_) => None,
        }
    }

    /// Visits every weight of the layer under its name.
    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        self.self_attention.visit_weights(&join(path, "self_attention"), visitor);
        if let Some(cross) = &mut self.cross_attention {
            cross.visit_weights(&join(path, "cross_attention"), visitor);
        }
        match &mut self.ffn {
            FfnSublayer::Experts(block) => block.visit_weights(&join(path, "block"), visitor),
            FfnSublayer::Dense(dense) => {
                dense.norm.visit_weights(&join(path, "ffn.norm"), visitor);
                dense.ffn.visit_weights(&join(path, "ffn"), visitor);
            }
        }
    }
}
