//! `strata translate`: one line in, one line out, in order.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use strata_translate::{
    Candidate, Glossary, Line as Text, More, Options, Placement, Sampling, Token, Translator, VocabularyMap,
};

use crate::Outcome;
use crate::terminal::{Terminal, labelled, thousands};

#[derive(Debug, Args)]
#[command(
    after_help = "A line is a sentence; empty lines stay empty; a line that is too long for the model is translated in \
                        parts, cut at sentence ends. Examples:\n  \
                        echo 'Click the icon.' | strata translate runs/quickstart --to de\n  \
                        strata translate runs/quickstart --to de --output out.de in.en\n  \
                        strata translate runs/quickstart --to de --nbest 5 in.en     (line ||| translation ||| score)\n  \
                        strata translate runs/quickstart --to de --glossary terms.txt in.en     (lines of term=translation)\n  \
                        strata translate runs/quickstart --to de --sample --temperature 0.8 --top-p 0.9 in.en"
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: PathBuf,
    /// Files to translate; standard input by default
    files: Vec<PathBuf>,
    /// Language to translate into
    #[arg(long, value_name = "LANG")]
    to: String,
    /// Language of the text; only checked, as the model sees the target language alone
    #[arg(long, value_name = "LANG")]
    from: Option<String>,
    /// File for the translations; standard output by default
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    search: Search,
    /// Print this many translations of each line, as `LINE ||| TRANSLATION ||| SCORE`
    #[arg(long, value_name = "N")]
    nbest: Option<usize>,
    /// Print each translation's score before it, with a tab between
    #[arg(long)]
    scores: bool,
    /// Print word alignments behind each translation, as `||| 0-0 1-2`: source word - target word, from 0
    #[arg(long)]
    alignments: bool,
    #[command(flatten)]
    finer: Finer,
    /// Print a JSON object for each line
    #[arg(long)]
    json: bool,
}

/// What translations may look like; on the CPU only. Lengths are in subwords, the end mark included.
#[derive(Clone, Debug, Args)]
struct Finer {
    /// Shortest translation
    #[arg(long, default_value_t = 0, value_name = "N")]
    min_length: usize,
    /// Longest translation [default: 2 x source + 20]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// No sequence of N subwords twice in a translation; 0 = off
    #[arg(long, default_value_t = 0, value_name = "N")]
    no_repeat_ngram: usize,
    /// Weight of the penalty on source words that are not translated (Wu et al., 2016); 0 = off
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    coverage_penalty: f32,
    /// File of `term=translation` lines: where a term is in a line, its translation must be in the line's translation
    #[arg(long, value_name = "FILE")]
    glossary: Option<PathBuf>,
    /// File whose lines the translations begin with, line by line
    #[arg(long, value_name = "FILE")]
    prefixes: Option<PathBuf>,
    /// A subword that translations never have, written as --json shows it; may be given several times
    #[arg(long, value_name = "PIECE")]
    suppress: Vec<String>,
    /// Draw translations at random instead of searching for the best; the same seed draws the same
    #[arg(long, conflicts_with = "glossary")]
    sample: bool,
    /// Logits are divided by this before drawing
    #[arg(long, default_value_t = 1.0, requires = "sample", value_name = "X")]
    temperature: f32,
    /// Draw from the N most probable subwords only; 0 = all
    #[arg(long, default_value_t = 0, requires = "sample", value_name = "N")]
    top_k: usize,
    /// Draw from the most probable subwords that together reach this probability
    #[arg(long, default_value_t = 1.0, requires = "sample", value_name = "P")]
    top_p: f32,
    /// Seed of the drawing
    #[arg(long, default_value_t = 1, requires = "sample")]
    seed: u64,
}

impl Finer {
    fn set(&self, more: &mut More, alignment: bool) -> anyhow::Result<()> {
        let Self { temperature, top_k, top_p, seed, .. } = *self;
        more.max_length = self.max_length;
        more.min_length = self.min_length;
        more.no_repeat_ngram = self.no_repeat_ngram;
        more.coverage_penalty = self.coverage_penalty;
        more.sampling = self.sample.then_some(Sampling { temperature, top_k, top_p, seed });
        more.glossary = self.glossary.as_deref().map(Glossary::read).transpose()?.map(Arc::new);
        more.suppressed.clone_from(&self.suppress);
        more.alignment = alignment;
        Ok(())
    }
}

