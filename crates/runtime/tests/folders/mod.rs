//! Model folders of random weights, for tests and measurements of what reads them.

#![allow(dead_code)] // each test uses some of it

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::path::Path;

use strata_recipe::ModelConfig;
use strata_runtime::{Error, Model, Precision, RandomWeights, Weights};
use strata_store::{Checksums, Dtype, Existing, ModelFolder, ModelParts, TensorSource, TensorSpec};

/// Writes a model of `config` with the random weights of `seed`.
pub fn write_model(path: &Path, config: &ModelConfig, seed: u64) -> ModelFolder {
    write_weights(path, config, &RandomWeights::new(seed))
}

/// Writes a model of `config` with `weights`. Its subword model and languages are placeholders, which exports copy and
/// do not read.
pub fn write_weights(path: &Path, config: &ModelConfig, weights: &dyn Weights) -> ModelFolder {
    let json = config.to_json();
    let parts = ModelParts {
        config: json.as_bytes(),
        tokenizer: b"{}\n",
        languages: b"[]\n",
        weights: &Source { specs: specs(config), weights },
        extra: &[],
    };
    ModelFolder::write(path, &parts, Existing::Refuse).expect("a model folder")
}

/// Writes `SHA256SUMS` of a folder anew, as a program would that writes other content.
pub fn vouch(path: &Path) {
    let sums = Checksums::read(path).unwrap();
    let line = |name: &str| {
        let digest = strata_files::Digest::of_file(path.join(name)).unwrap();
        format!("{}  {name}\n", digest.hex())
    };
    fs::write(path.join("SHA256SUMS"), sums.names().map(line).collect::<String>()).unwrap();
}

/// Names and shapes of a model's weights: what building it asks for.
fn specs(config: &ModelConfig) -> Vec<TensorSpec> {
    struct Asked(RefCell<Vec<TensorSpec>>);
    impl Weights for Asked {
        fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
            self.0.borrow_mut().push(TensorSpec { name: name.to_owned(), dtype: Dtype::F32, shape: shape.to_vec() });
            Ok(Cow::Owned(vec![0.0; shape.iter().product()]))
        }
    }
    let asked = Asked(RefCell::new(Vec::new()));
    Model::pack(config, &asked, Precision::F32).expect("a model");
    let mut specs = asked.0.into_inner();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs
}

struct Source<'a> {
    specs: Vec<TensorSpec>,
    weights: &'a dyn Weights,
}

impl TensorSource for Source<'_> {
    fn specs(&self) -> Vec<TensorSpec> {
        self.specs.clone()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, strata_store::Error> {
        let TensorSpec { name, shape, .. } = &self.specs[index];
        let values = self.weights.f32(name, shape).expect("weights of that name");
        Ok(Cow::Owned(bytemuck::cast_slice(&values).to_vec()))
    }
}
