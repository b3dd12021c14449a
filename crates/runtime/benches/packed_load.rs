//! Time and memory of loading a model of M4's size (SMoE-4-4, 148M parameters, random weights): packing its weights
//! against mapping a packed folder. Linux only: it reads memory figures from `/proc`.
//!
//! `cargo bench -p strata-mt-runtime --bench packed_load -- FOLDER` writes the model and its packed forms under FOLDER
//! unless they are there (about 2 GB), then for each form starts two processes that load it and translate. It prints
//! load times and the memory that the two hold at once. Page caches are warm: every file was read before. `Contents`
//! and `Sizes` are the check of the folder.

#[path = "../tests/folders/mod.rs"]
mod folders;

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use strata_recipe::{Kind, ModelConfig};
use strata_runtime::{Engine, Limits, Model, PackedFolder, Precision, Request, SearchOptions, write_packed};
use strata_store::{Check, Existing, ModelFolder};

const FORMS: [(&str, Precision); 4] = [
    ("model", Precision::F32),
    ("packed-f32", Precision::F32),
    ("model", Precision::Int8),
    ("packed-int8", Precision::Int8),
];

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hold", folder, form, check] => hold(Path::new(folder), form.parse()?, check == "Contents"),
        [folder] => measure(Path::new(folder)),
        _ => Err("usage: cargo bench -p strata-mt-runtime --bench packed_load -- FOLDER".into()),
    }
}

fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    let config = ModelConfig { kind: Kind::Smoe, strata: vec![4, 4], ..ModelConfig::default() };
    let path = |name: &str| folder.join(name);
    if !path("model").exists() {
        folders::write_model(&path("model"), &config, 1);
    }
    let model = ModelFolder::open(path("model"))?;
    for (name, precision) in [("packed-f32", Precision::F32), ("packed-int8", Precision::Int8)] {
        if !path(name).exists() {
            let start = Instant::now();
            write_packed(&model, precision, &path(name), Existing::Refuse, &[])?;
            println!("{name}: packed and written in {:.2} s", start.elapsed().as_secs_f64());
        }
    }
    println!(
        "form                      check     load s  first s | two processes: PSS each, RSS each, own pages each (MiB)"
    );
    for (index, (name, precision)) in FORMS.iter().enumerate() {
        for check in ["Sizes", "Contents"] {
            let mut best = f64::INFINITY;
            for _ in 0..3 {
                let mut child = Held::start(folder, index, check)?;
                best = best.min(child.line()?.parse()?);
                child.line()?;
                child.end()?;
            }
            let mut pair = [Held::start(folder, index, check)?, Held::start(folder, index, check)?];
            let mut first = String::new();
            for child in &mut pair {
                child.line()?;
                first = child.line()?;
            }
            let memory: Vec<String> = pair.iter().map(|child| memory(child.child.id())).collect::<Result<_, _>>()?;
            pair.into_iter().try_for_each(Held::end)?;
            println!(
                "{name:<12} {:<12} {check:<9} {best:>6.3}  {first:>6} | {}",
                format!("{precision:?}"),
                memory.join("; ")
            );
        }
    }
    Ok(())
}

/// A process that has a model loaded until it is told to end.
struct Held {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Held {
    fn start(folder: &Path, index: usize, check: &str) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["hold".as_ref(), folder.as_os_str(), index.to_string().as_ref(), check.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, output })
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn end(mut self) -> Result<(), Box<dyn Error>> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        Ok(())
    }
}

/// Loads, prints the seconds that took, translates, prints the seconds that took, and waits for the end of the input.
fn hold(folder: &Path, form: usize, contents: bool) -> Result<(), Box<dyn Error>> {
    let (name, precision) = FORMS[form];
    let path: PathBuf = folder.join(name);
    let check = if contents { Check::Contents } else { Check::Sizes };
    let start = Instant::now();
    let model = if name == "model" {
        Model::load(&ModelFolder::open_with(&path, check)?, precision)?
    } else {
        Model::load_packed(&PackedFolder::open(&path, check)?)?
    };
    println!("{}", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let engine = Engine::new(Arc::new(model));
    let options = SearchOptions { beam: 1, max_extra: 4, max_ratio: 0.0, ..SearchOptions::default() };
    // Enough tokens to use every expert, so that all weights are in memory.
    let requests: Vec<Request> = (0..16)
        .map(|i| Request::new((0..24).map(|j| 4 + (i * 1031 + j * 517) % 31_000).collect(), [2], 1, options))
        .collect();
    engine.translate(&requests, &Limits { threads: 1, ..Limits::default() })?;
    println!("{:.2}", start.elapsed().as_secs_f64());
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// PSS, RSS and anonymous memory of a process in MiB; PSS counts a page that n processes share as 1/n.
fn memory(process: u32) -> Result<String, Box<dyn Error>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let mib = |key: &str| -> Result<u64, Box<dyn Error>> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such figure")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    };
    Ok(format!("{}, {}, {}", mib("Pss:")?, mib("Rss:")?, mib("Anonymous:")?))
}
