//! Whole models of every kind: size, decoding step by step, independence of batch neighbors, files.

mod common;

use burn::tensor::Tensor;
use common::{device, kinds, number, small, smoe, values};
use strata_model::{Forward, Hypothesis, Packed, Part, SearchIds, Transformer, WeightVisitor, beam_search};
use strata_ranks::Ranks;
use strata_recipe::{Cost, Initialization, Kind, ModelConfig, SearchOptions};
use strata_store::{Existing, ModelFolder, ModelParts};

/// The loss of three pairs of different lengths.
fn loss(model: &Transformer) -> f64 {
    let source = Packed::from_sentences(&[vec![3, 7, 9, 1], vec![4, 20, 1], vec![3, 8, 8, 12, 28, 11, 1]]);
    let target = Packed::from_sentences(&[vec![3, 11, 12, 5], vec![4, 6], vec![3, 9, 10, 22, 17]]);
    let targets = vec![11, 12, 5, 1, 6, 1, 9, 10, 22, 17, 1];
    let scale = 1.0 / targets.len() as f32;
    number(model.loss(&source, &target, targets.into(), 0.1, scale, &mut Forward::inference()).loss)
}

#[test]
fn models_have_exactly_the_parameters_that_the_cost_says() {
    struct Count(u64);
    impl WeightVisitor for Count {
        fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut Tensor<D>) {
            self.0 += weight.dims().iter().product::<usize>() as u64;
        }
    }
    for config in kinds() {
        let mut count = Count(0);
        Transformer::new(&config, 1, &device()).expect("a model").visit_weights(&mut count);
        let cost = Cost::of(&config, None).expect("a cost");
        assert_eq!(count.0, cost.parameters, "{}", config.name());
    }
}

#[test]
fn decoding_step_by_step_equals_decoding_whole() {
    for config in kinds() {
        let model = Transformer::new(&config, 1, &device()).expect("a model");
        let source = Packed::from_sentences(&[vec![3, 7, 9, 1], vec![4, 20, 5, 6, 1]]);
        let prefixes = [[3u32, 11, 12, 5], [4, 6, 7, 19]];
        let mut forward = Forward::inference();
        let memory = model.encode(&source, &mut forward);
        let mut state = model.start(memory, &source);
        for length in 1..=4 {
            let newest: Vec<u32> = prefixes.iter().map(|p| p[length - 1]).collect();
            let logits = values(model.step(&mut state, &newest, &mut forward));
            for (sentence, prefix) in prefixes.iter().enumerate() {
                // The negative log-likelihood of some next token, from the whole prefix.
                let alone =
                    Packed::from_sentences(&[&source.ids[source.offsets[sentence]..source.offsets[sentence + 1]]]);
                let target = Packed::from_sentences(&[&prefix[..length]]);
                let nll = |next: u32| {
                    let mut targets = prefix[1..length].to_vec();
                    targets.push(next);
                    model.loss(&alone, &target, targets.into(), 0.0, 1.0, &mut Forward::inference()).nll
                };
                let row = &logits[sentence * config.vocab_size..][..config.vocab_size];
                // Differences of log-likelihoods are differences of logits.
                let (whole, stepwise) = (nll(8) - nll(17), f64::from(row[17] - row[8]));
                assert!((whole - stepwise).abs() < 1e-3, "{}: {whole} against {stepwise}", config.name());
            }
        }
    }
}

