//! A running mean of the weights, in which late updates count most (Polyak and Juditsky, 1992; Tan and Le, 2019).

use std::collections::HashMap;
use std::hash::Hash;

use burn::tensor::Tensor;
use strata_kernels::host;
use strata_model::{InnerIfAutodiff, Transformer, WeightVisitor, push_weight};
use strata_store::{TensorFile, TensorList};

use crate::by_weight::read_by_weight;
use crate::error::Error;

/// `mean = decay * mean + (1 - decay) * weights` after every update, flattened. Means are known by the names of their
/// weights, or, where ranks share the weights out, by the places of this rank's pieces in the layout.
pub(crate) struct RunningMean<K> {
    decay: f64,
    means: HashMap<K, Tensor<1>>,
}

/// What stands in front of a mean's name in an optimizer's file.
pub(crate) const MEAN_PREFIX: &str = "mean.";

impl<K: Eq + Hash> RunningMean<K> {
    /// No means yet.
    pub fn new(decay: f64) -> Self {
        Self { decay, means: HashMap::new() }
    }

    /// Takes in some weights `[values]` after `update` (from 1). Early on the decay is `(1 + update) / (10 + update)`
    /// at most, so that the initial weights are soon forgotten.
    pub fn add(&mut self, key: K, weights: Tensor<1>, update: u64) {
        let decay = self.decay.min((1.0 + update as f64) / (10.0 + update as f64)) as f32;
        let mean = match self.means.remove(&key) {
            Some(mean) => mean * decay + weights * (1.0 - decay),
            // A copy: sharing the weight's memory would cost the optimizer one at its next step.
            None => weights * 1.0,
        };
        self.means.insert(key, mean);
    }

    /// The mean of some weights; none before the first update.
    pub fn get(&self, key: &K) -> Option<&Tensor<1>> {
        self.means.get(key)
    }

    /// Goes on from a mean that was stored.
    pub fn set(&mut self, key: K, mean: Tensor<1>) {
        self.means.insert(key, mean);
    }
}

impl RunningMean<String> {
    /// Takes in all weights of the model after `update`.
    pub fn add_all(&mut self, model: &mut Transformer, update: u64) {
        struct Add<'a>(&'a mut RunningMean<String>, u64);
        impl WeightVisitor for Add<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                self.0.add(name.to_string(), weight.clone().inner_if_autodiff().reshape([-1]), self.1);
            }
        }
        model.visit_weights(&mut Add(self, update));
    }

    /// Appends copies of the means to `list`, each name behind `prefix`.
    pub fn append_to(&self, list: &mut TensorList<'static>, model: &mut Transformer, prefix: &str) {
        struct Collect<'a>(&'a RunningMean<String>, &'a str, &'a mut TensorList<'static>);
        impl WeightVisitor for Collect<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                let Some(mean) = self.0.means.get(name) else { return };
                push_weight(self.2, self.1, name, &weight.dims(), host(mean.clone()));
            }
        }
        model.visit_weights(&mut Collect(self, prefix, list));
    }

    /// Goes on from the means that [`RunningMean::append_to`] wrote behind [`MEAN_PREFIX`].
    ///
    /// # Errors
    /// [`Error::Model`] naming a tensor that is missing or has another shape.
    pub fn load(&mut self, model: &mut Transformer, file: &TensorFile) -> Result<(), Error> {
        let means = read_by_weight(model, file, [MEAN_PREFIX])?;
        self.means = means.into_iter().map(|(name, [mean])| (name, mean)).collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use strata_recipe::{Kind, ModelConfig};
    use strata_store::TensorSource;

    use super::*;
    use crate::testing::tiny;

    fn model(seed: u64) -> Transformer {
        tiny(ModelConfig { kind: Kind::Moe, experts: 2, ..ModelConfig::default() }, seed)
    }

    fn values(list: &TensorList<'_>) -> Vec<(String, Vec<f32>)> {
        let specs = list.specs().into_iter();
        specs.map(|s| (s.name.clone(), list.f32(&s.name, &s.shape).expect("f32").to_vec())).collect()
    }

    #[test]
    fn late_weights_count_most_and_the_mean_survives_a_file() {
        let (mut one, mut two) = (model(1), model(2));
        let mut mean = RunningMean::new(0.75);
        mean.add_all(&mut one, 1000);
        mean.add_all(&mut two, 1001);
        let mut list = TensorList::new();
        mean.append_to(&mut list, &mut two, "");
        let (first, second) = (values(&one.weights()), values(&two.weights()));
        let found = values(&list);
        assert_eq!(found.len(), first.len());
        for (((name, found), (_, a)), (_, b)) in found.iter().zip(&first).zip(&second) {
            let near = |i: usize| (found[i] - (0.75 * a[i] + 0.25 * b[i])).abs() < 1e-6;
            assert!((0..found.len()).all(near), "{name}");
        }
        // The second update ever: 3/12 of the first weights, whatever the decay.
        let mut early = RunningMean::new(0.999);
        early.add_all(&mut one, 1);
        early.add_all(&mut two, 2);
        let mut list = TensorList::new();
        early.append_to(&mut list, &mut two, MEAN_PREFIX);
        let (name, early_values) = values(&list).swap_remove(0);
        assert_eq!(name, format!("mean.{}", first[0].0));
        assert!((early_values[0] - (0.25 * first[0].1[0] + 0.75 * second[0].1[0])).abs() < 1e-6);

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mean.safetensors");
        let views: Vec<(String, Vec<usize>, Vec<u8>)> = list
            .specs()
            .into_iter()
            .enumerate()
            .map(|(i, spec)| (spec.name, spec.shape, list.bytes(i).expect("bytes").into_owned()))
            .collect();
        write_safetensors(&path, &views);
        let mut read = RunningMean::new(0.999);
        read.load(&mut two, &TensorFile::open(&path).expect("a file")).expect("means");
        let mut again = TensorList::new();
        read.append_to(&mut again, &mut two, MEAN_PREFIX);
        assert_eq!(values(&again), values(&list));
    }

    /// A safetensors file: the length of its header, the header, the tensors.
    fn write_safetensors(path: &std::path::Path, tensors: &[(String, Vec<usize>, Vec<u8>)]) {
        let mut header = serde_json::Map::new();
        let mut data: Vec<u8> = Vec::new();
        for (name, shape, bytes) in tensors {
            let offsets = [data.len(), data.len() + bytes.len()];
            header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
            data.extend(bytes);
        }
        let header = serde_json::to_vec(&header).expect("JSON");
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        std::fs::write(path, file).expect("a file");
    }
}
