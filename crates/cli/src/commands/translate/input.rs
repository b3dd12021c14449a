//! The lines that `strata translate` reads, in windows.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::Context;
use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};
use strata_corpus::text::{decoded, decompressed, unpacked};
use strata_files::thousands;

use crate::shared_lines::{MOST_LINES, window_sizes};

/// Bytes of a window, behind which it ends. It is in memory several times, and ranks send it as a whole.
const WINDOW_BYTES: usize = 1 << 26;
/// Longest line in bytes; longer ones are reported.
const MOST_BYTES: usize = 1 << 20;
/// Bytes without a line end after which an input is no text.
const MOST_SKIPPED: u64 = 1 << 30;
/// A byte order mark.
const MARK: &str = "\u{feff}";
/// How long to wait for more lines before translating what is there.
const PATIENCE: Duration = Duration::from_millis(20);

/// A line of input: its place, its text or what is wrong with it, and what its translation begins with.
#[derive(Serialize, Deserialize)]
pub struct Line {
    pub place: String,
    pub text: Result<String, String>,
    pub prefix: String,
    /// Whether a byte order mark stands before it, and whether a carriage return ends it.
    pub marked: bool,
    pub returned: bool,
}

impl Line {
    /// What stands around the text, and so around its translation: a byte order mark, the line's end.
    pub fn around(&self) -> [&'static str; 2] {
        [if self.marked { MARK } else { "" }, if self.returned { "\r\n" } else { "\n" }]
    }
}

/// The text, empty where something is wrong with it.
impl AsRef<str> for Line {
    fn as_ref(&self) -> &str {
        self.text.as_deref().unwrap_or("")
    }
}

type Input = (String, Box<dyn BufRead + Send>);

/// How prefixes and lines belong together.
const PAIRED: &str = "line n is what the translation of line n begins with, and may be empty";

/// Files that are open and not read yet.
pub struct Inputs {
    inputs: Vec<Input>,
    said: Option<&'static Encoding>,
    prefixes: Option<Prefixes>,
}

/// What translations begin with, line by line.
struct Prefixes {
    /// The file that they are from.
    path: PathBuf,
    lines: std::vec::IntoIter<String>,
}

impl Inputs {
    /// Opens all inputs, standard input for `-` or no files, and reads the beginnings of the translations. The inputs
    /// are in the encoding `said` unless a byte order mark says otherwise.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub fn open(files: &[PathBuf], prefixes: Option<&Path>, said: Option<&'static Encoding>) -> anyhow::Result<Self> {
        let standard_input =
            || -> Input { ("standard input".to_string(), decoded(unpacked(BufReader::new(std::io::stdin())), said)) };
        let open = |path: &PathBuf| -> anyhow::Result<Input> {
            if path == Path::new("-") {
                return Ok(standard_input());
            }
            let name = path.display().to_string();
            anyhow::ensure!(!path.is_dir(), "cannot read {name}: it is a folder");
            Ok((name, decoded(decompressed(path)?, said)))
        };
        let read = |path: &Path| -> anyhow::Result<Prefixes> {
            Ok(Prefixes { path: path.to_path_buf(), lines: crate::text_files::lines(path)?.into_iter() })
        };
        let prefixes = prefixes.map(read).transpose()?;
        let inputs =
            if files.is_empty() { vec![standard_input()] } else { files.iter().map(open).collect::<Result<_, _>>()? };
        Ok(Self { inputs, said, prefixes })
    }

    /// Starts to read, on a thread of its own, for windows that `ranks` ranks share.
    pub fn windows(self, ranks: usize) -> Windows {
        let (sender, lines) = sync_channel(MOST_LINES * ranks);
        std::thread::spawn(move || {
            for (number, (name, input)) in self.inputs.into_iter().enumerate() {
                let take = &mut |mut line: anyhow::Result<Line>| {
                    if let Ok(line) = &mut line {
                        // The translations of all files are one text, and a mark is one only where a text begins.
                        line.marked &= number == 0;
                    }
                    sender.send(line).is_ok()
                };
                if read_lines(&name, input, self.said, take).is_none() {
                    return;
                }
            }
        });
        Windows { lines, sizes: Box::new(window_sizes(ranks)), prefixes: self.prefixes }
    }
}

/// Lines as they come.
pub struct Windows {
    lines: Receiver<anyhow::Result<Line>>,
    /// Lines of the next windows at most.
    sizes: Box<dyn Iterator<Item = usize>>,
    prefixes: Option<Prefixes>,
}

impl Windows {
    /// Waits for a line, then takes the lines that follow within [`PATIENCE`]; none at the end.
    ///
    /// # Errors
    /// An input that cannot be read on; prefixes that are fewer than the lines, or more.
    pub fn next_window(&mut self) -> anyhow::Result<Option<Vec<Line>>> {
        let Ok(first) = self.lines.recv() else {
            if let Some(Prefixes { path, lines }) = self.prefixes.as_ref().filter(|prefixes| prefixes.lines.len() > 0) {
                anyhow::bail!("{}: more lines than the text, by {}; {PAIRED}", path.display(), lines.len());
            }
            return Ok(None);
        };
        let most = self.sizes.next().unwrap_or(1);
        let mut window = vec![first?];
        let mut bytes = window[0].as_ref().len();
        while window.len() < most && bytes < WINDOW_BYTES {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => window.push(line?),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            bytes += window[window.len() - 1].as_ref().len();
        }
        if let Some(Prefixes { path, lines }) = &mut self.prefixes {
            for line in &mut window {
                let prefix = lines.next().with_context(|| {
                    format!("{}: fewer lines than the text, which goes on at {}; {PAIRED}", path.display(), line.place)
                })?;
                line.prefix = prefix;
            }
        }
        Ok(Some(window))
    }
}

