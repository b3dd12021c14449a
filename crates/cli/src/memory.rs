//! The most memory that a process has used.

use serde::Serialize;

/// A report with the peak memory of this process.
#[derive(Serialize)]
pub struct WithMemory<T> {
    #[serde(flatten)]
    report: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory_mb: Option<f64>,
}

impl<T> WithMemory<T> {
    /// With the peak up to now.
    pub fn of(report: T) -> Self {
        let peak_memory_mb = peak_memory(std::process::id()).map(|bytes| bytes as f64 / f64::from(1 << 20));
        Self { report, peak_memory_mb }
    }
}

/// The peak resident memory of a process in bytes; `None` where the system does not tell.
pub fn peak_memory(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
