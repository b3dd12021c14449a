//! `strata bench training`: training steps at several shapes, beside another program if there is one.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use strata_simd::Level;

use crate::Outcome;
use crate::memory::peak_memory;
use crate::output::{print, print_json};
use crate::terminal::Terminal;

/// The shapes by name: what they are, and their flags for `strata bench train-step`.
const SHAPES: [(&str, &str, &str); 6] = [
    ("A", "dense, 3+3 layers, d 512", "--strata="),
    ("B", "SMoE-4-4, otherwise as A", "--strata=4,4"),
    ("C", "SMoE-2-2-2-2, otherwise as A", "--strata=2,2,2,2"),
    ("D", "MoE of 64 experts, d 256", "--strata=64 --d-model=256 --d-ffn=1024 --batch=64"),
    (REAL, "SMoE-4-4, d 256, real lengths", "--strata=4,4 --d-model=256 --d-ffn=1024 --heads=4"),
    (
        "F",
        "SMoE-4-12, 2+2 layers, d 1024",
        "--strata=4,12 --layers=2 --d-model=1024 --d-ffn=4096 --heads=16 --vocab=32000",
    ),
];

/// The shape that is timed on a corpus.
const REAL: &str = "E";

/// Time training steps at several shapes and print a table, beside another program if one is named
#[derive(Debug, Args)]
#[command(
    after_help = "Prints best and median tokens per second, FLOP/s and their share of this processor's f32 peak, peak \
                  memory and page faults."
)]
pub struct Arguments {
    /// Prepared folder for shape E. The other program gets random batches with as many sentences, as long as the mean
    /// longest one of a batch; of its tokens only the share that would be text counts
    data: Option<PathBuf>,
    /// Shapes to time, comma-separated: A dense, B SMoE-4-4, C SMoE-2-2-2-2 (3+3 layers, d 512), D MoE-64 (d 256),
    /// E SMoE-4-4 (d 256) on the batches of DATA, F SMoE-4-12 (2+2 layers, d 1024)
    #[arg(long, value_delimiter = ',', default_value = "A,B,C,D,F", value_name = "NAMES")]
    shapes: Vec<String>,
    /// Rounds; each times every shape once
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Timed steps of a shape in a round, after two warm-ups
    #[arg(long, default_value_t = 6, value_name = "N")]
    steps: usize,
    /// Another program with the flags and JSON keys of `bench train-step`, timed in turn: a program and its arguments
    #[arg(long, value_name = "COMMAND")]
    peer: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Times of one program at one shape.
#[derive(Debug, Default, Serialize)]
struct Times {
    /// Tokens per second of the fastest step of all.
    best: f64,
    /// Of the median step of each turn.
    medians: Vec<f64>,
    /// The most memory of any turn; 0 where the system does not say.
    peak_bytes: u64,
    /// Of the fastest turn, if the program says so.
    flops_per_second: Option<f64>,
    /// Of the last turn, likewise.
    page_faults_per_step: Option<f64>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    shape: &'static str,
    what: &'static str,
    /// For `strata bench train-step`.
    #[serde(skip)]
    flags: &'static str,
    strata: Times,
    peer: Option<Times>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
struct Report {
    threads: usize,
    /// FLOP/s of this processor's f32 multiply-adds, the most that was seen.
    f32_peak: f64,
    shapes: Vec<Row>,
}

pub fn run(a: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let threads = rayon::current_num_threads();
    let peer: Option<Vec<&str>> = a.peer.as_deref().map(|peer| peer.split_whitespace().collect());
    ensure!(peer.as_ref().is_none_or(|words| !words.is_empty()), "--peer: name a program");
    let mut rows = Vec::new();
    for name in &a.shapes {
        let found = SHAPES.iter().find(|(shape, ..)| shape.eq_ignore_ascii_case(name));
        let &(shape, what, flags) =
            found.with_context(|| format!("--shapes {name}: choose among {}", SHAPES.map(|s| s.0).join(", ")))?;
        ensure!(shape != REAL || a.data.is_some(), "--shapes {REAL}: name a prepared folder");
        rows.push(Row { shape, what, flags, strata: Times::default(), peer: peer.as_ref().map(|_| Times::default()) });
    }
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut f32_peak = 0f64;
    for round in 1..=a.rounds {
        f32_peak = f32_peak.max(strata_simd::peak::f32_peak(Level::current(), threads));
        for row in &mut rows {
            terminal.progress(&format!("round {round} of {}: shape {}", a.rounds, row.shape));
            let flags: Vec<String> = [format!("--threads={threads}"), format!("--steps={}", a.steps)]
                .into_iter()
                .chain(row.flags.split(' ').map(ToString::to_string))
                .collect();
            let mut ours = Command::new(&program);
            ours.args(["bench", "train-step"]).args(&flags);
            let data = a.data.as_ref().filter(|_| row.shape == REAL);
            ours.args(data);
            let said = row.strata.add(&mut ours, 1.0)?;
            if let (Some(words), Some(times)) = (&peer, &mut row.peer) {
                let mut theirs = Command::new(words[0]);
                theirs.args(&words[1..]).args(&flags);
                let figure = |key: &str| said[key].as_f64().unwrap_or(1.0);
                if data.is_some() {
                    let (batch, length) = (figure("sentences_per_step").round(), figure("padded_length").round());
                    theirs.args([format!("--batch={batch}"), format!("--length={length}")]);
                    theirs.arg(format!("--vocab={}", said["vocab"]));
                }
                // Strata tells malloc to keep its pages; a peer must not lose for want of that.
                theirs.env("MALLOC_TOP_PAD_", (1u64 << 30).to_string());
                theirs.env("MALLOC_TRIM_THRESHOLD_", (1u64 << 32).to_string()).env("MALLOC_MMAP_MAX_", "0");
                times.add(&mut theirs, if data.is_some() { figure("text_share") } else { 1.0 })?;
            }
        }
    }
    let report = Report { threads, f32_peak, shapes: rows };
    if a.json {
        print_json(&report)?;
    } else {
        print(&table(&report))?;
    }
    Ok(Outcome::Done)
}

impl Times {
    /// Runs a program to its end and takes its figures, of its tokens the given share only. Gives what it said.
    fn add(&mut self, command: &mut Command, share: f64) -> anyhow::Result<Value> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let id = child.id();
        let done = std::sync::atomic::AtomicBool::new(false);
        let (output, peak) = std::thread::scope(|scope| {
            // The system keeps the highest mark, but only while the process lives.
            let watch = scope.spawn(|| {
                let mut peak = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    peak = peak_memory(id).unwrap_or(0).max(peak);
                    std::thread::sleep(Duration::from_millis(50));
                }
                peak
            });
            let output = read_all(&mut child);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            (output, watch.join().unwrap_or(0))
        });
        let (status, text, errors) = output.with_context(|| format!("cannot read from {name}"))?;
        if !status.success() {
            let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            bail!("{name} ended with {status}: {last}");
        }
        let line = text.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
        let said: Value = serde_json::from_str(line).with_context(|| format!("{name} printed no JSON"))?;
        let figure = |key: &str| said[key].as_f64();
        let missing = || format!("{name} printed no tokens_per_second_best and _median");
        let best = share * figure("tokens_per_second_best").with_context(missing)?;
        self.medians.push(share * figure("tokens_per_second_median").with_context(missing)?);
        if best > self.best {
            self.best = best;
            self.flops_per_second = figure("flops_per_second_best");
        }
        self.page_faults_per_step = figure("page_faults_per_step");
        self.peak_bytes = self.peak_bytes.max(peak);
        Ok(said)
    }

