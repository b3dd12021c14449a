//! Where a model's weights come from: a safetensors file, or values made from a seed for benchmarks and tests.

use std::borrow::Cow;

use strata_simd::random::{mix, unit};
use strata_store::{TensorFile, TensorList};

use crate::error::Error;

/// Weights by the names that `model.safetensors` gives them, such as `encoder.layers.1.block.experts.3.fc1.weight`.
pub trait Weights {
    /// The values of weight `name` of `shape`, row-major.
    ///
    /// # Errors
    /// A weight that is missing or has another shape.
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error>;
}

impl Weights for TensorFile {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        Ok(TensorFile::f32(self, name, shape)?)
    }
}

/// The weights of a model in memory.
impl Weights for TensorList<'_> {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        let found = TensorList::f32(self, name, shape).map(Cow::Borrowed);
        found.ok_or_else(|| Error::Weights(format!("the model has no weight `{name}` of shape {shape:?}")))
    }
}

/// Random weights that follow from a seed and each weight's name alone. Their translations make no sense, but cost what
/// those of trained weights cost, so that speed can be measured without a model at hand.
#[derive(Clone, Debug)]
pub struct RandomWeights {
    seed: u64,
}

impl RandomWeights {
    /// The weights that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl Weights for RandomWeights {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        // FNV-1a of the name, mixed with the seed.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        let count: usize = shape.iter().product();
        let inputs = shape.last().copied().unwrap_or(1) as f32;
        // A norm's weights lie around 1; a variance of 1/inputs keeps a product's outputs at the size of its inputs.
        let (center, bound) = match shape.len() {
            1 if name.ends_with("weight") => (1.0, 0.2),
            1 => (0.0, 0.2),
            _ => (0.0, (3.0 / inputs).sqrt()),
        };
        let value = |i: u64| {
            let uniform = unit(mix(self.seed ^ hash, i));
            center + bound * (2.0 * uniform - 1.0)
        };
        Ok(Cow::Owned((0..count as u64).map(value).collect()))
    }
}
