//! Gradients of whole models in training, against central differences: every weight of every kind of model.
//!
//! Each test takes one configuration, with the first seed for which several tokens visit every gate and every expert:
//! experts without tokens have no gradient to check. It fails if a weight of the model was not checked, or if one entry
//! of one weight disagrees.

mod common;

use std::collections::BTreeSet;

use burn::tensor::{Gradients, Tensor, TensorData};
use common::{device, number, small, smoe, values};
use strata_model::{BlockTrace, Forward, Packed, Transformer, WeightVisitor};
use strata_recipe::{
    Decoder, EmbeddingScale, Embeddings, Exits, ExpertDropout, Frequencies, Initialization, Kind, LayerNorm, Mark,
    ModelConfig, Network, Normalization, Positions, Prompts, SecondChoice, Visible,
};
use strata_store::TensorSource;

/// Entries of each weight that must agree: those with the largest gradients, and some others.
const LARGEST: usize = 3;
const OTHERS: usize = 2;

/// Half the distance of the two points of a difference. Below the smallest, the rounding of the loss in f32 shows.
const STEPS: [f32; 4] = [1e-2, 5e-3, 2.5e-3, 1.2e-3];

/// The smallest step of a one-sided difference. It reaches twice as far as its step, and must end before the next kink
/// or change of routing on its side.
const LEAST_ONE_SIDED: f32 = 2.5e-3;

/// A gradient `g` agrees with a difference within `RELATIVE * |g| + ABSOLUTE`.
const RELATIVE: f64 = 0.03;
const ABSOLUTE: f64 = 2e-4;

/// A weight whose largest gradient is below this says too little beside [`ABSOLUTE`].
const LEAST: f32 = 2e-3;

#[test]
fn dense() {
    check(&small());
}

#[test]
fn moe() {
    check(&ModelConfig { kind: Kind::Moe, experts: 4, ..small() });
}

#[test]
fn switch() {
    check(&ModelConfig { kind: Kind::Switch, experts: 4, top_k: 1, ..small() });
}

#[test]
fn cmr() {
    check(&ModelConfig { kind: Kind::Cmr, experts: 4, ..small() });
}

#[test]
fn stacked() {
    check(&ModelConfig { kind: Kind::Stacked, strata: vec![2, 2], ..small() });
}

#[test]
fn smoe_with_norms_on_arrival() {
    check(&smoe(&[2, 3]));
}

#[test]
fn smoe_with_norms_on_leaving() {
    check(&ModelConfig { normalization: Normalization::Reference, ..smoe(&[2, 2, 2]) });
}

/// The control that tells what the authors' norm alone gives.
#[test]
fn moe_with_a_norm_on_leaving() {
    check(&ModelConfig { normalization: Normalization::Reference, ..smoe(&[4]) });
}

#[test]
fn smoe_with_fixed_visits() {
    check(&ModelConfig { exits: Exits::Never, visit_scale: 0.7, ..smoe(&[2, 3]) });
}

#[test]
fn smoe_with_random_exits() {
    let config = ModelConfig { exits: Exits::Random, random_capacity: 1.6, ..smoe(&[2, 3]) };
    let blocks = check(&config);
    let visits = blocks.iter().flat_map(|block| &block.strata_visited);
    assert!(visits.clone().any(|visits| *visits == 1) && visits.clone().any(|visits| *visits == 2));
}

#[test]
fn smoe_with_one_pool() {
    check(&ModelConfig { visible: Visible::All, ..smoe(&[2, 2]) });
}

#[test]
fn smoe_with_three_choices_and_learned_scales() {
    check(&ModelConfig { top_k: 3, learned_scale: true, visit_scale: 0.7, ..smoe(&[3, 3]) });
}

/// Offsets have no gradient; all else has that of a choice that they moved.
#[test]
fn smoe_with_a_capacity_budget() {
    check(&ModelConfig { capacity_budget: 1.4, ..smoe(&[2, 2]) });
}

#[test]
fn moe_as_the_authors_train_it() {
    let config = ModelConfig {
        kind: Kind::Moe,
        experts: 4,
        second_choice: SecondChoice::Gumbel,
        capacity_factor: Some(1.0),
        initialization: Initialization::Fairseq,
        expert_dropout: ExpertDropout::Each,
        dropout: 0.1,
        fom: 0.1,
        ..small()
    };
    check(&config);
}

#[test]
fn smoe_with_one_choice() {
    check(&ModelConfig { top_k: 1, ..smoe(&[2, 2]) });
}

