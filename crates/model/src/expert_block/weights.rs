//! The weights of an expert block: how they start, their names, and the offsets that a capacity budget moves.

use burn::tensor::{Tensor, TensorData};
use strata_kernels::host;
use strata_recipe::{Kind, ModelConfig, Side};
use strata_routing::adjust_offsets;

use super::ExpertBlock;
use crate::parameter::{Initializer, WeightVisitor, join};
use crate::sublayers::{Ffn, Norm};
use crate::trace::BlockTrace;

/// A gate's map to the logits of the experts that it sees.
#[derive(Clone)]
pub(super) struct Gate {
    /// `[visible experts, d]`
    pub weight: Tensor<2>,
    /// `[visible experts]`
    pub bias: Option<Tensor<1>>,
}

/// The experts of a block whose weights are here, stacked.
#[derive(Clone)]
pub(super) struct Experts {
    /// `[held, d_ffn, d]`
    pub fc1: Tensor<3>,
    /// `[held, d_ffn]`
    pub bias1: Tensor<2>,
    /// `[held, d, d_ffn]`
    pub fc2: Tensor<3>,
    /// `[held, d]`
    pub bias2: Tensor<2>,
}

/// The shared FFN of conditional MoE routing and the gate that mixes it in.
#[derive(Clone)]
pub(super) struct Cmr {
    /// `[1, d]`
    pub weight: Tensor<2>,
    /// `[1]`
    pub bias: Tensor<1>,
    pub shared: Ffn,
}

/// Whether gradients train the weight `name`. The offsets of a capacity budget lie among the weights of a file, but the
/// budget alone moves them: a weight decay would pull them back.
pub fn is_trained(name: &str) -> bool {
    !name.ends_with(".offset")
}

impl ExpertBlock {
    /// Expert block `block` of a checked configuration, encoder blocks first, which belongs to `side`; weights are
    /// named below `path`.
    pub fn new(init: &Initializer, path: &str, config: &ModelConfig, side: Side, block: usize) -> Self {
        let strata = config.strata_of_block(block);
        let (d, f, held) = (config.d_model, config.d_ffn_of(side), init.share.of(strata.experts()));
        let gate = |i: usize| Gate {
            weight: init.gate(&format!("{path}.gate.{i}.weight"), [strata.visible(i).len(), d]),
            bias: config.network.gate_bias.then(|| init.constant(0.0, [strata.visible(i).len()])),
        };
        let offsets = if config.capacity_budget > 0.0 { strata.count() } else { 0 };
        let stack = join(path, "experts");
        let (fc1, bias1) = init.stacked(&stack, "fc1", held.clone(), [f, d]);
        let (fc2, bias2) = init.stacked(&stack, "fc2", held, [d, f]);
        let cmr = (config.kind == Kind::Cmr).then(|| Cmr {
            weight: init.gate(&join(path, "cmr_gate.weight"), [1, d]),
            bias: init.constant(0.0, [1]),
            shared: Ffn::new(init, &join(path, "shared"), config, side),
        });
        Self {
            norms: (0..strata.norms()).map(|_| Norm::new(init, config)).collect(),
            gates: (0..strata.count()).map(gate).collect(),
            offsets: (0..offsets).map(|i| init.constant(0.0, [strata.visible(i).len()])).collect(),
            scales: config.learned_scale.then(|| init.constant(config.visit_scale as f32, [strata.count()])),
            experts: Experts { fc1, bias1, fc2, bias2 },
            cmr,
            share: init.share,
            strata,
            config: config.clone(),
        }
    }

    /// Visits every weight of the block under its name; experts stay stacked.
    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        for (i, norm) in self.norms.iter_mut().enumerate() {
            norm.visit_weights(&format!("{path}.norm.{i}"), visitor);
        }
        for (i, gate) in self.gates.iter_mut().enumerate() {
            visitor.visit_weight(&format!("{path}.gate.{i}.weight"), &mut gate.weight);
            if let Some(bias) = &mut gate.bias {
                visitor.visit_weight(&format!("{path}.gate.{i}.bias"), bias);
            }
        }
        for (i, offsets) in self.offsets.iter_mut().enumerate() {
            visitor.visit_weight(&format!("{path}.gate.{i}.offset"), offsets);
        }
        if let Some(scales) = &mut self.scales {
            visitor.visit_weight(&join(path, "visit_scale.weight"), scales);
        }
        let stack = match self.share.of(self.strata.experts()).start {
            0 => join(path, "experts.*"),
            first => format!("{path}.experts.{first}*"),
        };
        visitor.visit_weight(&join(&stack, "fc1.weight"), &mut self.experts.fc1);
        visitor.visit_weight(&join(&stack, "fc1.bias"), &mut self.experts.bias1);
        visitor.visit_weight(&join(&stack, "fc2.weight"), &mut self.experts.fc2);
        visitor.visit_weight(&join(&stack, "fc2.bias"), &mut self.experts.bias2);
        if let Some(cmr) = &mut self.cmr {
            visitor.visit_weight(&join(path, "cmr_gate.weight"), &mut cmr.weight);
            visitor.visit_weight(&join(path, "cmr_gate.bias"), &mut cmr.bias);
            cmr.shared.visit_weights(&join(path, "shared"), visitor);
        }
    }

    /// Moves the offsets of each gate one step of `rate` towards the capacity budget, given what they decided in
    /// `passes`.
    pub(crate) fn adjust_offsets(&mut self, passes: &[&BlockTrace], rate: f64) {
        if self.offsets.is_empty() {
            return;
        }
        let targets = self.strata.budget_targets(self.config.capacity_budget);
        for (stratum, (offsets, targets)) in self.offsets.iter_mut().zip(&targets).enumerate() {
            let mut first = vec![0u64; targets.len()];
            for gate in passes.iter().flat_map(|pass| &pass.gates).filter(|gate| gate.stratum == stratum) {
                first.iter_mut().zip(&gate.first).for_each(|(sum, count)| *sum += u64::from(*count));
            }
            let mut values = host(offsets.clone());
            adjust_offsets(&mut values, &first, targets, rate);
            let moved = Tensor::<1>::from_data(TensorData::new(values, [targets.len()]), &offsets.device());
            *offsets = if offsets.device().is_autodiff() { moved.require_grad() } else { moved };
        }
    }
}
