//! A backward pass that tells what it is done with gives the gradients of one that does not.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use burn::tensor::{Gradients, Tensor};
use common::{device, kinds, values};
use strata_model::{Forward, Packed, Transformer, WeightVisitor};
use strata_recipe::ModelConfig;

type ByName = BTreeMap<String, Vec<f32>>;

/// A stage, and what it gave.
type Told = (usize, Vec<(String, Option<Vec<f32>>)>);

/// Gradients that `pass` leaves, auxiliary losses included.
fn gradients(model: &mut Transformer, mut pass: Forward) -> ByName {
    struct Collect(Gradients, ByName);
    impl WeightVisitor for Collect {
        fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
            if let Some(gradient) = weight.grad_remove(&mut self.0) {
                self.1.insert(name.to_string(), values(gradient));
            }
        }
    }
    let source = Packed::from_sentences(&[vec![3, 7, 9, 1], vec![4, 20, 1], vec![3, 8, 8, 12, 28, 11, 1]]);
    let target = Packed::from_sentences(&[vec![3, 11, 12, 5], vec![4, 6], vec![3, 9, 10, 22, 17]]);
    let targets = vec![11, 12, 5, 1, 6, 1, 9, 10, 22, 17, 1];
    let mut loss = model.loss(&source, &target, targets.into(), 0.1, 0.1, &mut pass).loss;
    for auxiliary in [pass.balance_loss(), pass.cmr_loss(0.5)].into_iter().flatten() {
        loss = loss + auxiliary;
    }
    let mut collect = Collect(loss.backward(), ByName::new());
    model.visit_weights(&mut collect);
    collect.1
}

#[test]
fn gradients_are_told_stage_by_stage_and_are_those_of_an_ordinary_pass() {
    if !strata_kernels::on_flex(&device()) {
        return strata_testing::skip("gradients_are_told_stage_by_stage", "only the CPU tells gradients");
    }
    for (encoder_layers, decoder_layers) in [(3, 3), (1, 2), (2, 1), (1, 1)] {
        for config in kinds() {
            let config = ModelConfig { encoder_layers, decoder_layers, dropout: 0.1, ..config };
            let Ok(mut model) = Transformer::new(&config, 1, &device().autodiff()) else { continue };
            let expected = gradients(&mut model, Forward::training(5));
            let told: Arc<Mutex<Vec<Told>>> = Arc::default();
            let tell = {
                let told = Arc::clone(&told);
                Arc::new(move |stage, found| told.lock().unwrap().push((stage, found)))
            };
            let mut found = gradients(&mut model, Forward::training(5).telling(tell));
            let last = encoder_layers + decoder_layers - 1;
            assert!(found.keys().all(|name| model.backward_stage(name) == last), "told, and grown since");
            let told = std::mem::take(&mut *told.lock().unwrap());
            assert_eq!(told.len(), last, "a stage for each layer and the encoder's output, but for the last stage");
            for (i, (stage, of_stage)) in told.into_iter().enumerate() {
                assert_eq!(i, stage, "in the order of stages");
                assert!(of_stage.iter().all(|(name, _)| model.backward_stage(name) == stage), "of this stage");
                found.extend(of_stage.into_iter().filter_map(|(name, gradient)| Some((name, gradient?))));
            }
            let names = |of: &ByName| of.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(&found), names(&expected), "{}", config.name());
            for (name, gradient) in expected {
                assert_eq!(found[&name], gradient, "{name} of {}", config.name());
            }
        }
    }
}
