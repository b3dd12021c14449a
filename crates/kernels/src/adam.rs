//! Adam (Kingma and Ba, 2015, algorithm 1) over one parameter, all its state read and written in one pass.

use burn::backend::Flex;
use burn::tensor::Tensor;

use crate::buffer::Shared;
use crate::flex::on_flex;
use crate::parallel::for_rows;

/// The settings of one Adam step.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    /// Learning rate of this update.
    pub learning_rate: f64,
    /// Decay rates of the two moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay (Loshchilov and Hutter, 2019); 0 is plain Adam.
    pub weight_decay: f64,
    /// Number of this update, from 1, for the bias correction.
    pub update: u64,
    /// Every gradient value is multiplied by this first (gradient clipping, gradient accumulation).
    pub gradient_scale: f64,
}

/// The moments of one parameter, of its shape.
pub struct Moments<const D: usize> {
    /// Mean of the gradient.
    pub first: Tensor<D>,
    /// Mean of the squared gradient.
    pub second: Tensor<D>,
}

/// The parameter and its moments after one step; none of the tensors belongs to an autodiff graph.
pub fn adam<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments<D>,
    step: &AdamStep,
) -> (Tensor<D>, Moments<D>) {
    if !on_flex(&parameter.device()) {
        return composed(parameter, gradient, moments, step);
    }
    let primitive = |t: Tensor<D>| t.try_into_primitive::<Flex>().expect("a plain CPU tensor");
    let gradient = primitive(gradient).to_contiguous();
    let [mut parameter, mut first, mut second] =
        [parameter, moments.first, moments.second].map(|t| primitive(t).to_contiguous());
    let constants = Constants::new(step);
    let start = gradient.layout().start_offset();
    let g = &gradient.storage::<f32>()[start..];
    let n = parameter.layout().num_elements();
    // `storage_mut` copies what is shared: the caller's other handles never see the change.
    let outs = [&mut parameter, &mut first, &mut second].map(|t| {
        let start = t.layout().start_offset();
        Shared::new(&mut t.storage_mut::<f32>()[start..start + n])
    });
    for_rows(
        n,
        1,
        #[inline(always)]
        |_, from, count| {
            // SAFETY: each piece has a range of its own in each of the three buffers.
            let [p, m, v] = outs.each_ref().map(|out| unsafe { out.slice(from, count) });
            // A copy, of which the compiler knows that writing the outputs does not change it.
            let c = constants;
            for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(&g[from..from + count]) {
                let g = g * c.scale;
                *m = c.beta1 * *m + (1.0 - c.beta1) * g;
                *v = c.beta2 * *v + (1.0 - c.beta2) * g * g;
                let denominator = v.sqrt() * c.root_correction + c.epsilon;
                *p = *p * c.keep - c.rate * *m / denominator;
            }
        },
    );
    let [parameter, first, second] = [parameter, first, second].map(Tensor::from_primitive::<Flex>);
    (parameter, Moments { first, second })
}

/// The numbers that are the same for every value.
#[derive(Clone, Copy)]
struct Constants {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    scale: f32,
    /// Learning rate over the first moment's bias correction.
    rate: f32,
    /// One over the root of the second moment's bias correction.
    root_correction: f32,
    /// What weight decay leaves of the parameter.
    keep: f32,
}

impl Constants {
    fn new(step: &AdamStep) -> Self {
        let correction = |beta: f64| 1.0 - beta.powf(step.update as f64);
        Self {
            beta1: step.betas.0 as f32,
            beta2: step.betas.1 as f32,
            epsilon: step.epsilon as f32,
            scale: step.gradient_scale as f32,
            rate: (step.learning_rate / correction(step.betas.0)) as f32,
            root_correction: (1.0 / correction(step.betas.1).sqrt()) as f32,
            keep: (1.0 - step.learning_rate * step.weight_decay) as f32,
        }
    }
}

fn composed<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments<D>,
    step: &AdamStep,
) -> (Tensor<D>, Moments<D>) {
    let c = Constants::new(step);
    let gradient = gradient * c.scale;
    let first = moments.first * c.beta1 + gradient.clone() * (1.0 - c.beta1);
    let second = moments.second * c.beta2 + gradient.square() * (1.0 - c.beta2);
    let denominator = second.clone().sqrt() * c.root_correction + c.epsilon;
    let parameter = parameter * c.keep - first.clone() * c.rate / denominator;
    (parameter, Moments { first, second })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;

    fn step(update: u64) -> AdamStep {
        AdamStep {
            learning_rate: 1e-2,
            betas: (0.9, 0.98),
            epsilon: 1e-6,
            weight_decay: 0.01,
            update,
            gradient_scale: 0.5,
        }
    }

    #[test]
    fn several_steps_equal_the_composition() {
        let start = || {
            let p = random([37, 11], 1).inner();
            (p.clone(), Moments { first: p.zeros_like(), second: p.zeros_like() })
        };
        let (mut ours, mut reference) = (start(), start());
        for update in 1..6 {
            let gradient = random([37, 11], 10 + update).inner();
            ours = adam(ours.0, gradient.clone(), ours.1, &step(update));
            reference = composed(reference.0, gradient, reference.1, &step(update));
        }
        let difference = (ours.0 - reference.0).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-6, "parameters differ by {difference}");
    }

    /// The first step of Adam moves every value by the learning rate, whatever the gradient's size.
    #[test]
    fn first_step_is_the_learning_rate() {
        let p = random([5], 1).inner();
        let moments = Moments { first: p.zeros_like(), second: p.zeros_like() };
        let plain = AdamStep { weight_decay: 0.0, epsilon: 0.0, ..step(1) };
        let (after, _) = adam(p.clone(), p.full_like(-3.0), moments, &plain);
        let moved: Vec<f32> = (after - p).into_data().try_to_vec().unwrap();
        assert!(moved.iter().all(|m| (m - 1e-2).abs() < 1e-6), "{moved:?}");
    }
}
