//! Text files that commands read and write.

use std::io::Read;
use std::path::Path;

use anyhow::ensure;
use strata_files::IoContext;

/// The lines of a UTF-8 file, with line ends of any system; compressed files are read as their names say.
///
/// # Errors
/// The file cannot be read, or a line is not UTF-8.
pub fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    let mut bytes = Vec::new();
    strata_corpus::text::open(path)?.read_to_end(&mut bytes).io_context("read", path)?;
    let text = strata_files::utf8(path, bytes)?;
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
