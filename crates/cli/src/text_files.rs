//! Text files that commands read and write.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};

/// The lines of a UTF-8 file, with line ends of any system.
///
/// # Errors
/// The file cannot be read, or a line is not UTF-8.
pub fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(text).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        anyhow!("{}, line {line}: not valid UTF-8; convert it with `iconv -f ENCODING -t UTF-8`", path.display())
    })?;
    let mut lines: Vec<String> = text.split('\n').map(|line| line.trim_end_matches('\r').to_string()).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    Ok(lines)
}

/// Checks that two files match line by line.
///
/// # Errors
/// One has more lines.
pub fn same_length(hypotheses: (&Path, &[String]), references: (&Path, &[String])) -> anyhow::Result<()> {
    let ((path, lines), (other, others)) = (hypotheses, references);
    ensure!(
        lines.len() == others.len(),
        "{} has {} lines but {} has {}: line n of one must translate line n of the other",
        path.display(),
        lines.len(),
        other.display(),
        others.len()
    );
    Ok(())
}

/// Writes a file, replacing an earlier one.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
