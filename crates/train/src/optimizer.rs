//! Adam over all weights of a model, its state by the weights' names.

use std::collections::HashMap;

use burn::tensor::{Gradients, Tensor};
use strata_kernels::{AdamStep, Moments, adam, sum_of_squares};
use strata_model::{Transformer, WeightVisitor, push_weight};
use strata_store::{TensorFile, TensorList};

use crate::by_weight::read_by_weight;
use crate::error::Error;
use crate::host::host;

/// Gradients of one update by weight, flattened, summed over its batches.
#[derive(Default)]
pub struct GradientSum {
    by_weight: HashMap<String, Tensor<1>>,
}

impl GradientSum {
    /// Adds the gradients of one backward pass.
    pub fn add(&mut self, model: &mut Transformer, gradients: Gradients) {
        struct Collect<'a> {
            sum: &'a mut HashMap<String, Tensor<1>>,
            gradients: Gradients,
        }
        impl WeightVisitor for Collect<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                let Some(gradient) = weight.grad_remove(&mut self.gradients) else { return };
                let gradient = gradient.reshape([-1]);
                let sum = match self.sum.remove(name) {
                    Some(sum) => sum + gradient,
                    None => gradient,
                };
                self.sum.insert(name.to_string(), sum);
            }
        }
        model.visit_weights(&mut Collect { sum: &mut self.by_weight, gradients });
    }

    /// The values of each weight's gradient, by name, on the host.
    pub(crate) fn into_values(self) -> HashMap<String, Vec<f32>> {
        self.by_weight.into_iter().map(|(name, tensor)| (name, host(tensor))).collect()
    }

    /// The Euclidean norm of all gradients together.
    pub fn norm(&self) -> f64 {
        // In the order of the names: a sum in a fixed order has fixed bits.
        let mut names: Vec<&String> = self.by_weight.keys().collect();
        names.sort_unstable();
        names.into_iter().map(|name| sum_of_squares(self.by_weight[name].clone())).sum::<f64>().sqrt()
    }
}

/// Adam's moments for every weight of a model.
#[derive(Default)]
pub struct Adam {
    moments: HashMap<String, Moments<1>>,
}

impl Adam {
    /// Takes one step. A weight without a gradient (an expert that saw no token) counts as one of gradient zero.
    pub fn step(&mut self, model: &mut Transformer, gradients: GradientSum, step: &AdamStep) {
        struct Update<'a> {
            moments: &'a mut HashMap<String, Moments<1>>,
            gradients: HashMap<String, Tensor<1>>,
            step: &'a AdamStep,
        }
        impl WeightVisitor for Update<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                let shape = weight.dims();
                // The weight's only other handle goes, so that the step can happen in place.
                let placeholder = Tensor::empty([0; D], &weight.device());
                let flat = std::mem::replace(weight, placeholder).inner().reshape([-1]);
                let moments = self
                    .moments
                    .remove(name)
                    .unwrap_or_else(|| Moments { first: flat.zeros_like(), second: flat.zeros_like() });
                let gradient = self.gradients.remove(name).unwrap_or_else(|| flat.zeros_like());
                let (flat, moments) = adam(flat, gradient, moments, self.step);
                self.moments.insert(name.to_string(), moments);
                *weight = Tensor::from_inner(flat.reshape(shape)).require_grad();
            }
        }
        model.visit_weights(&mut Update { moments: &mut self.moments, gradients: gradients.by_weight, step });
    }

    /// Copies of the moments as `first.NAME` and `second.NAME`.
    pub fn tensors(&self, model: &mut Transformer) -> TensorList<'static> {
        struct Collect<'a>(&'a Adam, TensorList<'static>);
        impl WeightVisitor for Collect<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                let Some(moments) = self.0.moments.get(name) else { return };
                for (prefix, values) in [("first.", &moments.first), ("second.", &moments.second)] {
                    push_weight(&mut self.1, prefix, name, &weight.dims(), host(values.clone()));
                }
            }
        }
        let mut collect = Collect(self, TensorList::new());
        model.visit_weights(&mut collect);
        collect.1
    }

    /// Moments that [`Adam::tensors`] wrote.
    ///
    /// # Errors
    /// [`Error::Model`] naming a tensor that is missing or has another shape.
    pub fn load(model: &mut Transformer, file: &TensorFile) -> Result<Self, Error> {
        let moments = read_by_weight(model, file, ["first.", "second."])?;
        let moments = moments.into_iter().map(|(name, [first, second])| (name, Moments { first, second }));
        Ok(Adam { moments: moments.collect() })
    }
}
