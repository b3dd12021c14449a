//! Devices by name: `cpu`, `wgpu`, `vulkan`, `metal`, `cuda:0`, `rocm:0`; and which of them a process takes that shares
//! its host with others.

use burn::tensor::Device;
use strata_recipe::is_cpu;

use crate::error::Error;

/// Kinds of devices; each but `cpu` is built in by the Cargo feature of its name.
const KINDS: [&str; 6] = ["cpu", "wgpu", "vulkan", "metal", "cuda", "rocm"];

/// The device called `name`: a kind, with `:INDEX` where a machine has several GPUs (`cuda:1`; 0 by default). `cpu:0`
/// is `cpu`.
///
/// # Errors
/// [`Error::Device`] for an unknown name, or for a kind that this build leaves out, with the way to build it in.
pub fn parse_device(name: &str) -> Result<Device, Error> {
    if is_cpu(name) {
        return Ok(Device::flex());
    }
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
        return Err(Error::Device(format!("device `{name}`: there is only one `cpu`; write `cpu`")));
    }
    built_in(kind, index).ok_or_else(|| {
        Error::Device(format!(
            "this strata was built without {kind}; build it with: cargo build --release --features {kind}"
        ))
    })
}

/// [`parse_device`] for a process that is number `place`, from 0, of those on its host: where `name` has no index, they
/// take the host's devices in turn, so that `cuda` means `cuda:1` for the second.
///
/// # Errors
/// As [`parse_device`].
pub fn parse_device_of(name: &str, place: usize) -> Result<Device, Error> {
    parse_device(&in_turn(name, place, count))
}

/// The name with an index, as far as there are several processes and devices: `count` says how many devices there are
/// of a kind.
fn in_turn(name: &str, place: usize, count: impl FnOnce(&str) -> usize) -> String {
    if place == 0 || name == "cpu" || name.contains(':') {
        return name.to_string();
    }
    match count(name) {
        0 | 1 => name.to_string(),
        devices => format!("{name}:{}", place % devices),
    }
}

/// How many devices of a kind this machine has, as their indices count them.
#[allow(unreachable_code, unused_variables)] // a build without GPU features has no kind to count
fn count(kind: &str) -> usize {
    use burn::tensor::DeviceType;
    let filter: DeviceType = match kind {
        #[cfg(feature = "wgpu")]
        "wgpu" => DeviceType::Wgpu,
        #[cfg(feature = "vulkan")]
        "vulkan" => DeviceType::Vulkan,
        #[cfg(feature = "metal")]
        "metal" => DeviceType::Metal,
        #[cfg(feature = "cuda")]
        "cuda" => DeviceType::Cuda,
        #[cfg(feature = "rocm")]
        "rocm" => DeviceType::Rocm,
        _ => return 0,
    };
    let found = Device::enumerate(filter).into_vec();
    (0..).take_while(|index| built_in(kind, Some(*index)).is_some_and(|device| found.contains(&device))).count()
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
        assert!(parse_device("cpu").is_ok() && parse_device("cpu:0").is_ok());
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
    #[test]
    fn processes_of_one_host_take_its_devices_in_turn() {
        let chosen = |name, devices| [0, 1, 2, 3].map(|place| in_turn(name, place, |_| devices));
        assert_eq!(chosen("cuda", 3), ["cuda", "cuda:1", "cuda:2", "cuda:0"]);
        assert_eq!(chosen("wgpu", 1), ["wgpu"; 4], "what is the only one may have no index");
        assert_eq!(chosen("cuda:1", 3), ["cuda:1"; 4], "who names a device gets it");
        assert_eq!(chosen("cpu", 3), ["cpu"; 4]);
        assert!(parse_device_of("cpu", 3).is_ok());
        let message = parse_device_of("gpu", 3).map(|_| ()).unwrap_err().to_string();
        assert!(message.starts_with("there is no device `gpu`;"), "{message}");
    }
}