    /// The median of the turns' medians.
    fn median(&self) -> f64 {
        let mut sorted = self.medians.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
        (at(sorted.len().saturating_sub(1) / 2) + at(sorted.len() / 2)) / 2.0
    }
}

fn read_all(child: &mut std::process::Child) -> std::io::Result<(std::process::ExitStatus, String, String)> {
    use std::io::Read;
    let (mut text, mut errors) = (String::new(), String::new());
    let stderr = child.stderr.take();
    std::thread::scope(|scope| -> std::io::Result<()> {
        // Both at once: a program that fills the one that is not read would wait forever.
        let reader = scope.spawn(|| stderr.map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut errors)));
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut text)?;
        }
        reader.join().unwrap_or(Ok(0)).map(|_| ())
    })?;
    Ok((child.wait()?, text, errors))
}

fn table(report: &Report) -> String {
    use std::fmt::Write;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let gflops = |flops: f64| flops / 1e9;
    // Writing to a String cannot fail, here and below.
    let mut text = format!(
        "{} threads; this processor's f32 peak: {:.0} GFLOP/s\n{:<5} {:<30} {:>14} {:>8} {:>7} {:>8} {:>8}",
        report.threads,
        gflops(report.f32_peak),
        "shape",
        "",
        "tokens/s, best",
        "median",
        "GFLOP/s",
        "of peak",
        "MiB",
    );
    let beside = report.shapes.iter().any(|row| row.peer.is_some());
    if beside {
        let _ = write!(text, "  {:>10} {:>8} {:>8}  {:>12}", "peer, best", "median", "MiB", "ratios");
    }
    let _ = writeln!(text, "  {:>11}", "faults/step");
    for Row { shape, what, strata, peer, .. } in &report.shapes {
        let flops = strata.flops_per_second.unwrap_or(0.0);
        let _ = write!(
            text,
            "{shape:<5} {what:<30} {:>14.0} {:>8.0} {:>7.0} {:>6.0} % {:>8.0}",
            strata.best,
            strata.median(),
            gflops(flops),
            100.0 * flops / report.f32_peak,
            mib(strata.peak_bytes)
        );
        if let Some(peer) = peer {
            let ratios = format!("{:.2}, {:.2}", strata.best / peer.best, strata.median() / peer.median());
            let (best, median, memory) = (peer.best, peer.median(), mib(peer.peak_bytes));
            let _ = write!(text, "  {best:>10.0} {median:>8.0} {memory:>8.0}  {ratios:>12}");
        }
        let faults = strata.page_faults_per_step.map_or("?".to_string(), |faults| format!("{faults:.0}"));
        let _ = writeln!(text, "  {faults:>11}");
    }
    text
}