/// Masks go by places in the whole batch, also where the decoder has other heads than the encoder.
#[test]
fn a_part_of_a_batch_has_the_masks_of_the_whole() {
    let mut config = ModelConfig { attention_dropout: 0.5, ..small() };
    config.network.decoder.heads = Some(2 * config.heads);
    let model = Transformer::new(&config, 1, &device()).expect("a model");
    let sources = [vec![3, 7, 9, 1], vec![4, 20, 1], vec![3, 8, 8, 12, 28, 11, 1]];
    let targets = [vec![3, 11, 12, 5], vec![4, 6], vec![3, 9, 10, 22, 17]];
    let whole = [&sources, &targets].map(|sentences| Packed::from_sentences(sentences.as_slice()));
    let nll = |from: usize, to: usize| {
        let part = Part::from_sentence(&whole[0], &whole[1], from);
        let [source, target] = [&sources, &targets].map(|sentences| Packed::from_sentences(&sentences[from..to]));
        let mut forward = Forward::training(5).of_part(Ranks::single(), part);
        model.loss(&source, &target, vec![8; target.ids.len()].into(), 0.0, 1.0, &mut forward).nll
    };
    let (parts, whole) = (nll(0, 1) + nll(1, 3), nll(0, 3));
    assert!((parts - whole).abs() < 1e-4 * whole, "{parts} against {whole}");
}

fn options(beam: usize) -> SearchOptions {
    SearchOptions { beam, nbest: beam, max_ratio: 1.0, max_extra: 5, ..SearchOptions::default() }
}

/// Padding, unknown and two tags.
const SUPPRESSED: [u32; 4] = [0, 2, 3, 4];

fn ids(prompts: &[Vec<u32>]) -> SearchIds<'_> {
    SearchIds { prompts, end: 1, suppressed: &SUPPRESSED }
}

#[test]
fn translations_do_not_depend_on_their_neighbors() {
    let close = |a: &Hypothesis, b: &Hypothesis| a.ids == b.ids && (a.score - b.score).abs() < 1e-4;
    for config in kinds() {
        let model = Transformer::new(&config, 1, &device()).expect("a model");
        let sentences: Vec<Vec<u32>> =
            (0..6u32).map(|i| (0..2 + i).map(|j| 5 + (i * 7 + j * 5) % 24).chain([1]).collect()).collect();
        let prompts = vec![vec![3u32]; 6];
        let together =
            beam_search(&model, &Packed::from_sentences(&sentences), ids(&prompts), &options(3)).expect("translations");
        for (sentence, together) in sentences.iter().zip(&together) {
            let alone = beam_search(&model, &Packed::from_sentences(&[sentence]), ids(&[vec![3]]), &options(3))
                .expect("a translation");
            assert_eq!(alone[0].len(), together.len());
            assert!(
                alone[0].iter().zip(together).all(|(a, b)| close(a, b)),
                "{}: {alone:?} {together:?}",
                config.name()
            );
            assert!(together.windows(2).all(|w| w[0].score >= w[1].score), "best first");
            assert!(together.iter().all(|h| h.ids.iter().all(|id| !SUPPRESSED.contains(id))));
        }
    }
}

/// Where there is little to search, a wide beam finds what exhaustive search finds.
#[test]
fn a_wide_beam_finds_the_best_translation() {
    let config = ModelConfig { vocab_size: 8, ..small() };
    let model = Transformer::new(&config, 4, &device()).expect("a model");
    let source = Packed::from_sentences(&[vec![3, 5, 6, 1]]);
    let wide = SearchOptions { max_ratio: 0.0, max_extra: 3, nbest: 1, ..options(64) };
    let found = beam_search(&model, &source, ids(&[vec![3]]), &wide).expect("a translation")[0][0].clone();
    // Every translation of up to two subwords and an end mark.
    let score = |ids: &[u32]| {
        let target = Packed::from_sentences(&[[&[3], ids].concat()]);
        let targets = [ids, &[1]].concat();
        let length = targets.len() as f64;
        -model.loss(&source, &target, targets.into(), 0.0, 1.0, &mut Forward::inference()).nll / length
    };
    let words = [5u32, 6, 7];
    let mut all: Vec<Vec<u32>> = vec![vec![]];
    all.extend(words.iter().map(|a| vec![*a]));
    all.extend(words.iter().flat_map(|a| words.iter().map(|b| vec![*a, *b])));
    let best = all.iter().max_by(|a, b| score(a).total_cmp(&score(b))).expect("a best");
    if found.ids.len() < 3 {
        assert_eq!(&found.ids, best);
        assert!((f64::from(found.score) - score(best)).abs() < 1e-4);
    } else {
        assert!(f64::from(found.score) >= score(best) - 1e-4); // cut at the longest length without an end mark
    }
}

