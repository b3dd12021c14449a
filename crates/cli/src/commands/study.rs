//! `strata study`: train and compare the variants of a recipe.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use strata_files::thousands;
use strata_ranks::Launch;
use strata_study::study::results::Status;
use strata_study::study::{Event, Study, Trainer};

use crate::output::{print, print_json};
use crate::overrides::key_value;
use crate::stop::{self, Stop};
use crate::terminal::{Terminal, duration, labeled, short};
use crate::{Outcome, tables};

/// Train and compare the variants of a recipe
#[derive(Debug, Args)]
#[command(
    after_help = "Trains the runs one after another, or one on each of several devices, each an ordinary run of \
                  `strata train` in a process of its own; then translates, scores and analyzes. Stop it at any \
                  moment: the same command resumes, and repeats nothing. Started several times, on one machine or, under \
                  mpirun or in a Slurm array, on several with a common folder, the processes share the runs."
)]
pub struct Arguments {
    /// Study file: a recipe, names for variants and seeds of it, a baseline
    study: PathBuf,
    /// Train only these runs, comma-separated: names, or names with a seed such as moe-8.seed1
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Devices that train at the same time, comma-separated, instead of the study's; `cpu,cpu` trains two runs on the
    /// CPU, each with half of its threads
    #[arg(long, value_delimiter = ',', value_name = "DEVICES", conflicts_with_all = ["dry_run", "table"])]
    devices: Vec<String>,
    /// Change a key of all recipes; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Show the runs with their sizes without training; needs the prepared folder, for its vocabulary
    #[arg(long, conflicts_with_all = ["only", "table"])]
    dry_run: bool,
    /// Show the results so far without training
    #[arg(long, conflicts_with = "only")]
    table: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments, threads: usize, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let launch = Launch::of_environment();
    let study = Study::open(&arguments.study, &arguments.set)?;
    check_names(&study, &arguments.only)?;
    if arguments.dry_run {
        return if arguments.json { print_json(&study.results()) } else { print(&tables::study::plan(&study)) }
            .map(|()| Outcome::Done);
    }
    study.check_begun()?;
    if !arguments.table {
        let devices = if arguments.devices.is_empty() { study.devices() } else { &arguments.devices[..] };
        let trainer = Trainer {
            program: std::env::current_exe().context("cannot find this program")?,
            recipe: study.recipe(),
            threads: share_of_threads(threads, devices.len()),
            devices: devices.to_vec(),
        };
        let (stop, several) = (Stop::listen()?, devices.len() > 1 || launch.is_some());
        study.run(&trainer, &arguments.only, stop.flag(), &mut |event| shown(event, several, terminal))?;
        match launch {
            // The first rank has the last word. mpirun would stop all others for one that ends with an error.
            Some(Launch { rank: 0, .. }) => study.wait_for_others(stop.flag())?,
            Some(_) => return Ok(stop::outcome().unwrap_or(Outcome::Done)),
            None => {}
        }
    }
    let result = study.write()?;
    if arguments.json {
        print_json(&result)?;
    } else {
        print(&tables::study::render(&result))?;
    }
    terminal.say(&labeled("study", &format!("{}/study.html, study.json, study.csv", study.output().display())));
    let left = result.runs.iter().filter(|run| run.status != Status::Done).count();
    if left > 0 && result.ended.is_none() {
        terminal.say(&format!("{left} runs are not done; go on with: strata study {}", arguments.study.display()));
    }
    if let Some(stopped) = stop::outcome() {
        return Ok(stopped);
    }
    let failed = result.runs.iter().any(|run| run.status == Status::Failed);
    // A table trains nothing, and a study that has ended leaves its later steps out.
    let has_to_train = !arguments.table && (result.ended.is_none() || !arguments.only.is_empty());
    let undone = has_to_train && study.left(&arguments.only)? > 0;
    Ok(if failed || undone { Outcome::SomeFailed } else { Outcome::Done })
}

/// Threads of each of several runs at a time, unless given: more than the machine has would only make them wait.
fn share_of_threads(given: usize, runs: usize) -> usize {
    if given > 0 || runs < 2 {
        return given;
    }
    (std::thread::available_parallelism().map_or(1, usize::from) / runs).max(1)
}

fn check_names(study: &Study, only: &[String]) -> anyhow::Result<()> {
    let known = || study.plan().iter().flat_map(|planned| [planned.name.as_str(), planned.id.as_str()]);
    for name in only {
        if !known().any(|known| known == name) {
            let hint =
                strata_recipe::nearest(name, known()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            let mut names: Vec<&str> = Vec::new();
            for planned in study.plan() {
                if !names.contains(&planned.name.as_str()) {
                    names.push(&planned.name);
                }
            }
            anyhow::bail!("--only: the study has no run `{name}`{hint} (runs: {})", names.join(", "));
        }
    }
    Ok(())
}

/// Tells what happened, and to which of `several` runs at a time.
fn shown(event: &Event, several: bool, terminal: &Terminal) {
    let of = |id: &str| if several { format!("{id}: ") } else { String::new() };
    match event {
        Event::Begun { number, of, planned, device } => {
            let on = device.map_or(String::new(), |device| format!(" on {device}"));
            terminal.say(&labeled("run", &format!("{number} of {of}: {}{on}", planned.id)));
        }
        Event::Line(id, line) => {
            let lasting = ["model ", "validation ", "trained ", "best ", "warning: ", "error: "];
            let text = format!("{}{line}", of(id));
            if lasting.iter().any(|start| line.starts_with(start)) {
                terminal.say(&text);
            } else {
                terminal.progress(&labeled("training", &text));
                terminal.detail(&text);
            }
        }
        Event::Waiting(id) => {
            terminal.say(&labeled("waiting", &format!("another process has {id}, which decides whether to go on")));
        }
        Event::Ended(why) => terminal.say(&labeled("ended", why)),
        Event::Undecided(step) => {
            let what = format!("not all runs up to step `{step}` are over; they decide whether the study goes on");
            terminal.say(&labeled("undecided", &what));
        }
        Event::Measuring(id, what, progress) => {
            let text = format!("{}{} of {} directions", of(id), progress.done, progress.of);
            terminal.progress(&labeled(what, &text));
        }
        Event::Over(result) => {
            let id = &result.id;
            let text = match (result.status, &result.reason, result.average("all")) {
                (Status::Done, _, Some(all)) => format!(
                    "{id}: BLEU {:.2}, chrF2 {:.2} over {} directions; {} updates in {}, {}/token",
                    all.bleu,
                    all.chrf2,
                    all.directions,
                    thousands(result.updates),
                    duration(result.train_seconds),
                    short(result.flops_per_token_measured.unwrap_or(result.flops_per_token) as f64, "FLOP")
                ),
                (Status::Interrupted, ..) => format!("{id}: stopped at update {}", thousands(result.updates)),
                (_, Some(reason), _) => {
                    terminal.warn(&format!("{id} failed: {reason}"));
                    return;
                }
                _ => return,
            };
            terminal.say(&labeled("done", &text));
        }
    }
}
