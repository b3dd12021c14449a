//! A model's weights by name: initial values that depend on the name alone, and one way to visit them all.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand_distr::{Distribution, StandardNormal, Uniform};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use strata_recipe::Initialization;

use crate::share::ExpertShare;

/// Gets every weight of a model under its name, in a fixed order.
pub trait WeightVisitor {
    /// `name` is the path of the weight, such as `encoder.layers.1.block.gate.0.weight`. The experts of a block are
    /// stacked under `experts.*`; those that a model holds from expert 4 on, under `experts.4*`.
    fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>);
}

/// Joins a path and a name.
pub(crate) fn join(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

/// What an affine map is for, where initial values depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// In an FFN or an expert.
    Ffn,
    /// Query, key or value of attention.
    Projection,
    /// Anything else.
    Other,
}

/// Makes initial weights. A weight's values depend on the seed and its name only, so that two models share the initial
/// values of every weight they have in common.
pub struct Initializer {
    /// How weights start.
    pub initialization: Initialization,
    /// The seed of the model.
    pub seed: u64,
    /// Where the weights live; an autodiff device for training.
    pub device: Device,
    /// The experts that are made.
    pub share: ExpertShare,
}

impl Initializer {
    fn generator(&self, name: &str) -> Pcg64 {
        // FNV-1a of the name, mixed with the seed.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Pcg64::seed_from_u64(hash ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn place<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        let weight = Tensor::from_data(TensorData::new(values, shape), &self.device);
        if self.device.is_autodiff() { weight.require_grad() } else { weight }
    }

    fn uniform(&self, name: &str, count: usize, bound: f32) -> Vec<f32> {
        if bound == 0.0 {
            return vec![0.0; count];
        }
        let mut generator = self.generator(name);
        match Uniform::new_inclusive(-bound, bound) {
            Ok(uniform) => uniform.sample_iter(&mut generator).take(count).collect(),
            Err(_) => vec![0.0; count], // a bound that is not finite: no such shape passes validation
        }
    }

    /// The bounds of uniform values of a map's weight and of its bias: Glorot and Bengio's (2010) and zero, or
    /// fairseq's.
    fn bounds(&self, used: Use, [outputs, inputs]: [usize; 2]) -> (f32, f32) {
        let (glorot, by_inputs) = ((6.0 / (outputs + inputs) as f32).sqrt(), 1.0 / (inputs as f32).sqrt());
        match (self.initialization, used) {
            (Initialization::Fairseq, Use::Ffn) => (by_inputs, by_inputs),
            (Initialization::Fairseq, Use::Projection) => (glorot * std::f32::consts::FRAC_1_SQRT_2, by_inputs),
            (Initialization::Fairseq, Use::Other) | (Initialization::Glorot, _) => (glorot, 0.0),
        }
    }

    /// Weight `[outputs, inputs]` and bias `[outputs]` of the map at `path`.
    pub(crate) fn map(&self, path: &str, used: Use, shape: [usize; 2]) -> (Tensor<2>, Tensor<1>) {
        let [outputs, inputs] = shape;
        let (weight, bias) = self.bounds(used, shape);
        let weight = self.uniform(&join(path, "weight"), outputs * inputs, weight);
        let bias = self.uniform(&join(path, "bias"), outputs, bias);
        (self.place(weight, shape), self.place(bias, [outputs]))
    }

    /// Weights `[held, outputs, inputs]` and biases `[held, outputs]` of the maps `{path}.{index}.{name}` of the
    /// experts `held`, stacked; each has values of its own name.
    pub(crate) fn stacked(
        &self,
        path: &str,
        name: &str,
        held: Range<usize>,
        [outputs, inputs]: [usize; 2],
    ) -> (Tensor<3>, Tensor<2>) {
        let count = held.len();
        let (weight, bias) = self.bounds(Use::Ffn, [outputs, inputs]);
        let all = |kind: &str, size: usize, bound: f32| -> Vec<f32> {
            held.clone().flat_map(|i| self.uniform(&format!("{path}.{i}.{name}.{kind}"), size, bound)).collect()
        };
        let (weights, biases) = (all("weight", outputs * inputs, weight), all("bias", outputs, bias));
        (self.place(weights, [count, outputs, inputs]), self.place(biases, [count, outputs]))
    }

    /// A gate `[experts, d]`, uniform in `1 / sqrt(d)`.
    pub fn gate(&self, name: &str, [experts, d]: [usize; 2]) -> Tensor<2> {
        self.place(self.uniform(name, experts * d, 1.0 / (d as f32).sqrt()), [experts, d])
    }

    /// `[rows, d]` of normal values with standard deviation `1 / sqrt(d)`.
    pub fn embedding(&self, name: &str, [rows, d]: [usize; 2]) -> Tensor<2> {
        let deviation = 1.0 / (d as f32).sqrt();
        let mut generator = self.generator(name);
        let normal = || -> f32 { StandardNormal.sample(&mut generator) };
        let values = std::iter::repeat_with(normal).take(rows * d).map(|v| v * deviation).collect();
        self.place(values, [rows, d])
    }

    /// Standard normal values of the weight `name`, without end; not those that it starts with.
    pub(crate) fn normal(&self, name: &str) -> impl Iterator<Item = f32> + use<> {
        let mut generator = self.generator(&join(name, "noise"));
        std::iter::repeat_with(move || StandardNormal.sample(&mut generator))
    }

    /// `count` random shares of one, the largest at most twice the smallest.
    pub(crate) fn shares(&self, name: &str, count: usize) -> Vec<f32> {
        let parts: Vec<f32> = self.uniform(name, count, 1.0).into_iter().map(|value| 3.0 + value).collect();
        let sum: f32 = parts.iter().sum();
        parts.into_iter().map(|part| part / sum).collect()
    }

    /// `shape` filled with one value.
    pub fn constant<const D: usize>(&self, value: f32, shape: [usize; D]) -> Tensor<D> {
        self.place(vec![value; shape.iter().product()], shape)
    }
}
