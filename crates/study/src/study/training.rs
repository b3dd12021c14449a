//! One training run as a process of its own: a crash, an out-of-memory kill or a bad recipe ends that run and no other.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use strata_files::IoContext;
use strata_records::{Stopped, Summary, TrainState};
use strata_store::checkpoint::{AVERAGED_DIR, STATE_FILE};
use strata_store::{Run, RunFolder};

use super::begun::changed;
use super::file::Planned;
use super::running::POLL;
use crate::error::Error;

/// How runs are trained.
#[derive(Clone, Debug)]
pub struct Trainer {
    /// The `strata` program.
    pub program: PathBuf,
    /// The recipe file of the study.
    pub recipe: PathBuf,
    /// Threads of new runs; 0 leaves it to the recipe.
    pub threads: usize,
    /// Devices that train at the same time, one run each; none for the recipe's own, one run after another.
    pub devices: Vec<String>,
}

/// The exit codes of a training that SIGHUP, Ctrl-C, SIGUSR1 or SIGTERM stopped, as shells report these signals.
const STOPPED: [i32; 4] = [129, 130, 138, 143];

/// How a run's training ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All updates are made, or patience ended.
    Finished,
    /// It was stopped; the next call resumes it.
    Interrupted,
    /// It failed, and why.
    Failed(String),
}

/// The state of a run on disk; `None` before its first checkpoint.
///
/// # Errors
/// A newest checkpoint that is damaged.
pub(crate) fn state(planned: &Planned) -> Result<Option<TrainState>, Error> {
    let Ok(folder) = RunFolder::at(&planned.recipe.train.output) else { return Ok(None) };
    // Not what the link `last` names, which is written after the checkpoint.
    let Some(last) = folder.steps()?.pop() else { return Ok(None) };
    let path = folder.checkpoint_path(last).join(STATE_FILE);
    let bytes = std::fs::read(&path).io_context("read", &path)?;
    let state = serde_json::from_slice(&bytes)
        .map_err(|e| Error::File { place: path.display().to_string(), what: format!("not a training state: {e}") })?;
    Ok(Some(state))
}

/// Whether nothing is left to train.
fn is_finished(planned: &Planned, state: &TrainState) -> bool {
    let train = &planned.recipe.train;
    let averaged = !train.averages() || Path::new(&train.output).join(AVERAGED_DIR).is_dir();
    (state.update >= train.updates || state.out_of_patience(train.patience)) && averaged
}

/// Checks that the run in the folder, if there is one, was started from the planned recipe.
fn same_recipe(planned: &Planned) -> Result<(), String> {
    let changed = changed(planned).map_err(|e| e.to_string())?;
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} was begun with other settings ({}); remove the folder to train it anew, or give the study another output",
        planned.recipe.train.output,
        changed.join(", ")
    ))
}

impl Trainer {
    /// Trains a planned run to its end, or resumes it; a finished run is left alone. Without a `device` the recipe's is
    /// used, or the one that the run was on. `lines` gets each line of the training's output.
    ///
    /// The training of an earlier study that was killed may still be saving: its end is waited for.
    pub fn train(
        &self,
        planned: &Planned,
        device: Option<&str>,
        stop: &AtomicBool,
        lines: &mut dyn FnMut(&str),
    ) -> Trained {
        match wait_for_earlier(planned, stop, lines) {
            Ok(true) => {}
            Ok(false) => return Trained::Interrupted,
            Err(error) => return Trained::Failed(error.to_string()),
        }
        if let Err(reason) = same_recipe(planned) {
            return Trained::Failed(reason);
        }
        let found = match state(planned) {
            Ok(found) => found,
            Err(error) => return Trained::Failed(error.to_string()),
        };
        if found.as_ref().is_some_and(|state| is_finished(planned, state)) {
            return Trained::Finished;
        }
        match self.command(planned, device, found.is_some()).spawn() {
            Ok(child) => watch(child, stop, lines),
            Err(error) => Trained::Failed(format!("cannot start {}: {error}", self.program.display())),
        }
    }

