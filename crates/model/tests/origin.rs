//! Models that take over the weights of another: with rows for further languages, and with experts made of FFNs.

mod common;

use common::{device, small, smoe, values};
use strata_model::{Forward, Origin, Packed, Transformer, WeightVisitor};
use strata_recipe::{Exits, ExpertDropout, Kind, ModelConfig, Visible};
use strata_store::{Existing, ModelFolder, ModelParts, TensorFile};

/// The weights of a model as a file.
fn saved(name: &str, model: &mut Transformer) -> TensorFile {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("origin-{name}"));
    let weights = model.weights();
    let parts = ModelParts { config: b"{}", tokenizer: b"{}", languages: b"{}", weights: &weights, extra: &[] };
    let written = ModelFolder::write(path, &parts, Existing::Replace).expect("a model folder");
    written.weights().expect("weights")
}

/// A dense model whose norms and biases are those of no fresh one.
fn dense() -> Transformer {
    struct Stir(u32);
    impl WeightVisitor for Stir {
        fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut burn::tensor::Tensor<D>) {
            let shape = weight.dims();
            let stirred = values(weight.clone()).into_iter().map(|value| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                value + (self.0 >> 8) as f32 / (1 << 24) as f32 * 0.6 - 0.3
            });
            let data = burn::tensor::TensorData::new(stirred.collect::<Vec<f32>>(), shape);
            *weight = burn::tensor::Tensor::from_data(data, &weight.device());
        }
    }
    let mut model = Transformer::new(&small(), 3, &device()).expect("a model");
    model.visit_weights(&mut Stir(7));
    model
}

/// What the decoder gives for many tokens `[tokens, d]`, and the pass that gave it.
fn output(model: &Transformer) -> (Vec<f32>, Forward) {
    let sentence = |s: u32, length: u32| (0..length).map(|i| 3 + (s * 11 + i * 7) % 26).collect::<Vec<u32>>();
    let source = Packed::from_sentences(&(0..20).map(|s| sentence(s, 4 + s)).collect::<Vec<_>>());
    let target = Packed::from_sentences(&(0..20).map(|s| sentence(s + 5, 23 - s)).collect::<Vec<_>>());
    let mut forward = Forward::inference();
    let memory = model.encode(&source, &mut forward);
    (values(model.decode(memory, &source, &target, &mut forward)), forward)
}

const VOCABULARY: usize = 29;

fn upcycled(config: &ModelConfig, file: &TensorFile, noise: f32) -> Transformer {
    let mut model = Transformer::new(config, 5, &device()).expect("a model");
    let rows: Vec<Option<u32>> = (0..VOCABULARY as u32).map(Some).collect();
    let origin = Origin { file, rows: &rows, vocabulary: (VOCABULARY, 3..5), upcycle: Some(noise), seed: 5 };
    model.take_over(&origin).expect("the weights of the dense model");
    model
}

/// The models that start as a dense one does.
fn with_experts() -> Vec<ModelConfig> {
    let moe = |kind, top_k| ModelConfig { kind, experts: 5, top_k, ..small() };
    let learned = |config| ModelConfig { learned_scale: true, ..config };
    vec![
        moe(Kind::Moe, 2),
        ModelConfig { eom: 0.1, expert_dropout: ExpertDropout::Each, moe_every: 1, ..moe(Kind::Moe, 3) },
        moe(Kind::Moe, 1),
        moe(Kind::Switch, 1),
        ModelConfig { moe_every: 1, ..moe(Kind::Switch, 1) },
        ModelConfig { fom: 0.2, ..moe(Kind::Cmr, 2) },
        smoe(&[4]),
        smoe(&[4, 4]),
        smoe(&[2, 6]),
        ModelConfig { moe_every: 1, visit_scale: 0.7, ..smoe(&[2, 2, 2, 2]) },
        ModelConfig { visible: Visible::All, exits: Exits::Learned, capacity_budget: 1.3, ..smoe(&[3, 5]) },
        learned(smoe(&[4, 4])),
        ModelConfig { visit_scale: 0.5, ..learned(smoe(&[2, 2, 2, 2])) },
        ModelConfig { top_k: 1, exits: Exits::Never, ..learned(smoe(&[3, 3])) },
        ModelConfig { exits: Exits::Random, random_capacity: 1.6, ..learned(smoe(&[3, 3])) },
    ]
}

