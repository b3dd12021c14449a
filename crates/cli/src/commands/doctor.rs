//! `strata doctor`: what this machine and this program have, and whether a model is sound.

mod machine;
mod model;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::machine::{Machine, Program};
use self::model::Examined;
use crate::Outcome;
use crate::output::{print, print_json};
use crate::terminal::{Terminal, labeled, short};

/// Show what this machine and this program have, and check a model
#[derive(Debug, Args)]
#[command(
    after_help = "Of a model every file is read: its checksum, whether its weights are finite numbers, and whether the \
                  model opens. Exit code 1 if it is not sound."
)]
pub struct Arguments {
    /// Model folder, packed folder, checkpoint, or run (its best checkpoint)
    model: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Findings {
    program: Program,
    machine: Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Examined>,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let model = arguments.model.as_deref().map(|path| model::examine(path, terminal)).transpose()?;
    terminal.progress("");
    let findings = Findings { program: Program::this(), machine: Machine::this()?, model };
    if arguments.json {
        print_json(&findings)?;
    } else {
        print(&text(&findings))?;
    }
    let is_sound = findings.model.is_none_or(|model| model.sound);
    Ok(if is_sound { Outcome::Done } else { Outcome::SomeFailed })
}

fn text(findings: &Findings) -> String {
    let Findings { program, machine, model } = findings;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |label: &str, said: &str| _ = writeln!(text, "{}", labeled(label, said));
    let build = if program.optimized { "" } else { ", not optimized" };
    line(
        "strata",
        &format!("{} for {}{build}; devices: {}", program.version, program.target, program.devices.join(", ")),
    );
    let processor = machine.processor.as_deref().unwrap_or("unknown");
    let (level, levels) = (machine.level, machine.levels.join(", "));
    line("processor", &format!("{processor}, {} threads, instructions {level} (of {levels})", machine.threads));
    if let Some(memory) = machine.memory {
        let (most, available) = (short(memory.most as f64, "B"), short(memory.available as f64, "B"));
        line("memory", &format!("{most}, {available} of it available"));
    }
    let utf8 = if machine.utf8 { "" } else { " (not UTF-8; all text is read and written as UTF-8 all the same)" };
    line("locale", &format!("{}{utf8}", machine.locale.as_deref().unwrap_or("none")));
    let cache = machine.cache.as_ref().map(|path| path.display().to_string());
    line("cache", &cache.unwrap_or("none: models are verified at every start".to_string()));
    line("port 5000", if machine.port_free { "free" } else { "in use; `strata serve` needs another --port" });
    line("MPI", machine.mpi.as_deref().unwrap_or("none found; only training on several processes needs it"));
    line("Python", machine.python.as_deref().unwrap_or("none found"));
    if let Some(model) = model {
        text += &of_model(model);
    }
    text
}

fn of_model(model: &Examined) -> String {
    let mut text = format!("\n{}\n", labeled("model", &model.path.display().to_string()));
    if let Some(about) = &model.about {
        let _ = writeln!(text, "{}", labeled("", about));
    }
    let width = model.files.iter().map(|file| file.name.len()).max().unwrap_or(0);
    for file in &model.files {
        let size = file.bytes.map_or(String::new(), |bytes| short(bytes as f64, "B"));
        let state = file.fault.as_deref().unwrap_or("sound");
        let _ = writeln!(text, "{}", labeled("", &format!("{:width$}  {size:>9}  {state}", file.name)));
    }
    let verdict = match &model.fault {
        Some(fault) => format!("not sound: {fault}"),
        None if model.sound => "sound".to_string(),
        None => "not sound".to_string(),
    };
    let _ = writeln!(text, "{}", labeled("", &verdict));
    text
}
