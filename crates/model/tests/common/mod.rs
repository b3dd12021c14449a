//! What the tests share: the device, small models of every kind, numbers out of tensors.
#![allow(dead_code)] // each test uses some of it

mod small;

use burn::tensor::{Device, Tensor};
use strata_recipe::{Exits, Kind, ModelConfig, Normalization, Visible};

pub use small::small;

/// The device to test: `STRATA_TEST_DEVICE` names another than the CPU.
pub fn device() -> Device {
    let name = std::env::var("STRATA_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    strata_model::parse_device(&name).expect("STRATA_TEST_DEVICE names a device of this build")
}

/// SMoE with these strata.
pub fn smoe(strata: &[usize]) -> ModelConfig {
    ModelConfig { kind: Kind::Smoe, strata: strata.to_vec(), ..small() }
}

/// One small model of each kind.
pub fn kinds() -> Vec<ModelConfig> {
    vec![
        small(),
        ModelConfig { kind: Kind::Moe, experts: 4, ..small() },
        ModelConfig { kind: Kind::Switch, experts: 4, top_k: 1, ..small() },
        ModelConfig { kind: Kind::Cmr, experts: 4, ..small() },
        ModelConfig { kind: Kind::Stacked, strata: vec![2, 2], ..small() },
        smoe(&[2, 2]),
        ModelConfig { normalization: Normalization::Reference, ..smoe(&[2, 2, 2]) },
        ModelConfig { normalization: Normalization::Reference, ..smoe(&[4]) },
        ModelConfig { visible: Visible::All, exits: Exits::Learned, ..smoe(&[2, 2]) },
        ModelConfig { exits: Exits::Never, ..smoe(&[2, 2]) },
        ModelConfig { capacity_budget: 1.3, learned_scale: true, ..smoe(&[2, 2]) },
        ModelConfig { top_k: 3, ..smoe(&[3, 3]) },
    ]
}

/// The values of a tensor, on the host.
pub fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// The value of a tensor of one.
pub fn number(x: Tensor<1>) -> f64 {
    f64::from(x.into_scalar::<f32>())
}
