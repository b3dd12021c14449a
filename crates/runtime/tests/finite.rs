//! Weights and scores that are no finite numbers: refused when a model is opened, said by a hypothesis' score.

mod common;
mod folders;

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{END, kinds, options, request, small, sources};
use folders::{vouch, write_weights};
use strata_recipe::ModelConfig;
use strata_runtime::{
    Engine, Error, Limits, Model, PackedFolder, Precision, RandomWeights, Request, SearchOptions, Weights, write_packed,
};
use strata_store::{Check, Existing, ModelFolder, TensorFile};

/// Random weights, but one of them has `value` at index 3.
struct Faulty {
    name: &'static str,
    value: f32,
}

impl Weights for Faulty {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        let random = RandomWeights::new(1);
        let mut values = random.f32(name, shape)?.into_owned();
        if name == self.name {
            values[3] = self.value;
        }
        Ok(Cow::Owned(values))
    }
}

#[test]
fn a_model_with_a_number_that_is_not_finite_is_refused_by_tensor_and_place() {
    let dir = tempfile::tempdir().unwrap();
    for (i, (name, value)) in [
        ("embedding.weight", f32::NAN),
        ("encoder.norm.bias", f32::INFINITY),
        ("decoder.layers.1.ffn.fc2.weight", f32::NEG_INFINITY),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = write_weights(&dir.path().join(i.to_string()), &small(), &Faulty { name, value });
        let folder = ModelFolder::open(folder.path()).unwrap();
        let Err(error) = Model::load(&folder, Precision::F32) else { panic!("{name} was loaded") };
        let error = error.to_string();
        assert!(error.contains(&format!("model.safetensors: tensor `{name}` has {value} at index 3;")), "{error}");
    }
}

/// Puts NaN into the first number of tensor `name` of a packed folder, with checksums that agree.
fn poison(path: &Path, name: &str, nan: &[u8]) {
    let parts = path.join("packed.safetensors");
    let at = TensorFile::open(&parts).unwrap().range(name).unwrap().start;
    let mut bytes = fs::read(&parts).unwrap();
    bytes[at..at + nan.len()].copy_from_slice(nan);
    fs::write(&parts, bytes).unwrap();
    vouch(path);
}

#[test]
fn a_packed_folder_with_a_number_that_is_not_finite_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folders::write_model(&dir.path().join("m"), &small(), 1);
    let nan = f32::NAN.to_le_bytes();
    for (precision, name, bytes) in [
        (Precision::F32, "output.weight", &nan[..]),
        (Precision::Bf16, "output.weight", &nan[2..]),
        (Precision::Int8, "output.scales", &nan[..]),
        (Precision::Int8, "encoder.norm.weight", &nan[..]),
    ] {
        let path = dir.path().join(format!("{}-{name}", precision.name()));
        write_packed(&folder, precision, &path, Existing::Refuse, &[]).unwrap();
        PackedFolder::open(&path, Check::Contents).unwrap();
        poison(&path, name, bytes);
        let Err(error) = PackedFolder::open(&path, Check::Contents) else { panic!("{name} was opened") };
        let error = error.to_string();
        assert!(error.contains(&format!("packed.safetensors: tensor `{name}` has NaN at index 0;")), "{error}");
    }
}

/// All weights at the end of what f32 can hold: finite, but sums of their products are not.
struct Huge;

impl Weights for Huge {
    fn f32(&self, _: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        let values = (0..shape.iter().product::<usize>()).map(|i| if i % 3 == 0 { -3e38 } else { 3e38 });
        Ok(Cow::Owned(values.collect()))
    }
}

fn best(config: &ModelConfig, request: Request) -> (Vec<u32>, f32) {
    let engine = Engine::new(Arc::new(Model::pack(config, &Huge, Precision::F32).unwrap()));
    let found = engine.translate(&[request], &Limits::default()).unwrap();
    let best = found.into_iter().flatten().next().expect("a hypothesis");
    (best.ids, best.score)
}

#[test]
fn scores_that_overflow_end_the_search_and_are_no_numbers() {
    for config in kinds() {
        let source = &sources(&config, 1, 1)[0];
        let plain = request(source, &options());
        let sampled = request(source, &SearchOptions { sample: true, ..options() });
        let forced = Request { prefix: vec![4, 5], ..request(source, &options()) };
        let constrained = Request { constraints: vec![vec![4, 5]], ..request(source, &options()) };
        for request in [plain, sampled, forced, constrained] {
            let (ids, score) = best(&config, request);
            assert!(score.is_nan() && ids.len() <= 2, "{}: {ids:?}, {score}", config.name());
        }
        let (_, score) = best(&config, Request::score(source.clone(), [2], END, vec![4, 5]));
        assert!(score.is_nan(), "{}: {score}", config.name());
    }
}
