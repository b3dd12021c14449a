//! The expert block against vectors computed elsewhere: always those of `vectors/oracle.py`, and those in the folder
//! that `STRATA_GOLDEN` names (relative to the workspace root).

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use common::{device, values};
use strata_model::{BlockTrace, ExpertBlock, ExpertShare, Forward, Initializer, WeightVisitor};
use strata_recipe::{Kind, ModelConfig, Normalization, Side};
use strata_store::TensorFile;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

fn metadata(path: &Path) -> std::collections::HashMap<String, String> {
    let bytes = std::fs::read(path).expect("a readable file");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a safetensors header");
    header.metadata().clone().expect("metadata")
}

fn config(path: &Path) -> ModelConfig {
    let meta = metadata(path);
    let number = |key: &str| meta[key].parse::<usize>().expect("a number");
    let strata: Vec<usize> = meta["strata"].split(',').map(|s| s.parse().expect("a number")).collect();
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut config = ModelConfig {
        d_model: number("d_model"),
        d_ffn: number("d_ffn"),
        top_k: number("top_k"),
        capacity_factor: (meta["capacity"] == "training").then_some(1.0),
        dropout: 0.0,
        cmr_gate_dropout: 0.0,
        normalization: if name.ends_with("paper") { Normalization::Paper } else { Normalization::Reference },
        heads: 2,
        ..ModelConfig::default()
    };
    config.kind = match (meta.get("kind").map(String::as_str), strata.len(), config.top_k) {
        (Some(kind), ..) => serde_json::from_value(kind.into()).expect("a kind of block"),
        (None, 1, _) if meta["cmr"] == "True" => Kind::Cmr,
        (None, 1, 1) => Kind::Switch,
        (None, 1, _) => Kind::Moe,
        (None, ..) => Kind::Smoe,
    };
    match config.kind {
        Kind::Smoe | Kind::Stacked => config.strata = strata,
        _ => config.experts = strata.iter().sum(),
    }
    config.validate().expect("a valid configuration");
    config
}

/// The golden name of a block's weight `block.NAME`, expert by expert where it is stacked.
fn names(name: &str, experts: usize) -> Vec<String> {
    let name = name.strip_prefix("block.").expect("a block's weight");
    if name.contains(".*.") {
        (0..experts).map(|e| name.replace(".*.", &format!(".{e}."))).collect()
    } else {
        vec![name.to_string()]
    }
}

fn read(file: &TensorFile, prefix: &str, names: &[String]) -> Vec<f32> {
    let one = |name: &String| {
        let name = format!("{prefix}.{name}");
        let shape = file.view(&name).expect("a golden tensor").shape.to_vec();
        file.f32(&name, &shape).expect("f32 values").into_owned()
    };
    names.iter().flat_map(one).collect()
}

struct Load<'a>(&'a TensorFile);
impl WeightVisitor for Load<'_> {
    fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        let shape = weight.dims();
        let values = read(self.0, "param", &names(name, shape[0]));
        *weight = Tensor::from_data(TensorData::new(values, shape), &weight.device()).require_grad();
    }
}

struct Compare<'a> {
    file: &'a TensorFile,
    grads: burn::tensor::Gradients,
    worst: f32,
    weights: usize,
}
impl WeightVisitor for Compare<'_> {
    fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
        let names = names(name, weight.dims()[0]);
        let expected = read(self.file, "grad", &names);
        let ours = match weight.grad(&self.grads) {
            Some(grad) => values(grad),
            None => vec![0.0; expected.len()],
        };
        self.worst = self.worst.max(difference(&ours, &expected));
        self.weights += names.len();
    }
}

/// Largest difference over the largest expected size (at least 1).
fn difference(ours: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(ours.len(), expected.len());
    let scale = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale
}

/// Checks every file of a folder; says how many.
fn check_all(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|f| f.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    files.iter().for_each(|path| check(path));
    files.len()
}

#[test]
fn block_equals_the_oracle_values_and_gradients() {
    assert_eq!(check_all(Path::new(OWN)), 12);
}

