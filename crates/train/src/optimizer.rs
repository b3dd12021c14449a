//! Adam over all weights of a model, its state by the weights' names.

use std::collections::HashMap;

use burn::tensor::{Gradients, Tensor};
use strata_kernels::{AdamStep, Moments, adam, host, sum_of_squares};
use strata_model::{Transformer, WeightVisitor, is_trained, push_weight};
use strata_store::{TensorFile, TensorList};

use crate::by_weight::read_by_weight;
use crate::error::Error;

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

/// The weight `name` or a piece of it, `[values]`, and its moments after one step. Without a gradient (an expert that
/// saw no token) it counts as one of gradient zero; moments begin as zeros. What gradients do not train stays as it is.
pub(crate) fn stepped(
    name: &str,
    weight: Tensor<1>,
    gradient: Option<Tensor<1>>,
    moments: Option<Moments<1>>,
    step: &AdamStep,
) -> (Tensor<1>, Moments<1>) {
    let moments = moments.unwrap_or_else(|| Moments { first: weight.zeros_like(), second: weight.zeros_like() });
    if !is_trained(name) {
        return (weight, moments);
    }
    let gradient = gradient.unwrap_or_else(|| weight.zeros_like());
    adam(weight, gradient, moments, step)
}

/// Adam's moments for every weight of a model.
#[derive(Default)]
pub struct Adam {
    moments: HashMap<String, Moments<1>>,
}

impl Adam {
    /// Takes one step.
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
                let (gradient, moments) = (self.gradients.remove(name), self.moments.remove(name));
                let (flat, moments) = stepped(name, flat, gradient, moments, self.step);
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

#[cfg(test)]
mod tests {
    use strata_recipe::{Kind, ModelConfig};
    use strata_store::TensorSource;

    use super::*;
    use crate::testing::tiny;

    /// Weights by name, on the host.
    fn values(model: &mut Transformer) -> HashMap<String, Vec<f32>> {
        struct Collect(HashMap<String, Vec<f32>>);
        impl WeightVisitor for Collect {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                self.0.insert(name.to_string(), host(weight.clone().inner()));
            }
        }
        let mut collect = Collect(HashMap::new());
        model.visit_weights(&mut collect);
        collect.0
    }

    /// The offsets of a budget are as far as the budget has moved them; weight decay must not pull them back.
    #[test]
    fn weight_decay_leaves_offsets_alone() {
        struct Fill;
        impl WeightVisitor for Fill {
            fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut Tensor<D>) {
                *weight = Tensor::ones(weight.dims(), &weight.device()).require_grad();
            }
        }
        let config =
            ModelConfig { kind: Kind::Smoe, strata: vec![2, 2], capacity_budget: 1.5, ..ModelConfig::default() };
        let mut model = tiny(config, 1);
        model.visit_weights(&mut Fill);
        let step = AdamStep {
            learning_rate: 0.1,
            betas: (0.9, 0.98),
            epsilon: 1e-6,
            weight_decay: 0.5,
            update: 1,
            gradient_scale: 1.0,
        };
        let mut adam = Adam::default();
        adam.step(&mut model, GradientSum::default(), &step);
        let after = values(&mut model);
        assert!(after.keys().any(|name| name.ends_with("gate.1.offset")));
        for (name, values) in &after {
            let expected = if name.ends_with(".offset") { 1.0 } else { 0.95 };
            assert!(values.iter().all(|value| (value - expected).abs() < 1e-6), "{name}: {values:?}");
        }
        // Programs of earlier versions read moments of every weight.
        let moments = adam.tensors(&mut model).specs().len();
        assert_eq!(moments, 2 * model.weights().specs().len());
    }
}
