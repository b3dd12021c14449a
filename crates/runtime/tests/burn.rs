//! The engine against the model that is trained: a model folder of every kind, translated by both.

mod common;

use std::sync::Arc;

use common::{END, kinds, sources};
use strata_model::{Packed, SearchIds, Transformer, beam_search, parse_device};
use strata_recipe::ModelConfig;
use strata_runtime::{Engine, Error, Limits, Model, Precision, Request, SearchOptions};
use strata_store::{Existing, ModelFolder, ModelParts, TensorList};

fn write(path: &std::path::Path, config: &ModelConfig, weights: &TensorList<'_>) -> ModelFolder {
    let text = config.to_json();
    let parts = ModelParts { config: text.as_bytes(), tokenizer: b"{}", languages: b"[]", weights, extra: &[] };
    ModelFolder::write(path, &parts, Existing::Refuse).expect("a model folder")
}

#[test]
fn beam_searches_of_both_find_the_same_translations() {
    let dir = tempfile::tempdir().expect("a folder");
    let wider = kinds().into_iter().map(|config| ModelConfig { d_model: 48, d_ffn: 80, vocab_size: 300, ..config });
    let mut lengths = std::collections::BTreeSet::new();
    for (seed, config) in kinds().into_iter().chain(wider).enumerate() {
        let mut trained =
            Transformer::new(&config, seed as u64, &parse_device("cpu").expect("a device")).expect("a model");
        let folder = write(&dir.path().join(seed.to_string()), &config, &trained.weights());
        let model = Model::load(&folder, Precision::F32).expect("a packed model");
        let engine = Engine::new(Arc::new(model));
        let lines = sources(&config, 12, seed as u64 + 40);
        let prompts: Vec<Vec<u32>> = (0..lines.len() as u32).map(|i| vec![2 + i % 3]).collect();
        for (beam, length_penalty, max_extra) in [(1, 1.0, 6), (3, 0.0, 4), (5, 1.0, 3), (8, 1.6, 12)] {
            let suppressed: Arc<[u32]> = Arc::new([0, 3, 4]);
            let options = SearchOptions {
                beam,
                length_penalty,
                nbest: beam,
                max_ratio: 0.8,
                max_extra,
                ..SearchOptions::default()
            };
            let ids = SearchIds { prompts: &prompts, end: END, suppressed: &suppressed };
            let expected = beam_search(&trained, &Packed::from_sentences(&lines), ids, &options).expect("translations");
            let request = |(line, prompt): (&Vec<u32>, &Vec<u32>)| Request {
                suppressed: suppressed.clone(),
                ..Request::new(line.clone(), prompt.clone(), END, options)
            };
            let requests: Vec<Request> = lines.iter().zip(&prompts).map(request).collect();
            let found = engine.translate(&requests, &Limits::default()).expect("translations");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.len(), expected.len(), "{} beam {beam}", config.name());
                for (found, expected) in found.iter().zip(expected) {
                    assert_eq!(found.ids, expected.ids, "{} beam {beam}", config.name());
                    let distance = (found.score - expected.score).abs();
                    assert!(distance < 1e-3, "{} beam {beam}: {found:?} {expected:?}", config.name());
                    lengths.insert(found.ids.len());
                }
            }
        }
    }
    assert!(lengths.len() > 8, "lengths vary: {lengths:?}");
}

/// Architectures that training knows give the engine's translations, and the others are refused by name.
#[test]
fn other_architectures_translate_alike_or_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut alike = 0;
    for (seed, (name, config)) in common::shapes::shapes().into_iter().enumerate() {
        let device = parse_device("cpu").expect("a device");
        let mut trained = match Transformer::new(&config, seed as u64, &device) {
            Ok(model) => model,
            Err(error) => {
                assert!(error.to_string().contains("cannot compute it yet"), "{name}: {error}");
                continue;
            }
        };
        alike += 1;
        let folder = write(&dir.path().join(seed.to_string()), &config, &trained.weights());
        let engine = Engine::new(Arc::new(Model::load(&folder, Precision::F32).expect("a packed model")));
        let lines = sources(&config, 6, seed as u64);
        let prompts: Vec<Vec<u32>> = (0..lines.len() as u32)
            .map(|i| (0..config.prompts.decoder.len() as u32).map(|j| 2 + i + j).collect())
            .collect();
        let options = SearchOptions { beam: 4, nbest: 4, max_ratio: 0.8, max_extra: 6, ..SearchOptions::default() };
        let ids = SearchIds { prompts: &prompts, end: END, suppressed: &[0] };
        let expected = beam_search(&trained, &Packed::from_sentences(&lines), ids, &options).expect("translations");
        let request = |(line, prompt): (&Vec<u32>, &Vec<u32>)| Request {
            suppressed: Arc::new([0]),
            ..Request::new(line.clone(), prompt.clone(), END, options)
        };
        let requests: Vec<Request> = lines.iter().zip(&prompts).map(request).collect();
        let found = engine.translate(&requests, &Limits::default()).expect("translations");
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert_eq!(found.ids, expected.ids, "{name}");
            assert!((found.score - expected.score).abs() < 1e-3, "{name}: {found:?} {expected:?}");
        }
    }
    assert!(alike >= 12, "only {alike} architectures");
}

#[test]
fn folders_whose_weights_do_not_fit_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = common::small();
    let mut trained = Transformer::new(&config, 1, &parse_device("cpu").expect("a device")).expect("a model");
    let mut weights = trained.weights();
    weights.push_f32("decoder.layers.7.odd", &[1], vec![0.0]);
    let folder = write(&dir.path().join("more"), &config, &weights);
    let error = Model::load(&folder, Precision::F32).err().expect("an error");
    assert!(matches!(&error, Error::Weights(text) if text.contains("decoder.layers.7.odd")), "{error}");
    let deeper = ModelConfig { encoder_layers: 3, ..config };
    let folder = write(&dir.path().join("less"), &deeper, &trained.weights());
    let error = Model::load(&folder, Precision::Int8).err().expect("an error").to_string();
    assert!(error.contains("encoder.layers.2.self_attention"), "{error}");
}
