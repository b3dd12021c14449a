//! Reading bitext: `train.SRC-TGT.SRC` beside `train.SRC-TGT.TGT`, or `train.SRC-TGT.tsv`, each also compressed; the
//! same for `valid` and `test`. [`discover`] finds it.
//!
//! Reading streams: one line of each side at a time, in lines of at most [`MAX_LINE_BYTES`], so memory does not grow
//! with the corpus. Byte-order marks and carriage returns at line ends are dropped.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strata_files::IoContext;

pub use crate::discover::{Found, Unused, discover};
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
    /// Parses `en-de`, also with scripts and regions as in `pt-BR-zh-Hans`; the rest of a tag holds letters, digits and
    /// `_`. `None` for another text, and for twice the same language.
    pub fn parse(name: &str) -> Option<Self> {
        let cut = |(at, _): (usize, &str)| Pair::new(&name[..at], &name[at + 1..], is_tag);
        name.match_indices('-').find_map(cut)
    }

    /// As [`Pair::parse`], of a pair that has the language `side`, whose regions may be in lower case (`pt-br`).
    pub fn with_side(name: &str, side: &str) -> Option<Self> {
        let is_loose = |tag: &str| is_tag(tag) || tag == side && tag.split('-').all(is_subtag);
        let cut = |(at, _): (usize, &str)| Pair::new(&name[..at], &name[at + 1..], is_loose);
        name.match_indices('-').filter_map(cut).find(|pair| pair.first == side || pair.second == side)
    }

    fn new(first: &str, second: &str, is_tag: impl Fn(&str) -> bool) -> Option<Self> {
        (is_tag(first) && is_tag(second) && first != second)
            .then(|| Pair { first: first.to_string(), second: second.to_string() })
    }

    /// The pair the other way round.
    pub fn mirrored(&self) -> Self {
        Pair { first: self.second.clone(), second: self.first.clone() }
    }
}

fn is_subtag(tag: &str) -> bool {
    !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A language, with a script (`Hans`) and a region (`BR`, `419`) behind hyphens.
pub(crate) fn is_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let is_further = |subtag: &str| {
        let mut bytes = subtag.bytes();
        let first = bytes.next().unwrap_or(0);
        match subtag.len() {
            2 => subtag.bytes().all(|b| b.is_ascii_uppercase()),
            3 => subtag.bytes().all(|b| b.is_ascii_digit()),
            4 => first.is_ascii_uppercase() && bytes.all(|b| b.is_ascii_lowercase()),
            _ => false,
        }
    };
    let language = subtags.next().unwrap_or("");
    is_subtag(language) && subtags.clone().count() < 3 && subtags.all(is_further)
}

/// The files of one split of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Two aligned files, one a side.
    Sides(PathBuf, PathBuf),
    /// One file of `FIRST<tab>SECOND` lines.
    Tsv(PathBuf),
    /// One file of `SECOND<tab>FIRST` lines.
    TurnedTsv(PathBuf),
    /// Several, one after another.
    Several(Vec<Source>),
}

/// The bitext of a folder: per pair the splits it has.
pub type Bitext = BTreeMap<Pair, BTreeMap<Split, Source>>;

impl Source {
    /// The file, or the first side's.
    pub fn path(&self) -> &Path {
        match self {
            Source::Sides(first, _) => first,
            Source::Tsv(path) | Source::TurnedTsv(path) => path,
            Source::Several(sources) => sources.first().map_or(Path::new(""), Source::path),
        }
    }

    /// The same text with its sides the other way round.
    pub(crate) fn turned(self) -> Self {
        match self {
            Source::Sides(first, second) => Source::Sides(second, first),
            Source::Tsv(path) => Source::TurnedTsv(path),
            Source::TurnedTsv(path) => Source::Tsv(path),
            Source::Several(sources) => Source::Several(sources.into_iter().map(Source::turned).collect()),
        }
    }

    /// This text, and then another.
    pub(crate) fn and(self, other: Self) -> Self {
        let list = |source| if let Source::Several(sources) = source { sources } else { vec![source] };
        Source::Several(list(self).into_iter().chain(list(other)).collect())
    }

    /// Size on disk in bytes, compressed if the files are, for progress.
    pub fn bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        match self {
            Source::Sides(first, second) => size(first) + size(second),
            Source::Tsv(path) | Source::TurnedTsv(path) => size(path),
            Source::Several(sources) => sources.iter().map(Source::bytes).sum(),
        }
    }

    /// Opens the text for reading pair by pair.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn open(&self) -> Result<PairReader> {
        Ok(PairReader(match self {
            Source::Sides(first, second) => Inner::Sides(Lines::open(first)?, Lines::open(second)?),
            Source::Tsv(path) => Inner::Tsv(Lines::open(path)?, false),
            Source::TurnedTsv(path) => Inner::Tsv(Lines::open(path)?, true),
            Source::Several(sources) => {
                let readers = sources.iter().map(Source::open).collect::<Result<Vec<_>>>()?;
                Inner::Several(readers.into())
            }
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
    /// The lines, and whether their sides are to be turned.
    Tsv(Lines, bool),
    Several(VecDeque<PairReader>),
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
            Inner::Several(readers) => {
                while let Some(reader) = readers.front_mut() {
                    if let Some(pair) = reader.next_pair()? {
                        return Ok(Some(pair));
                    }
                    readers.pop_front();
                }
                Ok(None)
            }
            Inner::Tsv(lines, turned) => match lines.next_line()? {
                None => Ok(None),
                Some(Err(e)) => Ok(Some(RawPair::Bad(e))),
                Some(Ok(text)) => {
                    let mut columns = text.split('\t');
                    if let (Some(a), Some(b), None) = (columns.next(), columns.next(), columns.next()) {
                        let (a, b) = if *turned { (b, a) } else { (a, b) };
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
        // Files found in a folder: a pipe among them would be waited for, and a device may never end.
        strata_files::regular::open(path)?;
        let reader = crate::text::open(path)?;
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
