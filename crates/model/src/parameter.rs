//! A model's weights by name: initial values that depend on the name alone, and one way to visit them all.

use burn::tensor::{Device, Tensor, TensorData};
use rand_distr::{Distribution, StandardNormal, Uniform};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;

/// Gets every weight of a model under its name, in a fixed order.
pub trait WeightVisitor {
    /// `name` is the path of the weight, such as `encoder.layers.1.block.gate.0.weight`.
    fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>);
}

/// Joins a path and a name.
pub(crate) fn join(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

/// Makes initial weights. A weight's values depend on the seed and its name only, so that two models share the initial
/// values of every weight they have in common.
pub struct Initializer {
    /// The seed of the model.
    pub seed: u64,
    /// Where the weights live; an autodiff device for training.
    pub device: Device,
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
        let mut generator = self.generator(name);
        match Uniform::new_inclusive(-bound, bound) {
            Ok(uniform) => uniform.sample_iter(&mut generator).take(count).collect(),
            Err(_) => vec![0.0; count], // a bound that is not finite: no such shape passes validation
        }
    }

    /// `[outputs, inputs]` with Glorot and Bengio's (2010) uniform initialization.
    pub fn matrix(&self, name: &str, [outputs, inputs]: [usize; 2]) -> Tensor<2> {
        let bound = (6.0 / (outputs + inputs) as f32).sqrt();
        self.place(self.uniform(name, outputs * inputs, bound), [outputs, inputs])
    }

    /// `[count, outputs, inputs]`: matrices stacked, each with values of its own name `{path}.{index}.{name}`.
    pub fn stacked(&self, path: &str, name: &str, [count, outputs, inputs]: [usize; 3]) -> Tensor<3> {
        let bound = (6.0 / (outputs + inputs) as f32).sqrt();
        let each = |i: usize| self.uniform(&format!("{path}.{i}.{name}"), outputs * inputs, bound);
        self.place((0..count).flat_map(each).collect(), [count, outputs, inputs])
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

    /// `shape` filled with one value.
    pub fn constant<const D: usize>(&self, value: f32, shape: [usize; D]) -> Tensor<D> {
        self.place(vec![value; shape.iter().product()], shape)
    }
}