#[test]
fn upcycled_models_start_as_the_dense_model() {
    let mut dense = dense();
    let (expected, _) = output(&dense);
    let file = saved("dense", &mut dense);
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 1.0, "numbers of the size of one: {largest}");
    for config in with_experts() {
        let name = config.name();
        let (found, forward) = output(&upcycled(&config, &file, 0.0));
        let furthest = found.iter().zip(&expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(furthest <= 1e-5, "{name}: {furthest}");
        let visits: Vec<u32> = forward.blocks.iter().flat_map(|b| b.strata_visited.iter().map(|v| *v as u32)).collect();
        let several = visits.iter().filter(|visits| **visits > 1).count();
        let more = config.learned_scale;
        assert!(
            if more { several > visits.len() / 10 } else { several == 0 },
            "{name}: {several} visit several strata"
        );
        // Experts that lead on start as second choices, so that they learn from the first update on.
        let first_gates = forward.blocks.iter().flat_map(|block| &block.gates).filter(|gate| gate.stratum == 0);
        for gate in first_gates.filter(|_| config.top_k > 1) {
            let leading_on = &gate.chosen[..gate.chosen.len() - config.strata.last().copied().unwrap_or(0)];
            assert!(leading_on.is_empty() || leading_on.iter().sum::<u32>() > 0, "{name}: {:?}", gate.chosen);
        }
    }
}

#[test]
fn noise_makes_experts_differ() {
    let file = saved("noise", &mut dense());
    let config = ModelConfig { kind: Kind::Moe, experts: 3, ..small() };
    let mut model = upcycled(&config, &file, 0.1);
    let weights = model.weights();
    let expert = |e: usize, weight: &str, shape: &[usize]| {
        weights.f32(&format!("encoder.layers.1.block.experts.{e}.{weight}"), shape).expect("a weight").to_vec()
    };
    let copied = file.f32("encoder.layers.1.ffn.fc1.weight", &[24, 16]).expect("a weight");
    let rms = |values: &[f32]| (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
    let [one, two] = [0, 1].map(|e| expert(e, "fc1.weight", &[24, 16]));
    let noise: Vec<f32> = one.iter().zip(copied.iter()).map(|(a, b)| a - b).collect();
    assert!((rms(&noise) / rms(&copied) - 0.1).abs() < 0.01, "{}", rms(&noise) / rms(&copied));
    assert_ne!(one, two);
    assert_eq!(expert(0, "fc1.bias", &[24]), expert(1, "fc1.bias", &[24]));
}

#[test]
fn rows_follow_their_subwords_and_new_tags_are_the_mean_of_the_old() {
    let mut old = dense();
    let file = saved("old", &mut old);
    // Three special tokens, a new tag, the two old ones, another new one, and the rest.
    let rows: Vec<Option<u32>> =
        (0..3).map(Some).chain([None, Some(3), Some(4), None]).chain((5..VOCABULARY as u32).map(Some)).collect();
    let mut model =
        Transformer::new(&ModelConfig { vocab_size: rows.len(), ..small() }, 9, &device()).expect("a model");
    let origin = |file, rows| Origin { file, rows, vocabulary: (VOCABULARY, 3..5), upcycle: None, seed: 9 };
    model.take_over(&origin(&file, &rows)).expect("the weights");
    let weights = model.weights();
    let [new, before] = [(&weights, rows.len()), (&old.weights(), VOCABULARY)]
        .map(|(list, n)| list.f32("embedding.weight", &[n, 16]).expect("a table").to_vec());
    let row = |table: &[f32], i: usize| table[i * 16..(i + 1) * 16].to_vec();
    for (i, from) in rows.iter().enumerate() {
        let expected = match from {
            Some(from) => row(&before, *from as usize),
            None => row(&before, 3).iter().zip(row(&before, 4)).map(|(a, b)| (a + b) / 2.0).collect(),
        };
        assert_eq!(row(&new, i), expected, "row {i}");
    }
    let bias = "decoder.layers.1.ffn.fc2.bias";
    assert_eq!(weights.f32(bias, &[16]), old.weights().f32(bias, &[16]));
    // Another model's weights have no place.
    let mut moe = Transformer::new(&ModelConfig { kind: Kind::Moe, experts: 4, ..small() }, 1, &device()).expect("one");
    let file = saved("moe", &mut moe);
    assert!(model.take_over(&origin(&file, &rows)).is_err());
}