/// Hands each line to `take`; `None` once `take` wants no more.
fn read_lines(
    name: &str,
    mut input: Box<dyn BufRead + Send>,
    said: Option<&'static Encoding>,
    take: &mut dyn FnMut(anyhow::Result<Line>) -> bool,
) -> Option<()> {
    for number in 1u64.. {
        let place = format!("{name}, line {number}");
        let text = match next_line(&mut input) {
            Ok(None) => return Some(()),
            Ok(Some(text)) => text,
            Err(error) => {
                take(Err(anyhow::Error::new(error).context(format!("cannot read {place}"))));
                return None;
            }
        };
        let (mut marked, mut returned) = (false, false);
        let text = text.and_then(|mut bytes| {
            marked = number == 1 && bytes.starts_with(MARK.as_bytes());
            if marked {
                bytes.drain(..MARK.len());
            }
            returned = bytes.last() == Some(&b'\r');
            if returned {
                bytes.pop();
            }
            String::from_utf8(bytes).map_err(|e| match said {
                None => {
                    format!("not valid UTF-8 (byte {} of the line), see --encoding", e.utf8_error().valid_up_to() + 1)
                }
                Some(said) => format!("not valid {}", said.name()),
            })
        });
        if !take(Ok(Line { place, text, prefix: String::new(), marked, returned })) {
            return None;
        }
    }
    Some(())
}

/// The next line without its line feed, or why it cannot be translated; none at the end of the input.
fn next_line(input: &mut dyn BufRead) -> std::io::Result<Option<Result<Vec<u8>, String>>> {
    let mut bytes = Vec::new();
    if (&mut *input).take(MOST_BYTES as u64 + 2).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let ended = bytes.last() == Some(&b'\n');
    if ended {
        bytes.pop();
    }
    if bytes.len() - usize::from(bytes.ends_with(b"\r")) <= MOST_BYTES {
        return Ok(Some(Ok(bytes)));
    }
    if !ended {
        skip_line(input)?;
    }
    Ok(Some(Err(format!("longer than {} bytes; break it into lines", thousands(MOST_BYTES as u64)))))
}

/// Skips the rest of a line.
fn skip_line(input: &mut dyn BufRead) -> std::io::Result<()> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        input.consume(length);
        skipped += length as u64;
        if end.is_some() || length == 0 {
            return Ok(());
        }
        if skipped > MOST_SKIPPED {
            let what = format!("no line end within {} bytes; this is no text", thousands(MOST_SKIPPED));
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of an input: their lengths, or what is wrong with them.
    fn read(mut input: impl BufRead) -> Vec<Result<usize, String>> {
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).unwrap() {
            lines.push(line.map(|bytes| bytes.len()));
        }
        lines
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_and_the_others_are_read() {
        let long = |length: usize| "x".repeat(length);
        let text = format!("one\n{}\ntwo\r\n{}", long(MOST_BYTES + 1), long(MOST_BYTES));
        let found = read(text.as_bytes());
        let Err(fault) = &found[1] else { panic!("{found:?}") };
        assert_eq!((&found[0], &found[2], &found[3], found.len()), (&Ok(3), &Ok(4), &Ok(MOST_BYTES), 4));
        assert_eq!(fault, "longer than 1,048,576 bytes; break it into lines");
        let endless = read(format!("{}\nlast", long(5 * MOST_BYTES)).as_bytes());
        assert!(endless[0].is_err() && endless[1] == Ok(4) && endless.len() == 2, "{endless:?}");
    }

    #[test]
    fn marks_and_line_ends_are_kept_beside_the_text() {
        let mut found = Vec::new();
        let take = &mut |line: anyhow::Result<Line>| {
            let line = line.unwrap();
            found.push((line.text.clone().unwrap(), line.around()));
            true
        };
        read_lines("x", Box::new("\u{feff}one\r\ntwo\n\u{feff}\r\nlast".as_bytes()), None, take);
        let line = |text: &str, before, behind| (text.to_string(), [before, behind]);
        let wanted =
            [line("one", MARK, "\r\n"), line("two", "", "\n"), line("\u{feff}", "", "\r\n"), line("last", "", "\n")];
        assert_eq!(found, wanted);
    }

    #[test]
    fn an_input_without_line_ends_is_an_error_and_not_read_for_ever() {
        let fault = next_line(&mut BufReader::new(std::io::repeat(0))).unwrap_err().to_string();
        assert!(fault.contains("no line end within 1,073,741,824 bytes"), "{fault}");
    }
}
