//! `strata translate`: one line in, one line out, in order; documents in their formats.

mod document;

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use strata_files::{OutputFile, thousands};
use strata_translate::{Candidate, Glossary, Line as Text, Placement, Token, Translated, Translator};

use crate::search_args::{self, SearchArgs};
use crate::terminal::{Terminal, labeled};
use crate::{Outcome, output};

/// Translate lines of text, and documents
#[derive(Debug, Args)]
#[command(
    after_help = "A line may be a sentence or a paragraph: it is translated sentence by sentence, and what is between the \
                  sentences stays as it is. Web addresses, file names, placeholders, emoji and words that the model \
                  cannot know are copied. A translation that seems to leave something out is tried again in pieces; \
                  what stays short is reported by its line, with exit code 1. Files named .gz, .zst, .xz and .bz2 are \
                  decompressed. Documents (.docx, .html, .srt, .po, ...) keep their format; without -o the translation \
                  of report.docx into de is report.de.docx beside it."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// Files to translate, - for standard input [default: standard input]
    files: Vec<PathBuf>,
    /// Language to translate into
    #[arg(long, value_name = "LANG")]
    to: String,
    /// Language of the text; models that see the target language alone only check it
    #[arg(long, value_name = "LANG")]
    from: Option<String>,
    /// Take each line for one sentence, as corpora have them, and the model's translation as it is
    #[arg(long)]
    whole_lines: bool,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    forced: Forced,
    #[command(flatten)]
    search: SearchArgs,
}

/// Where translations go, and what is printed with them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output options")]
struct Format {
    /// File for the translations, which appears when all lines are translated [default: standard output; for documents,
    /// beside each], or a folder for several documents
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Print N translations of each line, as `LINE ||| TRANSLATION ||| SCORE`, lines from 0
    #[arg(long, value_name = "N")]
    nbest: Option<usize>,
    /// Print each translation's score before it, separated by a tab; --nbest and --json have scores anyway
    #[arg(long, conflicts_with_all = ["nbest", "json"])]
    scores: bool,
    /// Print word alignments after each translation, as `||| 0-0 1-2`: source word - target word, from 0
    #[arg(long)]
    alignments: bool,
    /// Print a JSON object for each line
    #[arg(long)]
    json: bool,
}

/// The words that translations must and must not have.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Constraints")]
struct Forced {
    /// File of `term=translation` lines: a line with the term must have its translation
    // Clap drops a requirement (`--top-p` needs `--sample`) that conflicts with what is given, so all are named.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sample", "temperature", "top_k", "top_p", "seed"])]
    glossary: Option<PathBuf>,
    /// File with the beginning of each translation, line by line
    #[arg(long, value_name = "FILE")]
    prefixes: Option<PathBuf>,
    /// Never produce this subword, written as --json shows it; repeatable
    #[arg(long, value_name = "PIECE")]
    suppress: Vec<String>,
}

/// Lines translated together at most. They are sorted by length, so that more lines make more even batches.
const WINDOW: usize = 2048;
/// Longest line in bytes; longer ones are reported.
const MOST_BYTES: usize = 1 << 20;
/// Bytes without a line end after which an input is no text.
const MOST_SKIPPED: u64 = 1 << 30;
/// How long to wait for more lines before translating what is there.
const PATIENCE: Duration = Duration::from_millis(20);