    fn command(&self, planned: &Planned, device: Option<&str>, begun: bool) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("train");
        if begun {
            command.arg("--resume").arg(&planned.recipe.train.output);
        } else {
            command.arg(&self.recipe);
            if let Some(variant) = &planned.variant {
                command.args(["--variant", variant]);
            }
            for (key, value) in &planned.set {
                command.args(["--set", &format!("{key}={value}")]);
            }
            if self.threads > 0 {
                command.args(["--threads", &self.threads.to_string()]);
            }
        }
        if let Some(device) = device {
            command.args(["--device", device]);
        }
        // A study that mpirun or srun started must not hand its own rank on to a training.
        strata_ranks::forget_launch(&mut command);
        // When the study is killed, its training saves a checkpoint and stops too.
        command.args(["--json", "--stop-with-parent", "--color", "never"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C would reach the terminal's whole process group; the study passes it on itself, once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }
}

/// Waits until no training has the run; false where it was told to `stop` first.
fn wait_for_earlier(planned: &Planned, stop: &AtomicBool, lines: &mut dyn FnMut(&str)) -> Result<bool, Error> {
    let mut told = false;
    while Run::is_taken(&planned.recipe.train.output)? {
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        if !told {
            lines("waiting for the end of an earlier training of this run");
            told = true;
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}

/// Follows a training process to its end.
fn watch(mut child: Child, stop: &AtomicBool, lines: &mut dyn FnMut(&str)) -> Trained {
    let (said, heard) = channel();
    let reader = child.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            // A library may print what is not UTF-8: the pipe is read to its end all the same.
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
                if said.send(line).is_err() {
                    break;
                }
            }
        })
    });
    let mut output = child.stdout.take();
    let (mut last_error, mut told) = (None, false);
    loop {
        match heard.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                if let Some(error) = line.strip_prefix("error: ") {
                    last_error = Some(error.to_string());
                }
                lines(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::Relaxed) && !told {
            told = true;
            terminate(&child);
        }
    }
    if let Some(reader) = reader {
        let _ = reader.join();
    }
    let mut summary = String::new();
    if let Some(output) = &mut output {
        // The summary is a few hundred bytes, so the process never waits for it to be read.
        let _ = output.read_to_string(&mut summary);
    }
    let status = match child.wait() {
        Ok(status) => status,
        Err(error) => return Trained::Failed(format!("cannot wait for the training: {error}")),
    };
    if !status.success() {
        // Whether it saved first or was told twice and did not: the next call resumes from its last checkpoint.
        if status.code().is_some_and(|code| STOPPED.contains(&code)) && last_error.is_none() {
            return Trained::Interrupted;
        }
        return Trained::Failed(last_error.unwrap_or_else(|| format!("the training ended with {status}")));
    }
    match serde_json::from_str::<Summary>(&summary).map(|summary| summary.stopped) {
        Ok(Stopped::Finished | Stopped::EarlyStop) => Trained::Finished,
        Ok(Stopped::Interrupted) => Trained::Interrupted,
        Err(_) => Trained::Failed("the training ended without a summary".to_string()),
    }
}

/// Asks a process to save and stop.
#[cfg(unix)]
fn terminate(child: &Child) {
    // A process that has ended by itself needs no signal.
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM);
}

/// Without signals there is no way to ask; the training runs to its end.
#[cfg(not(unix))]
fn terminate(_child: &Child) {}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn planned(output: &Path) -> Planned {
        let set = [
            ("data.prepared".to_string(), "\"none\"".to_string()),
            ("model.strata".to_string(), "[2, 2]".to_string()),
            ("train.output".to_string(), format!("{output:?}")),
        ];
        let recipe = strata_recipe::RecipeFile::parse("", "recipe.toml").unwrap().resolve(None, &set).unwrap();
        let name = || "a".to_string();
        Planned { id: name(), name: name(), variant: None, seed: 1, step: 0, recipe, set: set.to_vec() }
    }

    /// As when a study was killed outright and its training has not noticed yet.
    #[test]
    fn an_earlier_training_of_the_run_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let planned = planned(&folder.path().join("a"));
        // A training that fails without a word.
        let trainer = Trainer { program: "false".into(), recipe: "none".into(), threads: 0, devices: Vec::new() };
        let recipe = planned.recipe.to_toml("");
        let earlier = Mutex::new(Some(Run::create(&planned.recipe.train.output, &recipe).unwrap()));
        let stop = AtomicBool::new(false);
        let mut told = Vec::new();
        let ended = trainer.train(&planned, None, &stop, &mut |line| {
            told.push(line.to_string());
            assert!(earlier.lock().unwrap().take().is_some(), "told twice");
        });
        assert_eq!(told, ["waiting for the end of an earlier training of this run"]);
        assert_eq!(ended, Trained::Failed("the training ended with exit status: 1".to_string()));
        let _held = Run::open(&planned.recipe.train.output).unwrap();
        let ended = trainer.train(&planned, None, &stop, &mut |_| stop.store(true, Ordering::Relaxed));
        assert_eq!(ended, Trained::Interrupted, "it can be stopped while it waits");
    }
}