/// Positions from 2 with the last frequency at 1/10000, heads and d_ffn for each side, a prompt of two tokens.
fn of_m2m100(config: ModelConfig) -> ModelConfig {
    let network = Network {
        positions: Positions { frequencies: Frequencies::Tensor2tensor, first: 2, ..Positions::default() },
        layer_norm: LayerNorm { epsilon: 1e-3, ..LayerNorm::default() },
        decoder: Decoder { d_ffn: Some(40), heads: Some(4), ..Decoder::default() },
        ..Network::default()
    };
    let prompts = Prompts {
        source_front: vec![Mark::Source],
        source_end: vec![Mark::End],
        decoder: vec![Mark::End, Mark::Target],
    };
    ModelConfig { network, prompts, ..config }
}

#[test]
fn m2m100() {
    check(&of_m2m100(small()));
}

#[test]
fn nllb_moe_with_fewer_experts_in_the_decoder() {
    let config = ModelConfig { kind: Kind::Moe, experts: 4, block_experts: vec![4, 3], ..small() };
    let mut config = of_m2m100(config);
    config.network.gate_bias = true;
    check(&config);
}

#[test]
fn no_last_norms_and_no_scale_of_embeddings() {
    let network = Network {
        layer_norm: LayerNorm { last: false, ..LayerNorm::default() },
        embeddings: Embeddings { scale: EmbeddingScale::One, ..Embeddings::default() },
        ..Network::default()
    };
    check(&ModelConfig { network, ..small() });
}

/// The seed of a pass fixes dropout, masks and noise, so that they have gradients like everything else.
#[test]
fn smoe_with_capacity_masks_noise_and_dropout() {
    let config = ModelConfig {
        capacity_factor: Some(1.0),
        second_choice: SecondChoice::Gumbel,
        eom: 0.25,
        dropout: 0.1,
        attention_dropout: 0.1,
        activation_dropout: 0.1,
        ..smoe(&[2, 2])
    };
    let dropped = check(&config).iter().flat_map(|block| &block.gates).map(|gate| gate.dropped).sum::<usize>();
    assert!(dropped > 0, "no choice was dropped");
}

#[test]
fn cmr_with_dropout() {
    let config = ModelConfig {
        kind: Kind::Cmr,
        experts: 4,
        cmr_gate_dropout: 0.3,
        dropout: 0.1,
        attention_dropout: 0.1,
        activation_dropout: 0.1,
        ..small()
    };
    check(&config);
}

/// What the checks are for: a gradient that is a fifth too large, has the wrong sign or is zero is found.
#[test]
fn wrong_gradients_are_found() {
    let config = smoe(&[2, 2]);
    let (model, weights, blocks) = checkable(&config);
    let mut plain = model.without_gradients();
    let mut tried = 0;
    for weight in weights.into_iter().filter(|weight| weight.largest() > 10.0 * LEAST) {
        for factor in [1.2, -1.0, 0.0] {
            let gradient = weight.gradient.iter().map(|g| g * factor).collect();
            let wrong = Weight { name: weight.name.clone(), stacked: weight.stacked.clone(), gradient, ..weight };
            let found = !wrong.shows() || fault(&mut plain, &wrong, &blocks).is_some();
            assert!(found, "{} times {factor} passed", weight.name);
        }
        tried += 1;
    }
    assert!(tried > 20, "only {tried} weights have large gradients");
}

/// One weight of a file, with its gradient.
struct Weight {
    name: String,
    /// Its name in memory, where the experts of a block are stacked, and its first entry there.
    stacked: String,
    start: usize,
    gradient: Vec<f32>,
}

impl Weight {
    fn largest(&self) -> f32 {
        self.gradient.iter().fold(0.0, |most, g| most.max(g.abs()))
    }

    /// A bias of all keys adds the same to all scores of a query, which the softmax takes away.
    fn must_be_zero(&self) -> bool {
        self.name.ends_with("attention.key.bias")
    }

    /// Whether differences of the loss can tell this gradient from a wrong one.
    fn shows(&self) -> bool {
        self.must_be_zero() || self.largest() >= LEAST
    }
}

/// Checks a model; gives the trace of its pass.
fn check(config: &ModelConfig) -> Vec<BlockTrace> {
    let (mut model, weights, blocks) = checkable(config);
    let checked: BTreeSet<String> = weights.iter().map(|weight| weight.name.clone()).collect();
    let names = model.weights().specs().into_iter().map(|spec| spec.name);
    let all: BTreeSet<String> = names.filter(|name| !name.ends_with(".offset")).collect();
    assert_eq!(checked, all, "{}: the weights checked are those that the model saves", config.name());

    let mut plain = model.without_gradients();
    let faults: Vec<String> = weights.iter().filter_map(|weight| fault(&mut plain, weight, &blocks)).collect();
    assert!(faults.is_empty(), "{}, {} of {}:\n{}", config.name(), faults.len(), weights.len(), faults.join("\n"));
    blocks
}

