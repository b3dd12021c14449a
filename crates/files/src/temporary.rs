//! The names of files and folders that are being written or replaced.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// `.NAME.KIND-PID-N`, with another N at each call.
pub(crate) fn temporary(name: &str, kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(".{name}.{kind}-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The original name and the kind (`tmp` or `old`) of a name that [`temporary`] made.
pub(crate) fn parse_temporary(name: &str) -> Option<(&str, &str)> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (rest, n) = name.strip_prefix('.')?.rsplit_once('-')?;
    let (rest, pid) = rest.rsplit_once('-')?;
    let (original, kind) = rest.rsplit_once('.')?;
    (digits(n) && digits(pid) && !original.is_empty() && matches!(kind, "tmp" | "old")).then_some((original, kind))
}