/// How to search; of `translate`, `evaluate` and `score`.
#[derive(Clone, Debug, Args)]
pub struct Search {
    /// Hypotheses kept by beam search; 1 is greedy
    #[arg(long, default_value_t = 5)]
    pub beam: usize,
    /// Scores are divided by length^this
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub length_penalty: f32,
    /// Source subwords translated together
    #[arg(long, default_value_t = 4096, value_name = "N")]
    pub tokens_per_batch: usize,
    /// Compute only the subwords that the training text has in the target language: a map that `strata vocabulary` wrote
    #[arg(long, value_name = "FILE")]
    pub vocabulary_map: Option<PathBuf>,
    #[command(flatten)]
    pub place: Place,
}

/// Where and how to run a model.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// cpu, wgpu, cuda:0, ...
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Compute with 8-bit integers: faster on the CPU, with nearly the same translations
    #[arg(long)]
    pub int8: bool,
    /// Batches worked on side by side, each with its share of the threads; 0 = as many as there are sentences enough for
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = workers)]
    pub workers: usize,
}

fn workers(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (0..=1024).contains(count));
    count.ok_or_else(|| "choose 0 to 1024".to_string())
}

impl Place {
    /// As the library takes it.
    pub fn placement(&self) -> Placement {
        Placement { device: self.device.clone(), int8: self.int8, workers: self.workers }
    }
}

impl Search {
    /// As the library takes it.
    pub fn options(&self) -> anyhow::Result<Options> {
        anyhow::ensure!((1..=1024).contains(&self.beam), "--beam {}: choose 1 to 1024", self.beam);
        anyhow::ensure!(self.length_penalty.is_finite(), "--length-penalty must be a number");
        let map = self.vocabulary_map.as_deref().map(VocabularyMap::read).transpose()?;
        Ok(Options {
            beam: self.beam,
            length_penalty: self.length_penalty,
            tokens_per_batch: self.tokens_per_batch,
            more: More { vocabulary: map.map(Arc::new), ..More::default() },
            ..Options::default()
        })
    }
}

/// Lines that are translated together at most; their lengths are sorted, so more lines make evener batches.
const WINDOW: usize = 2048;
/// How long to wait for more lines before what is there is translated.
const PATIENCE: Duration = Duration::from_millis(20);

/// A line of input: where it is from, and its text or what is wrong with it.
struct Line {
    place: String,
    text: Result<String, String>,
}

/// A line of `--json`.
#[derive(Serialize)]
struct Translated<'a> {
    line: u64,
    source: &'a str,
    translations: Vec<Scored<'a>>,
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
    options.nbest = arguments.nbest.unwrap_or(1);
    anyhow::ensure!((1..=1024).contains(&options.nbest), "--nbest {}: choose 1 to 1024", options.nbest);
    options.beam = options.beam.max(options.nbest);
    arguments.finer.set(&mut options.more, arguments.alignments)?;
    let prefixes = match &arguments.finer.prefixes {
        Some(path) => crate::evaluate::lines(path)?,
        None => Vec::new(),
    };
    let inputs = open(&arguments.files)?;
    let translator = Translator::open(&arguments.model, &arguments.search.place.placement())?;
    translator.check_direction(arguments.from.as_deref(), &arguments.to)?;
    let mut output: Box<dyn Write> = match &arguments.output {
        Some(path) => {
            let is_input =
                |file: &PathBuf| file.canonicalize().ok().is_some_and(|f| path.canonicalize().ok() == Some(f));
            anyhow::ensure!(
                !arguments.files.iter().any(is_input),
                "{} is also an input; choose another",
                path.display()
            );
            Box::new(BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?))
        }
        None => Box::new(BufWriter::new(std::io::stdout())),
    };
    let (sender, lines) = sync_channel(WINDOW);
    std::thread::spawn(move || {
        for (name, input) in inputs {
            if read_lines(&name, input, &mut |line| sender.send(line).is_ok()).is_none() {
                return;
            }
        }
    });
    let (mut done, mut failed) = (0u64, 0u64);
    while let Some(window) = next_window(&lines)? {
        let texts: Vec<Text> = window
            .iter()
            .enumerate()
            .map(|(i, line)| Text {
                text: line.text.as_deref().unwrap_or(""),
                prefix: prefixes.get(done as usize + i).map_or("", String::as_str),
            })
            .collect();
        let translations = translator.translate_lines(&texts, &arguments.to, &options)?;
        for (line, candidates) in window.iter().zip(&translations) {
            if let Err(fault) = &line.text {
                failed += 1;
                terminal.warn(&format!("{}: {fault}; its translation is an empty line", line.place));
            }
            write_line(&mut output, done, line, candidates, arguments).context("cannot write the translations")?;
            done += 1;
        }
        output.flush().context("cannot write the translations")?;
        terminal.progress(&labelled("translating", &format!("{} lines", thousands(done))));
    }
    terminal.detail(&labelled("translated", &format!("{} lines", thousands(done))));
    terminal.progress("");
    if failed > 0 {
        terminal.warn(&format!("{} of {} lines could not be translated", thousands(failed), thousands(done)));
        return Ok(Outcome::SomeFailed);
    }
    Ok(Outcome::Done)
}