#[test]
fn block_equals_the_golden_vectors_values_and_gradients() {
    let named = std::env::var("STRATA_GOLDEN").ok();
    let folder = Path::new(ROOT).join(named.as_deref().unwrap_or("../shared/golden"));
    if named.is_none() && !folder.is_dir() {
        let reason = "no vectors by the authors; STRATA_GOLDEN names a folder of them";
        return strata_testing::skip("block_equals_the_golden_vectors_values_and_gradients", reason);
    }
    let files = check_all(&folder);
    assert!(files > 0, "no golden files in {}", folder.display());
    println!("{files} golden files equal");
}

fn check(path: &Path) {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let (config, file, device) = (config(path), TensorFile::open(path).expect("a golden file"), device().autodiff());
    let init =
        Initializer { initialization: config.initialization, seed: 1, device: device.clone(), share: ExpertShare::ALL };
    let mut block = ExpertBlock::new(&init, "block", &config, Side::Encoder, 0);
    block.visit_weights("block", &mut Load(&file));
    let shape = file.view("x").expect("x").shape.to_vec();
    let (tokens, d) = (shape[0] * shape[1], shape[2]);
    let tensor = |name: &str| {
        let values = file.f32(name, &shape).expect("values").into_owned();
        Tensor::<2>::from_data(TensorData::new(values, [tokens, d]), &device)
    };
    let x = tensor("x").require_grad();
    let mut forward = Forward::training(1);
    let y = block.apply(x.clone(), &mut forward, BlockTrace::default());
    let expected = file.f32("y", &shape).expect("y").into_owned();
    let error = difference(&values(y.clone().inner()), &expected);
    assert!(error < 2e-5, "{name}: y differs by {error}");

    let visited = file.view("strata_visited").expect("strata_visited");
    let visited: Vec<u8> = visited.bytes.chunks_exact(visited.bytes.len() / tokens).map(visits).collect();
    assert_eq!(forward.blocks[0].strata_visited, visited, "{name}: strata visited");

    let balance = forward.balance_loss().expect("a balance loss");
    let expected = file.f32("balance_loss", &[1]).expect("balance_loss")[0];
    let error = (balance.clone().into_scalar::<f32>() - expected).abs();
    assert!(error < 1e-5, "{name}: balance loss differs by {error}");

    let mut loss = (y * tensor("grad_y")).sum() + balance;
    if config.kind == Kind::Cmr {
        // |mean gate + 1| - 1 is the mean gate, which is never negative.
        let used = forward.cmr_loss(-1.0).expect("a CMR loss") - 1.0;
        let expected = file.f32("cmr_used_fraction", &[1]).expect("cmr_used_fraction")[0];
        assert!((used.clone().into_scalar::<f32>() - expected).abs() < 1e-5, "{name}: mean CMR gate");
        loss = loss + used;
    }
    let grads = loss.backward();
    let grad_x = values(x.grad(&grads).expect("a gradient of x"));
    let error = difference(&grad_x, &file.f32("grad_x", &shape).expect("grad_x"));
    assert!(error < 5e-5, "{name}: gradient of x differs by {error}");
    let mut compare = Compare { file: &file, grads, worst: 0.0, weights: 0 };
    block.visit_weights("block", &mut compare);
    assert!(compare.worst < 5e-5, "{name}: a weight's gradient differs by {}", compare.worst);
    let golden = file.names().filter(|name| name.starts_with("grad.")).count();
    assert_eq!(compare.weights, golden, "{name}: weights compared");
}

/// A count in little-endian integer or float bytes.
fn visits(bytes: &[u8]) -> u8 {
    match bytes.len() {
        4 => {
            let bits = u32::from_le_bytes(bytes.try_into().expect("4 bytes"));
            if bits < 256 { bits as u8 } else { f32::from_bits(bits) as u8 }
        }
        8 => i64::from_le_bytes(bytes.try_into().expect("8 bytes")) as u8,
        _ => bytes[0],
    }
}
