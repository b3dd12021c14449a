//! Devices by name: `cpu`, `wgpu`, `vulkan`, `metal`, `cuda:0`, `rocm:0`.

use burn::tensor::Device;

use crate::error::Error;

/// Kinds of devices; each but `cpu` is built in by the Cargo feature of its name.
const KINDS: [&str; 6] = ["cpu", "wgpu", "vulkan", "metal", "cuda", "rocm"];

/// The device called `name`: a kind, with `:INDEX` where a machine has several GPUs (`cuda:1`; 0 by default).
///
/// # Errors
/// [`Error::Device`] for an unknown name, or for a kind that this build leaves out, with the way to build it in.
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
    if !KINDS.contains(&kind) {
        return Err(Error::Device(format!("there is no device `{name}`; choose one of {}", KINDS.join(", "))));
    }
    if kind == "cpu" {
        return match index {
            None | Some(0) => Ok(Device::flex()),
            Some(_) => Err(Error::Device(format!("device `{name}`: there is only one `cpu`; write `cpu`"))),
        };
    }
    built_in(kind, index).ok_or_else(|| {
        Error::Device(format!(
            "this strata was built without {kind}; build it with: cargo build --release --features {kind}"
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
        assert!(message("cpu:3").contains("there is only one `cpu`"));
        #[cfg(not(feature = "cuda"))]
        assert_eq!(
            message("cuda:0"),
            "this strata was built without cuda; build it with: cargo build --release --features cuda"
        );
    }
}
