//! Devices by name: `cpu`, `wgpu`, `vulkan`, `metal`, `cuda:0`, `rocm:0`.

use burn::tensor::Device;

use crate::error::Error;

/// Names that a user may give, with the Cargo feature that builds each one in (`None`: always there).
const KINDS: [(&str, Option<&str>); 6] = [
    ("cpu", None),
    ("wgpu", Some("wgpu")),
    ("vulkan", Some("vulkan")),
    ("metal", Some("metal")),
    ("cuda", Some("cuda")),
    ("rocm", Some("rocm")),
];

/// The device that `name` names: a kind, for GPUs with `:INDEX` where there are several (`cuda:1`; 0 by default).
///
/// # Errors
/// [`Error::Device`] for an unknown name, or one this binary was not built for, which says how to build it.
pub fn parse_device(name: &str) -> Result<Device, Error> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => {
            let index: usize = index.parse().map_err(|_| {
                Error::Device(format!("device `{name}`: `{index}` is not a number; write for example `{kind}:0`"))
            })?;
            (kind, Some(index))
        }
        None => (name, None),
    };
    let Some((_, feature)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(known, _)| *known).collect();
        return Err(Error::Device(format!("there is no device `{name}`; choose one of {}", known.join(", "))));
    };
    if kind == "cpu" {
        return match index {
            None | Some(0) => Ok(Device::flex()),
            Some(_) => Err(Error::Device(format!("device `{name}`: there is one `cpu`; use --threads for its cores"))),
        };
    }
    built_in(kind, index).ok_or_else(|| {
        let feature = feature.unwrap_or(kind);
        Error::Device(format!(
            "this strata was built without {kind}; build it with: cargo build --release --features {feature}"
        ))
    })
}

#[allow(unused_variables)] // a build without GPU features looks at neither
fn built_in(kind: &str, index: Option<usize>) -> Option<Device> {
    match kind {
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(Device::wgpu(gpu(index))),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(Device::vulkan(gpu(index))),
        #[cfg(feature = "metal")]
        "metal" => Some(Device::metal(gpu(index))),
        #[cfg(feature = "cuda")]
        "cuda" => Some(Device::cuda(index.unwrap_or(0))),
        #[cfg(feature = "rocm")]
        "rocm" => Some(Device::rocm(index.unwrap_or(0))),
        _ => None,
    }
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn gpu(index: Option<usize>) -> burn::tensor::DeviceKind {
    index.map_or(burn::tensor::DeviceKind::DefaultDevice, burn::tensor::DeviceKind::DiscreteGpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_or_explained() {
        assert!(parse_device("cpu").is_ok());
        let message = |name| parse_device(name).map(|_| ()).unwrap_err().to_string();
        assert_eq!(message("gpu"), "there is no device `gpu`; choose one of cpu, wgpu, vulkan, metal, cuda, rocm");
        assert!(message("cuda:x").contains("`x` is not a number"));
        assert!(message("cpu:3").contains("--threads"));
        #[cfg(not(feature = "cuda"))]
        assert_eq!(
            message("cuda:0"),
            "this strata was built without cuda; build it with: cargo build --release --features cuda"
        );
    }
}
