//! Weights taken over from another model: the same model with rows for further languages, or one with experts that are
//! copies of a dense model's FFNs ("sparse upcycling", Komatsuzaki et al., 2023).
//!
//! An upcycled model computes at the start what the dense one does:
//!
//! - Weights of two and more choices sum to one, and a mean of copies is the FFN. A single choice is weighted by its
//!   probability: its gates start near zero, so that all probabilities are `1 / experts`, and the experts' outputs are
//!   multiplied by their number.
//! - A token that visits a second stratum would get the FFN twice. Where strata learn the factors of their output
//!   (`learned_scale`), those of all but the first start at zero. Otherwise each token starts by leaving after one
//!   visit: in the first gate, the rows of the experts that lead on are means of the rows of those that do not, and a
//!   mean is never the largest. Rounding aside, no input makes it so, and gradients reach every expert.

use std::borrow::Cow;
use std::ops::Range;

use strata_recipe::{Kind, ModelConfig};
use strata_store::TensorFile;

use crate::error::Error;
use crate::parameter::Initializer;
use crate::transformer::Transformer;
use crate::weights::{in_file, read_weight};

/// What gates of a single choice start with, as a share of what they otherwise do: probabilities are equal to about
/// this, and f32 still tells nearly all of them apart.
const EVEN: f32 = 2e-6;

/// The model whose weights another one takes over.
pub struct Origin<'a> {
    /// Its weights.
    pub file: &'a TensorFile,
    /// Which row of its table each row of the new table is; none for tags of further languages, which start as the mean
    /// of its own tags. They are as many as the new vocabulary.
    pub rows: &'a [Option<u32>],
    /// The rows of its table, and which of them are tags.
    pub vocabulary: (usize, Range<usize>),
    /// The noise on copied experts where its FFNs become experts: normal, with this share of the weights' root mean
    /// square as standard deviation. None where the two models are alike.
    pub upcycle: Option<f32>,
    /// The seed of that noise.
    pub seed: u64,
}

impl Transformer {
    /// Replaces all weights by those of another model. The present ones, fresh from the seed, are what gates start
    /// from in a model that is upcycled.
    ///
    /// # Errors
    /// [`Error::Store`] naming a tensor that is missing or has another shape; [`Error::Input`] naming one that has no
    /// place.
    pub fn take_over(&mut self, origin: &Origin<'_>) -> Result<(), Error> {
        let config = self.config().clone();
        let (initialization, seed, device) = (config.initialization, origin.seed, self.device());
        let init = Initializer { initialization, seed, device, share: self.share };
        self.replace_weights(origin.file, |name, shape, fresh, used| {
            if name == "embedding.weight" {
                used(name);
                return origin.table(name, shape, fresh());
            }
            match (origin.upcycle, name.split_once(".block.")) {
                (Some(noise), Some((layer, weight))) => {
                    let (layer, file) = (format!("{layer}.ffn"), origin.file);
                    let mut read = |weight: &str, shape: &[usize]| {
                        let name = format!("{layer}.{weight}");
                        used(&name);
                        read_weight(file, "", &name, shape)
                    };
                    Upcycled { config: &config, init: &init, noise, name, shape }.values(weight, &mut read, fresh)
                }
                _ => {
                    in_file(name, shape).iter().for_each(|(name, _)| used(name));
                    read_weight(origin.file, "", name, shape)
                }
            }
        })
    }
}

impl Origin<'_> {
    /// The new table `[rows, d]`; `fresh` is what rows start from where there is no tag to take the mean of.
    fn table(&self, name: &str, shape: &[usize], fresh: Vec<f32>) -> Result<Vec<f32>, Error> {
        let (d, (rows, tags)) = (shape[1], &self.vocabulary);
        let table: Cow<'_, [f32]> = self.file.f32(name, &[*rows, d])?;
        let row = |i: usize| &table[i * d..(i + 1) * d];
        let mean: Option<Vec<f32>> = (!tags.is_empty()).then(|| {
            let sum = |column: usize| tags.clone().map(|tag| row(tag)[column]).sum::<f32>();
            (0..d).map(|column| sum(column) / tags.len() as f32).collect()
        });
        let mut values = fresh;
        for (values, from) in values.chunks_exact_mut(d).zip(self.rows) {
            match (from, &mean) {
                (Some(from), _) => values.copy_from_slice(row(*from as usize)),
                (None, Some(mean)) => values.copy_from_slice(mean),
                (None, None) => {}
            }
        }
        Ok(values)
    }
}

