//! Whether a model fits into this machine's memory. Where it does not, an allocation ends the program without a word,
//! or the system ends some other one.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::cost::Cost;
use crate::error::ConfigError;
use crate::model_config::ModelConfig;

/// The memory of this machine, as Linux tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What one program can have at most in bytes: memory and swap, or the limit of its control group or address space.
    pub most: u64,
    /// What is free now, or can be made free without swapping, in bytes.
    pub available: u64,
}

/// What a model is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It has weights, gradients and two moments in f32.
    Training,
    /// It has weights in f32.
    Translating,
}

impl Memory {
    /// Asks the system; none where it does not tell.
    pub fn of_this_machine() -> Option<Memory> {
        let sizes = fs::read_to_string("/proc/meminfo").ok()?;
        let size = |name: &str| kilobytes(&sizes, name);
        let installed = size("MemTotal:")? + size("SwapTotal:").unwrap_or(0);
        let most = [group_limit(), address_limit()].into_iter().flatten().fold(installed, u64::min);
        Some(Memory { most, available: size("MemAvailable:")?.min(most) })
    }
}

/// The value of a line `NAME   123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The limit of this process's control group (version 2), which containers, systemd and Slurm set.
fn group_limit() -> Option<u64> {
    least_limit(&fs::read_to_string("/proc/self/cgroup").ok()?, Path::new("/sys/fs/cgroup"))
}

/// The least limit of a process's group and of all groups around it: each holds for all that is below it. `groups` is
/// what `/proc/PID/cgroup` says, `root` the folder of all groups.
fn least_limit(groups: &str, root: &Path) -> Option<u64> {
    let group = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    // Without a limit a file says `max`, and the outermost group has no file.
    let limit = |group: &Path| fs::read_to_string(root.join(group).join("memory.max")).ok()?.trim().parse().ok();
    group.ancestors().filter_map(limit).min()
}

/// What `ulimit -v` allows.
fn address_limit() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Refuses a model that needs more memory for `purpose` than this machine has. What a batch takes is not counted, so a
/// model that passes may still be too large. An invalid configuration passes; whoever makes a model of it says why.
///
/// # Errors
/// The memory that it needs and that there is.
pub fn check_memory(config: &ModelConfig, purpose: Purpose) -> Result<(), ConfigError> {
    match (Cost::of(config, None), Memory::of_this_machine()) {
        (Ok(cost), Some(memory)) => fits(config, &cost, purpose, memory.most),
        _ => Ok(()),
    }
}

fn fits(config: &ModelConfig, cost: &Cost, purpose: Purpose, most: u64) -> Result<(), ConfigError> {
    let (what, weights) = match purpose {
        Purpose::Training => ("training a model", cost.bytes_to_train),
        Purpose::Translating => ("a model", 4 * cost.parameters),
    };
    let positions = 4 * (config.max_length * config.d_model) as u64;
    let needed = weights.saturating_add(positions);
    if needed <= most {
        return Ok(());
    }
    let giga = |number: u64| number as f64 / 1e9;
    let message = format!(
        "d_model = {}: {what} of {:.1} billion parameters takes at least {:.1} GB of memory, and this machine has {:.1} \
         GB; choose smaller sizes, or fewer layers or experts",
        config.d_model,
        giga(cost.parameters),
        giga(needed),
        giga(most)
    );
    Err(ConfigError { key: "d_model", message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Kind;

    const GIGA: u64 = 1_000_000_000;

    fn fault(config: &ModelConfig, purpose: Purpose, most: u64) -> Option<String> {
        let cost = Cost::of(config, None).unwrap();
        fits(config, &cost, purpose, most).err().map(|error| error.message)
    }

    #[test]
    fn whatever_makes_a_model_too_large_is_refused_with_the_memory_that_it_needs() {
        let base = ModelConfig::default();
        let smoe = ModelConfig { kind: Kind::Smoe, strata: vec![4, 4], ..base.clone() };
        for config in [&base, &smoe] {
            assert_eq!(fault(config, Purpose::Training, 16 * GIGA), None);
        }
        for config in [
            ModelConfig { d_model: 65_536, ..base.clone() },
            ModelConfig { d_ffn: 1 << 20, ..base.clone() },
            ModelConfig { vocab_size: 1 << 23, ..base.clone() },
            ModelConfig { max_length: 1 << 20, d_model: 16_384, encoder_layers: 1, decoder_layers: 1, ..base.clone() },
            ModelConfig { strata: vec![900, 900], ..smoe.clone() },
        ] {
            let fault = fault(&config, Purpose::Training, 16 * GIGA).unwrap_or_else(|| panic!("{config:?}"));
            assert!(fault.contains("GB of memory, and this machine has 16.0 GB"), "{fault}");
        }
    }

    #[test]
    fn translating_takes_a_quarter_of_training() {
        let config = ModelConfig { d_model: 8192, ..ModelConfig::default() };
        let needed = Cost::of(&config, None).unwrap().bytes_to_train;
        assert!(fault(&config, Purpose::Training, needed / 2).is_some());
        assert!(fault(&config, Purpose::Translating, needed / 2).is_none());
        assert!(fault(&config, Purpose::Translating, needed / 5).is_some());
    }

    #[test]
    fn a_group_has_no_more_than_the_groups_around_it() {
        let root = tempfile::tempdir().unwrap();
        let groups = [
            ("", None),
            ("user", Some("8000000000\n")),
            ("user/job", Some("max\n")),
            ("user/job/step", Some("9000000000\n")),
        ];
        for (group, limit) in groups {
            std::fs::create_dir_all(root.path().join(group)).unwrap();
            if let Some(limit) = limit {
                std::fs::write(root.path().join(group).join("memory.max"), limit).unwrap();
            }
        }
        let least = |groups: &str| least_limit(groups, root.path());
        assert_eq!(least("0::/user/job/step\n"), Some(8_000_000_000));
        assert_eq!(least("4:memory:/else\n0::/user/job\n"), Some(8_000_000_000));
        std::fs::write(root.path().join("user/job/step/memory.max"), "5\n").unwrap();
        assert_eq!((least("0::/user/job/step\n"), least("0::/user\n")), (Some(5), Some(8_000_000_000)));
        assert_eq!((least("0::/\n"), least("4:memory:/user\n")), (None, None));
        // A container whose own group is the outermost that it sees.
        std::fs::write(root.path().join("memory.max"), "7\n").unwrap();
        assert_eq!(least("0::/\n"), Some(7));
    }

    #[test]
    fn the_system_tells_what_there_is() {
        let memory = Memory::of_this_machine().expect("Linux tells");
        assert!(memory.most >= memory.available && memory.available > 1 << 20, "{memory:?}");
        let text = "MemTotal:        8039204 kB\nMemFree:          300000 kB\n";
        assert_eq!(kilobytes(text, "MemTotal:"), Some(8_039_204 * 1024));
        assert_eq!(kilobytes(text, "SwapTotal:"), None);
    }
}
