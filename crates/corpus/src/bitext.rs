//! Finding and reading bitext: `train.SRC-TGT.SRC` beside `train.SRC-TGT.TGT`, or `train.SRC-TGT.tsv`, each also with
//! `.gz` or `.zst`; the same for `valid` and `test`.
//!
//! Reading streams: one line of each side at a time, in lines of at most [`MAX_LINE_BYTES`], so memory does not grow
//! with the corpus. Byte-order marks and carriage returns at line ends are dropped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strata_files::IoContext;

use crate::error::{Error, Result};

/// Longest line that is read into memory, in bytes; longer ones are an error, or dropped and counted.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// A part of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Text to train on.
    Train,
    /// Held out, scored while training.
    Valid,
    /// Held out, for the final score.
    Test,
}

impl Split {
    /// All three, in this order.
    pub const ALL: [Split; 3] = [Split::Train, Split::Valid, Split::Test];

    /// As in file names.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        }
    }
}

/// A language pair as its files name it; each pair can serve both directions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// Language of the first side, as `en` in `train.en-de.en`.
    pub first: String,
    /// Language of the second side.
    pub second: String,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.first, self.second)
    }
}

impl Pair {
    /// Parses `en-de`; tags hold letters, digits and `_`. `None` for another text, and for twice the same language.
    pub fn parse(name: &str) -> Option<Self> {
        let (first, second) = name.split_once('-')?;
        let is_tag = |tag: &str| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (is_tag(first) && is_tag(second) && first != second)
            .then(|| Pair { first: first.to_string(), second: second.to_string() })
    }

    /// The pair the other way round.
    pub fn mirrored(&self) -> Self {
        Pair { first: self.second.clone(), second: self.first.clone() }
    }
}

/// The files of one split of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Two aligned files, one a side.
    Sides(PathBuf, PathBuf),
    /// One file of `FIRST<tab>SECOND` lines.
    Tsv(PathBuf),
}

/// The bitext of a folder: per pair the splits it has.
pub type Bitext = BTreeMap<Pair, BTreeMap<Split, Source>>;

/// Finds the bitext in a folder; other files are left alone.
///
/// # Errors
/// A side without counterpart, a split given twice (also as `en-de` and `de-en`, or plain and compressed), no bitext.
pub fn discover(folder: &Path) -> Result<Bitext> {
    let listing = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let reason = "it is missing; name the folder of the bitext".to_string();
            return Err(Error::Empty { path: folder.to_path_buf(), reason });
        }
        listing => listing.io_context("read the folder", folder)?,
    };
    // (pair, split) -> side or "tsv" -> file
    let mut found: BTreeMap<(Pair, Split), BTreeMap<String, PathBuf>> = BTreeMap::new();
    let mut paths = Vec::new();
    for entry in listing {
        paths.push(entry.io_context("read the folder", folder)?.path());
    }
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        let Some((split, pair, side)) = parse_name(name) else { continue };
        if path.is_dir() {
            continue;
        }
        let sides = found.entry((pair.clone(), split)).or_default();
        if let Some(other) = sides.get(side) {
            let first = other.clone();
            return Err(Error::Ambiguous { first, second: path, split: split.name(), pair: pair.to_string() });
        }
        sides.insert(side.to_string(), path);
    }
    let mut bitext = Bitext::new();
    for ((pair, split), mut sides) in found {
        let source = match (sides.remove("tsv"), sides.remove(&pair.first), sides.remove(&pair.second)) {
            (None, Some(first), Some(second)) => Source::Sides(first, second),
            (Some(tsv), None, None) => Source::Tsv(tsv),
            (Some(first), Some(second), _) | (Some(first), None, Some(second)) => {
                return Err(Error::Ambiguous { first, second, split: split.name(), pair: pair.to_string() });
            }
            (None, Some(found), None) => return Err(missing_side(folder, found, split, &pair, &pair.second)),
            (None, None, Some(found)) => return Err(missing_side(folder, found, split, &pair, &pair.first)),
            (None, None, None) => continue,
        };
        let mirrored = pair.mirrored();
        if let Some(other) = bitext.get(&mirrored).and_then(|splits: &BTreeMap<Split, Source>| splits.values().next()) {
            let (first, second) = (other.path().to_path_buf(), source.path().to_path_buf());
            return Err(Error::Ambiguous { first, second, split: split.name(), pair: pair.to_string() });
        }
        bitext.entry(pair).or_default().insert(split, source);
    }
    if !bitext.values().any(|splits| splits.contains_key(&Split::Train)) {
        let reason = "no bitext for training found; expected files like train.en-de.en and train.en-de.de, \
                      or train.en-de.tsv (also with .gz or .zst)";
        return Err(Error::Empty { path: folder.to_path_buf(), reason: reason.to_string() });
    }
    Ok(bitext)
}

fn missing_side(folder: &Path, found: PathBuf, split: Split, pair: &Pair, side: &str) -> Error {
    Error::MissingSide { found, missing: folder.join(format!("{}.{pair}.{side}", split.name())) }
}