/// A model with the gradients of a pass, with initial weights for which all can be checked.
fn checkable(config: &ModelConfig) -> (Transformer, Vec<Weight>, Vec<BlockTrace>) {
    (1..200)
        .filter_map(|seed| gradients(config, seed))
        .find(|(_, weights, _)| weights.iter().all(Weight::shows))
        .expect("initial weights with which every expert is visited and every gradient is large enough to check")
}

/// A model with the gradients of a pass; none if tokens do not visit every gate and every expert.
fn gradients(config: &ModelConfig, seed: u64) -> Option<(Transformer, Vec<Weight>, Vec<BlockTrace>)> {
    let mut model = Transformer::new(config, seed, &device().autodiff()).expect("a model");
    let (loss, blocks) = pass(&model);
    if !all_visited(config, &blocks) {
        return None;
    }
    let mut visitor = CollectWeights { gradients: loss.backward(), weights: Vec::new() };
    model.visit_weights(&mut visitor);
    Some((model, visitor.weights, blocks))
}

/// The loss of a training pass over four sentence pairs, with its auxiliary losses, and what the expert blocks did.
fn pass(model: &Transformer) -> (Tensor<1>, Vec<BlockTrace>) {
    let source = Packed::from_sentences(&[
        vec![3, 7, 9, 13, 26, 1],
        vec![4, 20, 17, 1],
        vec![3, 8, 8, 12, 28, 11, 22, 1],
        vec![4, 19, 24, 10, 15, 6, 1],
    ]);
    let target =
        [vec![3, 11, 12, 5, 21], vec![4, 6, 14, 27], vec![3, 9, 10, 22, 17, 25, 16, 8], vec![4, 23, 18, 7, 13]];
    // What follows each token from the last one of the prompt on, and the end mark.
    let prompt = model.config().prompts.decoder.len();
    let targets: Vec<u32> = target.iter().flat_map(|ids| ids[prompt..].iter().copied().chain([1])).collect();
    let target = Packed::from_sentences(&target);
    let mut forward = Forward::training(5);
    let scale = 1.0 / targets.len() as f32;
    let mut loss = model.loss(&source, &target, targets.into(), 0.1, scale, &mut forward).loss;
    // Heavier than in training, so that their gradients show.
    if let Some(balance) = forward.balance_loss() {
        loss = loss + balance * 0.3;
    }
    if let Some(used) = forward.cmr_loss(0.8) {
        loss = loss + used * 0.3;
    }
    (loss, forward.blocks)
}

/// Whether tokens visited every gate, and several of them every expert, of every block.
fn all_visited(config: &ModelConfig, blocks: &[BlockTrace]) -> bool {
    let (encoder, decoder) = config.expert_blocks();
    assert_eq!(blocks.len(), encoder + decoder);
    blocks.iter().enumerate().all(|(i, block)| {
        let strata = config.strata_of_block(i);
        let visits = |expert: usize| block.gates.iter().map(|gate| gate.chosen[expert]).sum::<u32>();
        block.gates.len() == strata.count() && (0..strata.experts()).all(|expert| visits(expert) > 1)
    })
}

/// What is wrong with the gradient of a weight, if anything is. `model` is as before afterwards.
fn fault(model: &mut Transformer, weight: &Weight, blocks: &[BlockTrace]) -> Option<String> {
    let Weight { name, gradient, .. } = weight;
    if weight.must_be_zero() && weight.largest() > 1e-6 {
        return Some(format!("{name}: {}, but the loss does not depend on it", weight.largest()));
    }
    let wanted = gradient.len().min(LARGEST + OTHERS);
    let mut checked = 0;
    for at in candidates(gradient) {
        let Some(differences) = differences(model, weight, at, blocks) else { continue };
        if !differences.iter().any(|found| agrees(gradient[at], *found)) {
            return Some(format!("{name}[{at}]: {} by backward, {differences:?} by differences", gradient[at]));
        }
        checked += 1;
        if checked == wanted {
            return None;
        }
    }
    Some(format!("{name}: routing left only {checked} of {wanted} entries to check"))
}

