//! Exits that learn: the gradient that a gate gets for sending tokens on, against its formula, since finite differences
//! cannot see it: it is added where the loss does not depend on the gate.

mod common;

use burn::tensor::{Tensor, TensorData};
use common::{device, smoe, values};
use strata_model::{BlockTrace, ExpertBlock, ExpertShare, Forward, Initializer, WeightVisitor};
use strata_recipe::{Exits, ModelConfig, Side};

const TOKENS: usize = 12;

struct Found {
    y: Vec<f32>,
    /// Of the first gate's weight, `[4, d]`.
    gradient: Vec<f32>,
    weight: Vec<f32>,
    visits: Vec<u8>,
}

/// One pass of a block with strata of 2 and 2, with the second stratum's factor set to `second`.
fn pass(exits: Exits, second: f32) -> Found {
    let config = ModelConfig { exits, learned_scale: true, ..smoe(&[2, 2]) };
    let device = device().autodiff();
    let init =
        Initializer { initialization: config.initialization, seed: 3, device: device.clone(), share: ExpertShare::ALL };
    let mut block = ExpertBlock::new(&init, "block", &config, Side::Encoder, 0);
    struct Scale(f32);
    impl WeightVisitor for Scale {
        fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
            if name.ends_with("visit_scale.weight") {
                let data = TensorData::new(vec![1.0, self.0], weight.dims());
                *weight = Tensor::from_data(data, &weight.device()).require_grad();
            }
        }
    }
    block.visit_weights("block", &mut Scale(second));
    let d = config.d_model;
    let tensor = |seed: f32| {
        let values: Vec<f32> = (0..TOKENS * d).map(|i| ((i as f32 + seed) * 0.7).sin()).collect();
        Tensor::<2>::from_data(TensorData::new(values, [TOKENS, d]), &device)
    };
    let mut forward = Forward::training(1);
    let y = block.apply(tensor(0.0), &mut forward, BlockTrace::default());
    let gradients = (y.clone() * tensor(100.0)).sum().backward();
    struct Gate<'a>(&'a burn::tensor::Gradients, Vec<f32>, Vec<f32>);
    impl WeightVisitor for Gate<'_> {
        fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
            if name.ends_with("gate.0.weight") {
                (self.1, self.2) = (values(weight.grad(self.0).expect("a gradient")), values(weight.clone().inner()));
            }
        }
    }
    let mut gate = Gate(&gradients, Vec::new(), Vec::new());
    block.visit_weights("block", &mut gate);
    let visits = forward.blocks[0].strata_visited.clone();
    Found { y: values(y.inner()), gradient: gate.1, weight: gate.2, visits }
}

#[test]
fn the_gate_that_sends_a_token_on_learns_from_the_next_visit() {
    let (plain, learned) = (pass(Exits::Choice, 1.0), pass(Exits::Learned, 1.0));
    assert_eq!((&plain.y, &plain.visits), (&learned.y, &learned.visits), "the forward pass is the same");
    assert!(plain.visits.contains(&1) && plain.visits.contains(&2), "{:?}", plain.visits);
    // The second visit's output is what its factor adds.
    let first_only = pass(Exits::Choice, 0.0).y;
    let d = plain.y.len() / TOKENS;
    // d loss / d W_e = sum over tokens sent on of (c . o_2) / q * p_e (leads on - q) x', with x' = LayerNorm(x).
    let mut expected = vec![0.0f64; 4 * d];
    for token in (0..TOKENS).filter(|token| plain.visits[*token] == 2) {
        let x: Vec<f64> = (0..d).map(|i| f64::from((((token * d + i) as f32) * 0.7).sin())).collect();
        let mean = x.iter().sum::<f64>() / d as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d as f64;
        let normed: Vec<f64> = x.iter().map(|v| (v - mean) / (variance + 1e-5).sqrt()).collect();
        let logits: Vec<f64> = plain
            .weight
            .chunks_exact(d)
            .map(|row| row.iter().zip(&normed).map(|(w, x)| f64::from(*w) * x).sum())
            .collect();
        let total: f64 = logits.iter().map(|l| l.exp()).sum();
        let p: Vec<f64> = logits.iter().map(|l| l.exp() / total).collect();
        let q = p[0] + p[1];
        let worth: f64 = (token * d..(token + 1) * d)
            .map(|i| f64::from(((i as f32 + 100.0) * 0.7).sin()) * f64::from(plain.y[i] - first_only[i]))
            .sum();
        for (expert, p) in p.iter().enumerate() {
            let leads_on = if expert < 2 { 1.0 } else { 0.0 };
            for i in 0..d {
                expected[expert * d + i] += worth / q * p * (leads_on - q) * normed[i];
            }
        }
    }
    let largest = expected.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    assert!(largest > 0.05, "{largest}");
    for (i, expected) in expected.iter().enumerate() {
        let added = f64::from(learned.gradient[i] - plain.gradient[i]);
        assert!((added - expected).abs() < 1e-4 + 1e-3 * largest, "{i}: {added} {expected}");
    }
}