type Input = (String, Box<dyn Read + Send>);

/// Opens all inputs before anything is translated, so that a missing one is known at once.
fn open(files: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    if files.is_empty() {
        return Ok(vec![("standard input".to_string(), Box::new(std::io::stdin()))]);
    }
    let open = |path: &PathBuf| -> anyhow::Result<Input> {
        if path == Path::new("-") {
            return Ok(("standard input".to_string(), Box::new(std::io::stdin())));
        }
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        anyhow::ensure!(!file.metadata().is_ok_and(|m| m.is_dir()), "cannot read {name}: it is a folder");
        Ok((name, Box::new(file)))
    };
    files.iter().map(open).collect()
}

/// Hands each line on; `None` when nobody takes them any more.
fn read_lines(
    name: &str,
    input: Box<dyn Read + Send>,
    take: &mut dyn FnMut(anyhow::Result<Line>) -> bool,
) -> Option<()> {
    let mut input = BufReader::new(input);
    for number in 1u64.. {
        let place = format!("{name}, line {number}");
        let mut bytes = Vec::new();
        match input.read_until(b'\n', &mut bytes) {
            Ok(0) => return Some(()),
            Ok(_) => {}
            Err(error) => {
                take(Err(anyhow::Error::new(error).context(format!("cannot read {place}"))));
                return None;
            }
        }
        while bytes.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
            bytes.pop();
        }
        let text = String::from_utf8(bytes)
            .map_err(|e| format!("not valid UTF-8 (byte {} of the line)", e.utf8_error().valid_up_to() + 1));
        if !take(Ok(Line { place, text })) {
            return None;
        }
    }
    Some(())
}

/// Waits for a line, then takes what follows without much waiting.
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
    candidates: &[Candidate],
    arguments: &Arguments,
) -> anyhow::Result<()> {
    if arguments.json {
        let scored = |c| -> Scored {
            let Candidate { text, score, tokens, alignment, .. }: &Candidate = c;
            Scored { text, score: *score, tokens, alignment }
        };
        let translated = Translated {
            line: number + 1,
            source: line.text.as_deref().unwrap_or(""),
            translations: candidates.iter().map(scored).collect(),
        };
        writeln!(output, "{}", serde_json::to_string(&translated)?)?;
    } else if arguments.nbest.is_some() {
        for candidate in candidates {
            let aligned = aligned(candidate, arguments);
            writeln!(output, "{number} ||| {} ||| {:.4}{aligned}", candidate.text, candidate.score)?;
        }
    } else if let Some(best) = candidates.first() {
        let aligned = aligned(best, arguments);
        if arguments.scores {
            writeln!(output, "{:.4}\t{}{aligned}", best.score, best.text)?;
        } else {
            writeln!(output, "{}{aligned}", best.text)?;
        }
    }
    Ok(())
}

/// ` ||| 0-0 1-2` where alignments are asked for.
fn aligned(candidate: &Candidate, arguments: &Arguments) -> String {
    if !arguments.alignments {
        return String::new();
    }
    let pairs: Vec<String> = candidate.alignment.iter().map(|(s, t)| format!("{s}-{t}")).collect();
    format!(" ||| {}", pairs.join(" "))
}
