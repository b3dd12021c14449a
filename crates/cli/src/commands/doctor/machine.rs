//! What this program was built with, and what it finds around it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use strata_recipe::Memory;
use strata_simd::Level;

use crate::processor;

/// What this program is.
#[derive(Serialize)]
pub struct Program {
    pub version: &'static str,
    /// Processor and system that it was compiled for.
    pub target: String,
    /// Whether it was compiled for speed.
    pub optimized: bool,
    /// What it can compute on.
    pub devices: Vec<&'static str>,
}

/// What is around it.
#[derive(Serialize)]
pub struct Machine {
    /// The processor's name, where the system tells it.
    pub processor: Option<String>,
    /// Threads that this program uses.
    pub threads: usize,
    /// The instruction level that is used.
    pub level: &'static str,
    /// All that this processor has.
    pub levels: Vec<&'static str>,
    /// Where the system tells it.
    pub memory: Option<Memory>,
    /// The locale of the environment.
    pub locale: Option<String>,
    /// Whether its texts are UTF-8.
    pub utf8: bool,
    /// Where verified folders are remembered.
    pub cache: Option<PathBuf>,
    /// Whether `strata serve` could listen on its usual port.
    pub port_free: bool,
    /// What the MPI library says about itself.
    pub mpi: Option<String>,
    /// Python's version, with the packages that have to do with this program.
    pub python: Option<String>,
}

impl Program {
    pub fn this() -> Self {
        let features = [
            ("wgpu", cfg!(feature = "wgpu")),
            ("vulkan", cfg!(feature = "vulkan")),
            ("metal", cfg!(feature = "metal")),
            ("cuda", cfg!(feature = "cuda")),
            ("rocm", cfg!(feature = "rocm")),
        ];
        let built = features.iter().filter(|(_, built)| *built).map(|(name, _)| *name);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            optimized: !cfg!(debug_assertions),
            devices: std::iter::once("cpu").chain(built).collect(),
        }
    }
}

impl Machine {
    pub fn this() -> anyhow::Result<Self> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let folded = locale.as_deref().unwrap_or("").to_lowercase();
        Ok(Self {
            processor: processor::name(),
            threads: rayon::current_num_threads(),
            level: Level::chosen()?.name(),
            levels: Level::available().iter().map(|level| level.name()).collect(),
            memory: Memory::of_this_machine(),
            utf8: folded.ends_with("utf-8") || folded.ends_with("utf8"),
            locale,
            cache: strata_files::verified::cache(),
            port_free: TcpListener::bind((Ipv4Addr::LOCALHOST, 5000)).is_ok(),
            mpi: strata_ranks::installed_mpi(),
            python: python(),
        })
    }
}

/// Prints Python's version and those of the packages by which people use this program.
const ASK_PYTHON: &str = "
import importlib.metadata as metadata, platform
found = []
for name in ['strata-mt', 'deepl', 'libretranslatepy', 'ctranslate2', 'sacrebleu']:
    try:
        found.append(name + ' ' + metadata.version(name))
    except metadata.PackageNotFoundError:
        pass
print(platform.python_version() + (': ' + ', '.join(found) if found else ''))
";

fn python() -> Option<String> {
    let said = Command::new("python3").args(["-c", ASK_PYTHON]).output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8_lossy(&said.stdout).trim().to_string())
}