/// Reads a weight of the FFN by its name there and its shape.
type Read<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, Error> + 'a;

/// A weight of an expert block that is made of an FFN.
struct Upcycled<'a> {
    config: &'a ModelConfig,
    init: &'a Initializer,
    noise: f32,
    /// Of the weight, in full.
    name: &'a str,
    shape: &'a [usize],
}

impl Upcycled<'_> {
    /// The values of the block's `weight`, given `read` for the FFN's weights and the block's `fresh` ones.
    fn values(&self, weight: &str, read: &mut Read<'_>, fresh: &dyn Fn() -> Vec<f32>) -> Result<Vec<f32>, Error> {
        // Their names begin with `experts.*.`, or `experts.4*.` where others have the first four.
        if let Some((_, weight)) = weight.split_once("*.") {
            return Ok(self.experts(weight, read(weight, &self.shape[1..])?));
        }
        if let Some(weight) = weight.strip_prefix("shared.") {
            return read(weight, self.shape);
        }
        if let Some((_, of_norm)) = weight.strip_prefix("norm.").and_then(|rest| rest.split_once('.')) {
            return read(&format!("norm.{of_norm}"), self.shape);
        }
        let mut values = fresh();
        match weight {
            "gate.0.weight" => self.first_gate(&mut values),
            "visit_scale.weight" => values[1..].fill(0.0),
            _ => {}
        }
        Ok(values)
    }

    /// Copies of the FFN's `weight` for all experts, with noise on all but biases.
    fn experts(&self, weight: &str, mut copy: Vec<f32>) -> Vec<f32> {
        if weight.starts_with("fc2.") {
            // What the output of one visit is multiplied by.
            let experts = self.config.block_strata().experts();
            let choice = if self.config.top_k == 1 { 1.0 / experts as f32 } else { 1.0 };
            let factor = choice * self.config.visit_scale as f32 * self.config.inference_scale();
            copy.iter_mut().for_each(|value| *value /= factor);
        }
        let mut all = copy.repeat(self.shape[0]);
        if self.noise > 0.0 && weight.ends_with(".weight") {
            let square = copy.iter().map(|value| f64::from(value * value)).sum::<f64>() / copy.len() as f64;
            let deviation = self.noise * square.sqrt() as f32;
            for (expert, (name, _)) in all.chunks_exact_mut(copy.len()).zip(in_file(self.name, self.shape)) {
                expert.iter_mut().zip(self.init.normal(&name)).for_each(|(value, noise)| *value += deviation * noise);
            }
        }
        all
    }

    /// The gate that all tokens visit, `[experts, d]`.
    fn first_gate(&self, values: &mut [f32]) {
        let (experts, d) = (self.shape[0], self.shape[1]);
        if self.config.top_k == 1 {
            values.iter_mut().for_each(|value| *value *= EVEN);
        }
        let last = match self.config.strata.last() {
            Some(last) if self.config.kind == Kind::Smoe && !self.config.learned_scale => *last,
            _ => return,
        };
        let (leading_on, leaving) = values.split_at_mut((experts - last) * d);
        for (expert, row) in leading_on.chunks_exact_mut(d).enumerate() {
            // Each leans towards another row, whose first choices are its second choices; the rest keeps it below.
            let mut shares = self.init.shares(&format!("{}.{expert}", self.name), last);
            shares.iter_mut().for_each(|share| *share /= 2.0);
            shares[expert % last] += 0.5;
            row.fill(0.0);
            for (share, other) in shares.iter().zip(leaving.chunks_exact(d)) {
                row.iter_mut().zip(other).for_each(|(value, other)| *value += share * other);
            }
        }
    }
}