/// A line of input: its place, and its text or what is wrong with it.
struct Line {
    place: String,
    text: Result<String, String>,
    /// What stands around the text where translations are written as text: a byte order mark, the line's end.
    around: [&'static str; 2],
}

/// A byte order mark.
const MARK: &str = "\u{feff}";

/// A line of `--json`.
#[derive(Serialize)]
struct JsonLine<'a> {
    line: u64,
    source: &'a str,
    translations: Vec<Scored<'a>>,
    /// Why there is no translation.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// What the best translation seems to lack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Scored<'a> {
    text: &'a str,
    score: f32,
    #[serde(skip_serializing_if = "<[Token]>::is_empty")]
    tokens: &'a [Token],
    #[serde(skip_serializing_if = "<[(u32, u32)]>::is_empty")]
    alignment: &'a [(u32, u32)],
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut options = arguments.search.options()?;
    let (search, forced) = (&mut options.search, &arguments.forced);
    (search.nbest, search.alignments) = (arguments.format.nbest.unwrap_or(1), arguments.format.alignments);
    search_args::check(search)?;
    search.beam = search.beam.max(search.nbest);
    options.glossary = forced.glossary.as_deref().map(Glossary::read).transpose()?.map(Arc::new);
    options.suppress.clone_from(&forced.suppress);
    options.whole_lines = arguments.whole_lines;
    if arguments.files.iter().any(|file| document::is_document(file)) {
        return document::run(arguments, options, terminal);
    }
    let prefixes = match &forced.prefixes {
        Some(path) => crate::text_files::lines(path)?,
        None => Vec::new(),
    };
    let inputs = open(&arguments.files)?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.search.place))?;
    translator.check_direction(arguments.from.as_deref(), &arguments.to)?;
    let same = arguments.from.as_ref() == Some(&arguments.to);
    let learned =
        translator.languages().directions.iter().any(|d| d.source == arguments.to && d.target == arguments.to);
    anyhow::ensure!(!same || learned, "--from {0} --to {0}: name two languages", arguments.to);
    let mut output = Output::open(arguments)?;
    let (sender, lines) = sync_channel(WINDOW);
    let whole_lines = arguments.whole_lines;
    std::thread::spawn(move || {
        for (number, (name, input)) in inputs.into_iter().enumerate() {
            let take = &mut |mut line: anyhow::Result<Line>| {
                if let Ok(line) = &mut line {
                    // Only at the start of a text is a byte order mark one; corpora have neither that nor other ends.
                    line.around[0] = if number > 0 || whole_lines { "" } else { line.around[0] };
                    line.around[1] = if whole_lines { "\n" } else { line.around[1] };
                }
                sender.send(line).is_ok()
            };
            if read_lines(&name, input, take).is_none() {
                return;
            }
        }
    });
    let (mut done, mut failed, mut short) = (0u64, 0u64, 0u64);
    while let Some(window) = next_window(&lines)? {
        let texts: Vec<Text> = window
            .iter()
            .enumerate()
            .map(|(i, line)| Text {
                text: line.text.as_deref().unwrap_or(""),
                prefix: prefixes.get(done as usize + i).map_or("", String::as_str),
            })
            .collect();
        let translations = translator.translate_lines(&texts, arguments.from.as_deref(), &arguments.to, &options)?;
        for (line, translated) in window.iter().zip(&translations) {
            if let Err(fault) = &line.text {
                failed += 1;
                terminal.warn(&format!("{}: {fault}; its translation is an empty line", line.place));
            }
            if let Some(shortfall) = translated.shortfall {
                short += 1;
                terminal.warn(&format!("{}: {shortfall}", line.place));
            }
            write_line(output.writer(), done, line, translated, &arguments.format)
                .context("cannot write the translations")?;
            done += 1;
        }
        output.writer().flush().context("cannot write the translations")?;
        terminal.progress(&labeled("translating", &format!("{} lines", thousands(done))));
    }
    output.finish()?;
    terminal.detail(&labeled("translated", &format!("{} lines", thousands(done))));
    terminal.progress("");
    if failed > 0 {
        terminal.warn(&format!("{} of {} lines could not be translated", thousands(failed), thousands(done)));
    }
    Ok(if failed + short > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

/// Where translations go.
enum Output {
    Standard(BufWriter<std::io::Stdout>),
    /// It appears under its name when all lines are translated.
    File(OutputFile),
}

impl Output {
    fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let Some(path) = &arguments.format.output else {
            return Ok(Self::Standard(BufWriter::new(output::stdout()?)));
        };
        let is_input = |file: &PathBuf| file.canonicalize().ok().is_some_and(|f| path.canonicalize().ok() == Some(f));
        anyhow::ensure!(!arguments.files.iter().any(is_input), "{} is also an input; choose another", path.display());
        Ok(Self::File(OutputFile::create(path)?))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Standard(out) => out,
            Self::File(out) => out,
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Standard(mut out) => out.flush().context("cannot write the translations"),
            Self::File(out) => Ok(out.commit()?),
        }
    }
}

