//! What a model is made of: named packed products and vectors. A model is built from any source of [`Parts`] and
//! visited [`Part`] by [`Part`], so that packed weights can be written to a file and read back without the original
//! ones.

use crate::error::Error;
use crate::linear::Linear;
use crate::storage::Storage;

/// A packed product: one or more affine maps of the same input, their outputs one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearSpec<'a> {
    /// The part's own name.
    pub name: &'a str,
    /// The affine maps in it, by their names in `model.safetensors` without `.weight` and `.bias`. Each has
    /// `outputs / maps.len()` outputs.
    pub maps: &'a [String],
    /// Outputs of all maps together.
    pub outputs: usize,
    /// Inputs of each map.
    pub inputs: usize,
    /// Whether the maps have a bias.
    pub bias: bool,
    /// Whether the part stays f32 at any precision of the model. Gates do: they decide by small differences.
    pub exact: bool,
}

/// A source of a model's parts.
pub(crate) trait Parts {
    /// The packed product of `spec`.
    ///
    /// # Errors
    /// A part that is missing or has another shape.
    fn linear(&mut self, spec: LinearSpec<'_>) -> Result<Linear, Error>;

    /// The vector `name` `[len]`.
    ///
    /// # Errors
    /// As [`Parts::linear`].
    fn vector(&mut self, name: &str, len: usize) -> Result<Storage<f32>, Error>;
}

/// One part of a model.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    /// A packed product.
    Linear(&'a Linear),
    /// A vector.
    Vector(&'a [f32]),
}

impl Part<'_> {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.bytes(),
            Self::Vector(values) => size_of_val(*values),
        }
    }
}