#[test]
fn sentences_that_do_not_fit_are_refused() {
    let model = Transformer::new(&small(), 1, &device()).expect("a model");
    let refused = |sentence: Vec<u32>| {
        beam_search(&model, &Packed::from_sentences(&[sentence]), ids(&[vec![3]]), &options(2))
            .expect_err("an error")
            .to_string()
    };
    assert_eq!(refused(vec![5; 25]), "a sentence of 25 subwords; this model takes at most 24");
    assert!(refused(vec![29, 1]).contains("subword id 29 is outside the model's vocabulary of 29"));
}

#[test]
fn weights_survive_a_file_and_misfits_are_named() {
    let folder = std::env::temp_dir().join(format!("strata-model-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let config = smoe(&[2, 2]);
    let mut model = Transformer::new(&config, 1, &device()).expect("a model");
    let weights = model.weights();
    let parts = ModelParts { config: b"{}", tokenizer: b"{}", languages: b"{}", weights: &weights, extra: &[] };
    let file = ModelFolder::write(&folder, &parts, Existing::Refuse).and_then(|f| f.weights()).expect("a file");
    assert!(file.names().any(|name| name == "encoder.layers.1.block.experts.3.fc1.weight"));
    let mut other = Transformer::new(&config, 2, &device()).expect("a model");
    assert_ne!(loss(&other), loss(&model));
    other.load_weights(&file).expect("loading");
    assert_eq!(loss(&other), loss(&model));
    let larger = ModelConfig { strata: vec![2, 3], ..config.clone() };
    let error = Transformer::new(&larger, 1, &device()).expect("a model").load_weights(&file).expect_err("a misfit");
    assert!(error.to_string().contains("block.gate.0.weight"), "{error}");
    let error = Transformer::new(&small(), 1, &device()).expect("a model").load_weights(&file).expect_err("a misfit");
    assert!(error.to_string().contains("ffn"), "{error}");
    std::fs::remove_dir_all(&folder).expect("cleaning up");
}

/// CMR's gate dropout keeps the mean gate: what is aimed at in training is what inference does.
#[test]
fn cmr_uses_its_experts_as_much_in_training_as_at_inference() {
    let config = ModelConfig { kind: Kind::Cmr, experts: 4, cmr_gate_dropout: 0.4, ..small() };
    let model = Transformer::new(&config, 3, &device()).expect("a model");
    let source = Packed::from_sentences(&[vec![3, 7, 9, 13, 26, 1], vec![4, 20, 17, 1]]);
    // |G + 1| - 1 is the mean gate G, which is never negative.
    let used = |mut forward: Forward| {
        model.encode(&source, &mut forward);
        number(forward.cmr_loss(-1.0).expect("a loss")) - 1.0
    };
    let inference = used(Forward::inference());
    let training = (0..400).map(|seed| used(Forward::training(seed))).sum::<f64>() / 400.0;
    assert!((training / inference - 1.0).abs() < 0.04, "{training} {inference}");
}

/// The budget is for the mean over the tokens of all layers: one may use its experts more where another uses them less.
#[test]
fn cmr_has_one_budget_for_all_layers() {
    let model =
        Transformer::new(&ModelConfig { kind: Kind::Cmr, experts: 4, ..small() }, 5, &device()).expect("a model");
    let source = Packed::from_sentences(&[vec![3, 7, 9, 13, 26, 1], vec![4, 20, 17, 1]]);
    let target = Packed::from_sentences(&[vec![3, 11, 12], vec![4, 6, 14]]);
    let used = |forward: &Forward| number(forward.cmr_loss(-1.0).expect("a loss")) - 1.0;
    let (mut encoder, mut decoder) = (Forward::inference(), Forward::inference());
    let memory = model.encode(&source, &mut encoder);
    model.decode(memory, &source, &target, &mut decoder);
    let mean = (10.0 * used(&encoder) + 6.0 * used(&decoder)) / 16.0;
    let mut both = Forward::inference();
    let memory = model.encode(&source, &mut both);
    model.decode(memory, &source, &target, &mut both);
    assert!((used(&both) - mean).abs() < 1e-6, "{} {mean}", used(&both));
    let budget = (used(&encoder) + mean) / 2.0; // between one layer's mean and that of all
    let loss = number(both.cmr_loss(budget).expect("a loss"));
    assert!((loss - (mean - budget).abs()).abs() < 1e-6, "{loss}");
}

/// The bounds of initial values, which are uniform: those of fairseq where they are asked for.
#[test]
fn initial_weights_have_the_bounds_of_their_recipe() {
    let bound = |initialization, wanted: &str| {
        let config = ModelConfig { kind: Kind::Moe, experts: 4, initialization, ..small() };
        let mut model = Transformer::new(&config, 1, &device()).expect("a model");
        struct Largest<'a>(&'a str, f32);
        impl WeightVisitor for Largest<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                if name == self.0 {
                    self.1 = values(weight.clone()).iter().fold(0.0, |most, v| most.max(v.abs()));
                }
            }
        }
        let mut largest = Largest(wanted, f32::NAN);
        model.visit_weights(&mut largest);
        f64::from(largest.1)
    };
    let (d, f) = (16.0f64, 24.0f64);
    let block = "encoder.layers.1.block.experts.*";
    for (name, glorot, fairseq) in [
        (format!("{block}.fc1.weight"), (6.0 / (d + f)).sqrt(), (1.0 / d).sqrt()),
        (format!("{block}.fc2.weight"), (6.0 / (d + f)).sqrt(), (1.0 / f).sqrt()),
        (format!("{block}.fc2.bias"), 0.0, (1.0 / f).sqrt()),
        ("decoder.layers.0.ffn.fc2.weight".into(), (6.0 / (d + f)).sqrt(), (1.0 / f).sqrt()),
        ("encoder.layers.0.self_attention.key.weight".into(), (3.0 / d).sqrt(), (1.5 / d).sqrt()),
        ("encoder.layers.0.self_attention.output.weight".into(), (3.0 / d).sqrt(), (3.0 / d).sqrt()),
    ] {
        for (initialization, expected) in [(Initialization::Glorot, glorot), (Initialization::Fairseq, fairseq)] {
            let found = bound(initialization, &name);
            // A few hundred values come close to their bound.
            assert!(
                found <= expected + 1e-6 && found >= 0.9 * expected,
                "{name} {initialization:?}: {found} {expected}"
            );
        }
    }
}

/// Offsets hold the requested capacity of a budget: after enough updates tokens visit as many strata as were asked for.
#[test]
fn offsets_hold_the_budget() {
    for capacity in [1.2, 1.7] {
        let config = ModelConfig { capacity_budget: capacity, ..smoe(&[2, 2]) };
        let mut model = Transformer::new(&config, 1, &device()).expect("a model");
        let sentences: Vec<Vec<u32>> =
            (0..30u32).map(|i| (0..9).map(|j| 3 + (7 * i + 5 * j * j) % 25).collect()).collect();
        let source = Packed::from_sentences(&sentences);
        let mut requested = 0.0;
        for _ in 0..300 {
            let mut forward = Forward::inference();
            model.encode(&source, &mut forward);
            let visits = &forward.blocks[0].strata_visited;
            requested = visits.iter().map(|v| f64::from(*v)).sum::<f64>() / visits.len() as f64;
            model.adjust_offsets(&forward.blocks, 0.01);
        }
        assert!((requested - capacity).abs() < 0.08, "{requested} where {capacity} was asked for");
    }
}
