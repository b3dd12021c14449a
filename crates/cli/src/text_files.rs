//! Text files that commands read and write.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::ensure;
use strata_corpus::text::{decoded, open, unpacked};
use strata_files::{IoContext, thousands};

/// Longest line in bytes: what is longer, `/dev/zero` above all, has no lines to go by.
const MOST_BYTES: usize = 1 << 24;

/// The lines of a file, and the path to name in messages.
pub struct Text {
    /// The file, or `standard input`.
    pub path: PathBuf,
    /// Its lines without their ends.
    pub lines: Vec<String>,
}

/// Reads a text file, or standard input for `-`, as [`lines`] does.
///
/// # Errors
/// As [`lines`].
pub fn read(path: &Path) -> anyhow::Result<Text> {
    if path == Path::new("-") {
        let path = PathBuf::from("standard input");
        let lines = lines_of(&path, decoded(unpacked(BufReader::new(std::io::stdin())), None))?;
        return Ok(Text { path, lines });
    }
    Ok(Text { path: path.to_path_buf(), lines: lines(path)? })
}

/// The lines of a text file, in UTF-8 or UTF-16, with line ends of any system; compressed files are read as
/// their names say.
///
/// # Errors
/// The file cannot be read, or a line is no text or too long.
pub fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
    ensure!(!path.is_dir(), "cannot read {}: it is a folder", path.display());
    lines_of(path, open(path)?)
}

fn lines_of(path: &Path, mut input: impl BufRead) -> anyhow::Result<Vec<String>> {
    let mut bytes = Vec::new();
    for number in 1.. {
        let start = bytes.len();
        (&mut input).take(MOST_BYTES as u64 + 1).read_until(b'\n', &mut bytes).io_context("read", path)?;
        let length = bytes.len() - start;
        if length == 0 {
            break;
        }
        ensure!(
            length <= MOST_BYTES,
            "{}, line {number}: longer than {} bytes; break it into lines",
            path.display(),
            thousands(MOST_BYTES as u64)
        );
    }
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
pub fn same_length(one: &Text, other: &Text) -> anyhow::Result<()> {
    ensure!(
        one.lines.len() == other.lines.len(),
        "{} has {} lines but {} has {}: line n of one must translate line n of the other",
        one.path.display(),
        one.lines.len(),
        other.path.display(),
        other.lines.len()
    );
    Ok(())
}