type Input = (String, Box<dyn BufRead + Send>);

/// Opens all inputs before anything is translated, so that a missing one is reported at once.
fn open(files: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    if files.is_empty() {
        return Ok(vec![("standard input".to_string(), Box::new(BufReader::new(std::io::stdin())))]);
    }
    let open = |path: &PathBuf| -> anyhow::Result<Input> {
        if path == Path::new("-") {
            return Ok(("standard input".to_string(), Box::new(BufReader::new(std::io::stdin()))));
        }
        let name = path.display().to_string();
        anyhow::ensure!(!path.is_dir(), "cannot read {name}: it is a folder");
        Ok((name, strata_corpus::text::open(path)?))
    };
    files.iter().map(open).collect()
}

/// Hands each line to `take`; `None` once `take` wants no more.
fn read_lines(
    name: &str,
    mut input: Box<dyn BufRead + Send>,
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
        let mut around = ["", "\n"];
        let text = text.and_then(|mut bytes| {
            if number == 1 && bytes.starts_with(MARK.as_bytes()) {
                bytes.drain(..MARK.len());
                around[0] = MARK;
            }
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
                around[1] = "\r\n";
            }
            String::from_utf8(bytes)
                .map_err(|e| format!("not valid UTF-8 (byte {} of the line)", e.utf8_error().valid_up_to() + 1))
        });
        if !take(Ok(Line { place, text, around })) {
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

/// Waits for a line, then takes the lines that follow within [`PATIENCE`].
fn next_window(lines: &Receiver<anyhow::Result<Line>>) -> anyhow::Result<Option<Vec<Line>>> {
    let Ok(first) = lines.recv() else { return Ok(None) };
    let mut window = vec![first?];
    while window.len() < WINDOW {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => window.push(line?),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(Some(window))
}

fn write_line(
    output: &mut dyn Write,
    number: u64,
    line: &Line,
    found: &Translated,
    format: &Format,
) -> anyhow::Result<()> {
    let candidates = &found.candidates;
    if format.json {
        let scored = |c| -> Scored {
            let Candidate { text, score, tokens, alignment, .. }: &Candidate = c;
            Scored { text, score: *score, tokens, alignment }
        };
        let translated = JsonLine {
            line: number + 1,
            source: line.text.as_deref().unwrap_or(""),
            translations: if line.text.is_ok() { candidates.iter().map(scored).collect() } else { Vec::new() },
            error: line.text.as_ref().err().map(String::as_str),
            warnings: found.shortfall.iter().map(ToString::to_string).collect(),
        };
        writeln!(output, "{}", serde_json::to_string(&translated)?)?;
    } else if format.nbest.is_some() {
        for candidate in candidates {
            let aligned = aligned(candidate, format);
            writeln!(output, "{number} ||| {} ||| {:.4}{aligned}", candidate.text, candidate.score)?;
        }
    } else if let Some(best) = candidates.first() {
        let aligned = aligned(best, format);
        if format.scores {
            writeln!(output, "{:.4}\t{}{aligned}", best.score, best.text)?;
        } else if format.alignments {
            writeln!(output, "{}{aligned}", best.text)?;
        } else {
            let [before, behind] = line.around;
            write!(output, "{before}{}{behind}", best.text)?;
        }
    }
    Ok(())
}

/// ` ||| 0-0 1-2` with `--alignments`.
fn aligned(candidate: &Candidate, format: &Format) -> String {
    if !format.alignments {
        return String::new();
    }
    let pairs: Vec<String> = candidate.alignment.iter().map(|(s, t)| format!("{s}-{t}")).collect();
    format!(" ||| {}", pairs.join(" "))
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
            let Line { text, around, .. } = line.unwrap();
            found.push((text.unwrap(), around));
            true
        };
        read_lines("x", Box::new("\u{feff}one\r\ntwo\n\u{feff}\r\nlast".as_bytes()), take);
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