/// `train.en-de.de.gz` -> (train, en-de, "de"); `None` for anything else.
fn parse_name(name: &str) -> Option<(Split, Pair, &str)> {
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    let mut parts = name.split('.');
    let (split, pair, side) = (parts.next()?, parts.next()?, parts.next()?);
    let split = Split::ALL.into_iter().find(|s| s.name() == split)?;
    let pair = Pair::parse(pair)?;
    (parts.next().is_none() && (side == "tsv" || side == pair.first || side == pair.second))
        .then_some((split, pair, side))
}

impl Source {
    /// The file, or the first side's.
    pub fn path(&self) -> &Path {
        match self {
            Source::Sides(first, _) => first,
            Source::Tsv(path) => path,
        }
    }

    /// Size on disk in bytes, compressed if the files are, for progress.
    pub fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        match self {
            Source::Sides(first, second) => size(first) + size(second),
            Source::Tsv(path) => size(path),
        }
    }

    /// Opens the text for reading pair by pair.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn open(&self) -> Result<PairReader> {
        Ok(PairReader(match self {
            Source::Sides(first, second) => Inner::Sides(Lines::open(first)?, Lines::open(second)?),
            Source::Tsv(path) => Inner::Tsv(Lines::open(path)?),
        }))
    }
}

/// A raw sentence pair, or why the line has none.
#[derive(Debug)]
pub enum RawPair {
    /// Both sides as read, without line end.
    Text(String, String),
    /// A line that cannot be used: an error unless such lines are to be skipped.
    Bad(Error),
}

/// Reads a bitext pair by pair.
pub struct PairReader(Inner);

enum Inner {
    Sides(Lines, Lines),
    Tsv(Lines),
}

impl PairReader {
    /// The next pair, or `None` at the end.
    ///
    /// # Errors
    /// A side that ends before the other (with both counts), or a file that cannot be read.
    pub fn next_pair(&mut self) -> Result<Option<RawPair>> {
        match &mut self.0 {
            Inner::Sides(first, second) => match (first.next_line()?, second.next_line()?) {
                (None, None) => Ok(None),
                (Some(Ok(a)), Some(Ok(b))) => Ok(Some(RawPair::Text(a, b))),
                (Some(Err(e)), Some(_)) | (Some(_), Some(Err(e))) => Ok(Some(RawPair::Bad(e))),
                (None, Some(_)) | (Some(_), None) => {
                    first.skip_to_end()?;
                    second.skip_to_end()?;
                    Err(Error::SideCounts {
                        first: first.path.clone(),
                        first_lines: first.line,
                        second: second.path.clone(),
                        second_lines: second.line,
                    })
                }
            },
            Inner::Tsv(lines) => match lines.next_line()? {
                None => Ok(None),
                Some(Err(e)) => Ok(Some(RawPair::Bad(e))),
                Some(Ok(text)) => {
                    let mut columns = text.split('\t');
                    if let (Some(a), Some(b), None) = (columns.next(), columns.next(), columns.next()) {
                        return Ok(Some(RawPair::Text(a.to_string(), b.to_string())));
                    }
                    let columns = text.split('\t').count();
                    Ok(Some(RawPair::Bad(Error::Columns { path: lines.path.clone(), line: lines.line, columns })))
                }
            },
        }
    }
}

/// The lines of one file, decompressed by its suffix.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: u64,
    buffer: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).io_context("open", path)?;
        let buffered = |r: Box<dyn Read + Send>| Box::new(BufReader::with_capacity(1 << 18, r));
        let reader: Box<dyn BufRead + Send> = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => buffered(Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file)))),
            Some("zst") => buffered(Box::new(zstd::Decoder::new(file).io_context("decompress", path)?)),
            _ => buffered(Box::new(file)),
        };
        Ok(Self { path: path.to_path_buf(), reader, line: 0, buffer: Vec::new() })
    }

    /// The next line without its end: the text, or why it cannot be used; `None` at the end of the file.
    fn next_line(&mut self) -> Result<Option<std::result::Result<String, Error>>> {
        self.buffer.clear();
        let read = (&mut self.reader)
            .take(MAX_LINE_BYTES as u64 + 2)
            .read_until(b'\n', &mut self.buffer)
            .io_context("read", &self.path)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() > MAX_LINE_BYTES {
            self.reader.skip_until(b'\n').io_context("read", &self.path)?;
        }
        if self.buffer.len() > MAX_LINE_BYTES {
            let error = Error::LineTooLong { path: self.path.clone(), line: self.line, limit: MAX_LINE_BYTES };
            return Ok(Some(Err(error)));
        }
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        let bytes = match self.buffer.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) if self.line == 1 => rest,
            _ => &self.buffer,
        };
        Ok(Some(match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(e) => Err(Error::InvalidUtf8 { path: self.path.clone(), line: self.line, byte: e.valid_up_to() + 1 }),
        }))
    }

    /// Counts the remaining lines, for a report of differing sides.
    fn skip_to_end(&mut self) -> Result<()> {
        loop {
            let skipped = self.reader.skip_until(b'\n').io_context("read", &self.path)?;
            if skipped == 0 {
                return Ok(());
            }
            self.line += 1;
        }
    }
}
