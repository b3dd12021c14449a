//! `strata translate`: one line in, one line out, in order; documents in their formats.

mod document;
mod input;

use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};
use strata_corpus::text::{Compressor, compressed};
use strata_files::{OutputFile, thousands};
use strata_ranks::Ranks;
use strata_translate::{
    Candidate, Glossary, Line as Text, Placement, Tally, Token, TranslateOptions, Translated, Translator,
};

use self::input::{Inputs, Line, Windows};
use crate::ranks::sharing_lines;
use crate::search_args::{self, SearchArgs};
use crate::shared_lines::in_windows;
use crate::terminal::{Terminal, Warnings, labeled};
use crate::ticking::while_working;
use crate::{Outcome, model, output};

/// Translate lines of text, and documents
#[derive(Debug, Args)]
#[command(
    after_help = "A line may be a sentence or a paragraph: it is translated sentence by sentence, and what is between the \
                  sentences stays as it is. Web addresses, file names, placeholders, emoji and words that the model \
                  cannot know are copied. A translation that seems to leave something out is tried again in pieces; \
                  what stays short is reported by its line, with exit code 1. Files named .gz, .zst, .xz and .bz2 are \
                  decompressed, and so is standard input. Translations of lines are UTF-8, whatever the lines' encoding. Documents (.docx, \
                  .html, .srt, .po, ...) keep their format and encoding; without -o the translation of report.docx \
                  into de is report.de.docx beside it.\n\n\
                  mpirun -n 4 strata translate MODEL --to LANG < FILE shares the lines out among 4 processes, and \
                  documents whole; the output is that of one process (docs/cluster.md)."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// Files to translate, - for standard input [default: standard input]
    files: Vec<PathBuf>,
    /// Language to translate into
    #[arg(long, value_name = "LANG")]
    to: String,
    /// Language of the text, for models that read it from a tag; others only check it
    #[arg(long, value_name = "LANG")]
    from: Option<String>,
    /// Take each line for one sentence, as corpora have them, and the model's translation as it is
    #[arg(long)]
    whole_lines: bool,
    /// Encoding of the text, such as latin1, windows-1251 or shift_jis [default: UTF-8 or UTF-16, as its bytes show]
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    encoding: Option<&'static Encoding>,
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
    /// File for the translations, which appears when all lines are translated, compressed if named .gz, .zst, .xz or
    /// .bz2 [default: standard output; for documents, beside each], or a folder for several documents
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace translations of documents that lie beside them or in the folder
    #[arg(long)]
    overwrite: bool,
    /// Print N translations of each line, the best first, as `LINE ||| TRANSLATION ||| SCORE`, lines from 0
    #[arg(long, value_name = "N", value_parser = crate::flags::count)]
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
    /// File of `term=translation` lines, also compressed: a line with the term must have its translation
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

/// What a rank made of its lines.
#[derive(Default, Serialize, Deserialize)]
struct Made {
    /// What is printed.
    text: String,
    warnings: Vec<String>,
    lines: u64,
    /// Lines that could not be translated.
    failed: u64,
    /// Lines whose translation lacks something.
    short: u64,
}

pub fn run(arguments: &Arguments, threads: usize, terminal: &Terminal) -> anyhow::Result<Outcome> {
    sharing_lines(threads, terminal, |ranks, terminal| {
        let options = options(arguments)?;
        if arguments.files.iter().any(|file| document::is_document(file)) {
            document::run(arguments, options, ranks, terminal)
        } else {
            lines(arguments, &options, ranks, terminal)
        }
    })
}

/// The encoding of a name that the web knows.
fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label_no_replacement(name.as_bytes()).ok_or_else(|| {
        "no encoding of this name; there are utf-8, utf-16le, latin1, windows-1252, koi8-r, gbk, ...".into()
    })
}

/// How to translate.
fn options(arguments: &Arguments) -> anyhow::Result<TranslateOptions> {
    let mut options = arguments.search.options()?;
    let (search, forced) = (&mut options.search, &arguments.forced);
    (search.nbest, search.alignments) = (arguments.format.nbest.unwrap_or(1), arguments.format.alignments);
    search_args::check(search)?;
    search.beam = search.beam.max(search.nbest);
    options.glossary = forced.glossary.as_deref().map(Glossary::read).transpose()?.map(Arc::new);
    options.suppress.clone_from(&forced.suppress);
    options.whole_lines = arguments.whole_lines;
    Ok(options)
}

/// Translates while the terminal shows what is `done`, and how many `sentences` are translated of what comes `next`.
fn shown<R>(terminal: &Terminal, sentences: &Tally, [done, next]: [&str; 2], work: impl FnOnce() -> R) -> R {
    if !terminal.rewrites() {
        return work();
    }
    let before = sentences.count();
    let show = || {
        let count = thousands(sentences.count() - before);
        terminal.progress(&labeled("translating", &format!("{done}, and {count} sentences of the next {next}")));
    };
    while_working(show, work)
}