/// Entries to check, each once: those with the largest gradients first, then the others in a scattered order.
fn candidates(gradient: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..gradient.len()).collect();
    order.sort_by(|a, b| gradient[*b].abs().total_cmp(&gradient[*a].abs()));
    let rest = order.split_off(LARGEST.min(order.len()));
    let stride = (1..).map(|i| 7919 * i).find(|stride| gcd(*stride, rest.len().max(1)) == 1).expect("a stride");
    order.extend((0..rest.len()).map(|i| rest[i * stride % rest.len()]));
    order
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Differences of the loss by one entry, with ever smaller steps, until one agrees with the gradient. None where all
/// steps change the routing, across which the loss jumps.
///
/// Where a ReLU has its kink within a step, central differences are off; it lies on one side of the entry, so that the
/// difference on the other side tells the derivative.
fn differences(model: &mut Transformer, weight: &Weight, at: usize, blocks: &[BlockTrace]) -> Option<Vec<f64>> {
    let mut moved = |by: f32| {
        let mut change = Change { weight, at, by, before: None };
        model.visit_weights(&mut change);
        let before = change.before.expect("the weight");
        let (loss, trace) = pass(model);
        model.visit_weights(&mut Change { weight, at, by: 0.0, before: Some(before) });
        same_routing(blocks, &trace).then(|| number(loss))
    };
    let mut found = Vec::new();
    for step in STEPS {
        let h = f64::from(step);
        let (above, below) = (moved(step), moved(-step));
        found.extend(above.zip(below).map(|(above, below)| (above - below) / (2.0 * h)));
        if found.last().is_some_and(|found| agrees(weight.gradient[at], *found)) {
            break;
        }
        // Their rounding errors are larger: not with the smallest steps.
        for (side, near) in [(1.0, above), (-1.0, below)].into_iter().filter(|_| step >= LEAST_ONE_SIDED) {
            let here = moved(0.0).expect("the routing of the unchanged model");
            let sides = near.zip(moved(side * 2.0 * step));
            found.extend(sides.map(|(near, far)| f64::from(side) * (4.0 * near - 3.0 * here - far) / (2.0 * h)));
        }
        if found.iter().any(|found| agrees(weight.gradient[at], *found)) {
            break;
        }
    }
    (!found.is_empty()).then_some(found)
}

fn agrees(gradient: f32, difference: f64) -> bool {
    let gradient = f64::from(gradient);
    (difference - gradient).abs() <= RELATIVE * gradient.abs() + ABSOLUTE
}

fn same_routing(a: &[BlockTrace], b: &[BlockTrace]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.strata_visited == b.strata_visited
                && a.gates.len() == b.gates.len()
                && a.gates
                    .iter()
                    .zip(&b.gates)
                    .all(|(a, b)| a.first == b.first && a.chosen == b.chosen && a.dropped == b.dropped)
        })
}

/// Takes every weight as files name them, with its gradient.
struct CollectWeights {
    gradients: Gradients,
    weights: Vec<Weight>,
}

impl WeightVisitor for CollectWeights {
    fn visit_weight<const D: usize>(&mut self, stacked: &str, weight: &mut Tensor<D>) {
        let gradient = weight.grad(&self.gradients);
        if stacked.ends_with(".offset") {
            // Offsets of gates choose and do not weigh: the loss is flat in them between two choices.
            return assert!(gradient.is_none(), "{stacked} has a gradient");
        }
        let gradient = gradient.unwrap_or_else(|| panic!("{stacked} has no gradient"));
        let gradient = values(gradient);
        let parts = if stacked.contains(".*.") { weight.dims()[0] } else { 1 };
        let each = gradient.len() / parts;
        self.weights.extend(gradient.chunks_exact(each).enumerate().map(|(part, gradient)| Weight {
            name: stacked.replace(".*.", &format!(".{part}.")),
            stacked: stacked.to_string(),
            start: part * each,
            gradient: gradient.to_vec(),
        }));
    }
}

/// Adds `by` to one entry and keeps the tensor from before, or puts that back.
struct Change<'a> {
    weight: &'a Weight,
    at: usize,
    by: f32,
    before: Option<Vec<f32>>,
}

impl WeightVisitor for Change<'_> {
    fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        if name != self.weight.stacked {
            return;
        }
        let new = match self.before.take() {
            Some(before) => before,
            None => {
                let before = values(weight.clone());
                let mut new = before.clone();
                new[self.weight.start + self.at] += self.by;
                self.before = Some(before);
                new
            }
        };
        *weight = Tensor::from_data(TensorData::new(new, weight.dims()), &weight.device());
    }
}