/// Translates lines, of which each rank takes a part. Rank 0 alone reads and writes.
fn lines(
    arguments: &Arguments,
    options: &TranslateOptions,
    ranks: &Ranks,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    // Before a model is loaded, so that a file that is missing is reported at once.
    let inputs = ranks
        .is_first()
        .then(|| Inputs::open(&arguments.files, arguments.forced.prefixes.as_deref(), arguments.encoding));
    let inputs = inputs.transpose()?;
    let translator = Translator::open(&arguments.model, &Placement::from(&arguments.search.place))?;
    translator.check_direction(arguments.from.as_deref(), &arguments.to)?;
    if ranks.is_first() {
        model::warn_of_direction(&translator, arguments.from.as_deref(), &arguments.to, terminal);
    }
    let mut output = ranks.is_first().then(|| Output::open(arguments)).transpose()?;
    let mut windows = inputs.map(|inputs| inputs.windows(ranks.size()));
    let mut all = Made::default();
    let next = || windows.as_mut().map_or(Ok(None), Windows::next_window);
    let tally = Tally::default();
    let options = &TranslateOptions { tally: Some(tally.clone()), ..options.clone() };
    let work = |first: usize, lines: &[Line]| {
        let (done, next) = (thousands(first as u64), thousands(lines.len() as u64));
        let (done, next) = (format!("{done} lines done"), format!("{next} lines"));
        let work = || translated(first as u64, lines, &translator, arguments, options);
        shown(terminal, &tally, [&done, &next], work)
    };
    let mut warnings = Warnings::default();
    in_windows(ranks, next, work, |made: Made| {
        made.warnings.iter().for_each(|warning| warnings.add(warning, terminal));
        all.lines += made.lines;
        all.failed += made.failed;
        all.short += made.short;
        if let Some(output) = &mut output {
            output.write(made.text.as_bytes()).context("cannot write the translations")?;
        }
        terminal.progress(&labeled("translating", &format!("{} lines", thousands(all.lines))));
        Ok(())
    })?;
    if let Some(output) = output {
        output.finish()?;
    }
    terminal.detail(&labeled("translated", &format!("{} lines", thousands(all.lines))));
    terminal.progress("");
    if all.failed > 0 {
        terminal.warn(&format!("{} of {} lines could not be translated", thousands(all.failed), thousands(all.lines)));
    }
    if warnings.are_cut() && all.short > 0 {
        let marked = if arguments.format.json { "their warnings say which" } else { "--json marks them" };
        let (short, lines) = (thousands(all.short), thousands(all.lines));
        terminal.warn(&format!("{short} of {lines} translations may lack text; {marked}"));
    }
    Ok(if all.failed + all.short > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

/// Translates lines, of which the first is number `first`, from 0.
fn translated(
    first: u64,
    lines: &[Line],
    translator: &Translator,
    arguments: &Arguments,
    options: &TranslateOptions,
) -> anyhow::Result<Made> {
    let texts: Vec<Text> = lines.iter().map(|line| Text { text: line.as_ref(), prefix: &line.prefix }).collect();
    let translations = translator.translate_lines(&texts, arguments.from.as_deref(), &arguments.to, options)?;
    let mut made = Made { lines: lines.len() as u64, ..Made::default() };
    for ((number, line), translated) in (first..).zip(lines).zip(&translations) {
        if let Err(fault) = &line.text {
            made.failed += 1;
            made.warnings.push(format!("{}: {fault}; its translation is an empty line", line.place));
        }
        if let Some(shortfall) = translated.shortfall {
            made.short += 1;
            made.warnings.push(format!("{}: {shortfall}", line.place));
        }
        // Corpora have neither marks nor other ends.
        let around = if arguments.whole_lines { ["", "\n"] } else { line.around() };
        write_line(&mut made.text, number, (line, around), translated, &arguments.format)?;
    }
    Ok(made)
}

/// Where translations go.
enum Output {
    Standard(BufWriter<std::io::Stdout>),
    /// It appears under its name when all lines are translated.
    File(Box<Compressor<OutputFile>>),
}

impl Output {
    fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let Some(path) = &arguments.format.output else {
            return Ok(Self::Standard(BufWriter::new(output::stdout()?)));
        };
        let is_input = |file: &PathBuf| file.canonicalize().ok().is_some_and(|f| path.canonicalize().ok() == Some(f));
        anyhow::ensure!(!arguments.files.iter().any(is_input), "{} is also an input; choose another", path.display());
        Ok(Self::File(Box::new(compressed(path, OutputFile::create(path)?)?)))
    }

    fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        let out: &mut dyn Write = match self {
            Self::Standard(out) => out,
            Self::File(out) => out,
        };
        out.write_all(text)?;
        out.flush()
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Standard(mut out) => out.flush().context("cannot write the translations"),
            Self::File(out) => Ok(out.finish().context("cannot write the translations")?.commit()?),
        }
    }
}

fn write_line(
    output: &mut String,
    number: u64,
    (line, [before, end]): (&Line, [&str; 2]),
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
            write!(output, "{before}{}{end}", best.text)?;
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
