//! Training that is killed, interrupted or goes wrong, and resumes to the same bits.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use strata_files::{Existing, FolderWriter};
use strata_simd::random::{SplitMix64, unit};

use common::{Folder, Ran, folder};

/// What an update left behind, except for its time: weights, moments, state, and which checkpoint is the best.
fn outcome(here: &Folder, run: &str, step: &str) -> (Vec<Vec<u8>>, Value, String) {
    let folder = here.path(run).join("checkpoints").join(step);
    let files = ["model.safetensors", "optimizer.safetensors"].map(|name| fs::read(folder.join(name)).unwrap());
    let mut state: Value = serde_json::from_slice(&fs::read(folder.join("state.json")).unwrap()).unwrap();
    state.as_object_mut().unwrap().remove("seconds").unwrap();
    (files.to_vec(), state, best(here, run))
}

fn best(here: &Folder, run: &str) -> String {
    fs::read_link(here.path(run).join("best")).unwrap().to_string_lossy().into_owned()
}

/// The losses of a run's log by update.
fn curve(here: &Folder, run: &str) -> Vec<(u64, String, f64)> {
    let parse = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let event = line["event"].as_str().unwrap().to_string();
        (line["update"].as_u64().unwrap(), event, line["loss"].as_f64().unwrap())
    };
    here.read(&format!("{run}/log.jsonl")).lines().map(parse).collect()
}

fn same(here: &Folder, a: &str, b: &str, step: &str) {
    let ((files_a, state_a, best_a), (files_b, state_b, best_b)) = (outcome(here, a, step), outcome(here, b, step));
    assert_eq!((state_a, best_a.clone()), (state_b, best_b));
    assert!(files_a == files_b, "{a} and {b} have different weights or moments");
    let weights = |run: &str| fs::read(here.path(run).join(&best_a).join("model.safetensors")).unwrap();
    assert!(weights(a) == weights(b), "{a} and {b} have different best weights");
    assert_eq!(curve(here, a), curve(here, b));
}

/// Half-written checkpoints in a run.
fn torn(run: &Path) -> usize {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else { return 0 };
    entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".step-")).count()
}

/// The update of a run's newest checkpoint; 0 before there is one.
fn newest(run: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else { return 0 };
    let step = |name: &str| name.strip_prefix("step-").and_then(|step| step.parse().ok());
    entries.filter_map(|entry| step(&entry.ok()?.file_name().to_string_lossy())).max().unwrap_or(0)
}

fn spawn(here: &Folder, arguments: &str) -> Child {
    here.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a line of standard error begins with `words`; gives back the rest of it, still open.
fn wait_for(child: &mut Child, words: &str) -> BufReader<std::process::ChildStderr> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(words) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it said `{words}`");
    }
    lines
}

#[test]
fn killed_again_and_again_it_ends_with_the_same_bits() {
    let here = folder("killed");
    let updates = 90;
    let recipe = format!(
        "--set train.updates={updates} --set train.checkpoint_every=1 --set train.keep_last=3 --set train.validate_every=7"
    );
    let began = Instant::now();
    here.strata(&format!("train ../tiny.toml --output whole {recipe}")).succeeds();
    let whole = began.elapsed();
    let mut random = SplitMix64::new(1);
    let (mut kills, mut hit_a_save) = (0, 0);
    let mut arguments = format!("train ../tiny.toml --output killed {recipe}");
    loop {
        let mut child = spawn(&here, &arguments);
        // After a few more checkpoints at its own pace, which other work on the machine may change; every third time
        // as it comes.
        let until = newest(&here.path("killed")) + 2 + random.below(4);
        while kills % 3 != 2 && newest(&here.path("killed")) < until && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_micros(300));
        }
        // Anywhere in an update.
        sleep((whole / updates).mul_f32(2.0 * unit(random.next_u64())));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        let ran = Ran::new(&arguments, child.wait_with_output().unwrap());
        // By the signal and by nothing else, unless it ended just before.
        if ended.is_some() || ran.code.is_some() {
            ran.succeeds();
            break;
        }
        kills += 1;
        hit_a_save += torn(&here.path("killed"));
        if here.path("killed/recipe.toml").exists() {
            arguments = "train --resume killed".to_string();
        }
    }
    println!("{kills} kills, {hit_a_save} while a checkpoint was being written");
    assert!(kills >= 5, "only {kills} kills: too few to say anything");
    assert_eq!(torn(&here.path("killed")), 0, "half-written checkpoints are cleared away");
    same(&here, "whole", "killed", &format!("step-{updates:06}"));
}

#[test]
fn a_kill_while_a_checkpoint_is_written_costs_nothing() {
    let here = folder("killed-saving");
    let recipe = "--set train.updates=12 --set train.checkpoint_every=1 --set train.validate_every=100";
    here.strata(&format!("train ../tiny.toml --output whole {recipe}")).succeeds();
    // The writer's folder exists only while a checkpoint is being written, which this test may miss: then again.
    let caught = (0..20).any(|_| {
        let mut child = spawn(&here, &format!("train ../tiny.toml --output killed --overwrite {recipe}"));
        while torn(&here.path("killed")) == 0 && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        newest(&here.path("killed")) < 12
    });
    assert!(caught, "it could not be caught saving");
    here.strata("train --resume killed").succeeds();
    assert_eq!(torn(&here.path("killed")), 0);
    same(&here, "whole", "killed", "step-000012");
}

#[test]
fn sigterm_and_ctrl_c_save_and_tell_how_to_go_on() {
    let here = folder("signals");
    // Long enough for the signal to come before the end also where other work is done.
    let recipe = "--set train.updates=400 --set train.checkpoint_every=1000 --set train.validate_every=1000";
    here.strata(&format!("train ../tiny.toml --output whole {recipe}")).succeeds();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let run = format!("run-{signal}");
        let mut child = spawn(&here, &format!("train ../tiny.toml --output {run} {recipe}"));
        let mut lines = wait_for(&mut child, "update 2/400");
        let sent = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{rest}");
        assert!(rest.contains("saving and stopping"), "{rest}");
        let (_, said) = rest.split_once("stopped at update ").expect(&rest);
        let (update, said) = said.split_once("; ").unwrap();
        let update: u64 = update.parse().unwrap();
        assert!((2..400).contains(&update), "{rest}");
        assert!(here.path(&run).join(format!("checkpoints/step-{update:06}")).is_dir());
        let command = said.trim().strip_prefix("resume with: strata ").expect(said);
        assert_eq!(command, format!("train --resume {run}"));
        let resumed = here.strata(command).succeeds();
        assert!(resumed.err.contains(&format!("400 updates, resuming after {update};")), "{resumed}");
        same(&here, "whole", &run, "step-000400");
    }
}

#[test]
fn from_an_earlier_checkpoint_the_same_updates_are_made_again() {
    let here = folder("from");
    here.copy("../run", "again");
    let resumed = here.strata("train --resume again --from step-2").succeeds();
    assert!(resumed.err.contains("resuming after 2;"), "{resumed}");
    for step in [3, 4, 6] {
        assert!(here.path(&format!("again/checkpoints/step-{step:06}.set-aside")).is_dir());
    }
    same(&here, "../run", "again", "step-000006");
    let done = here.strata("train --resume again").succeeds();
    assert!(done.err.contains("6 of 6 updates: nothing is left to train"), "{done}");
    assert!(!done.err.contains("tok/s"), "{done}");
    same(&here, "../run", "again", "step-000006");
}

#[test]
fn a_checkpoint_is_not_resumed_as_a_run() {
    let here = folder("checkpoint");
    here.copy("../run", "run");
    here.copy("../run/checkpoints/step-000004", "copied");
    here.strata("train ../tiny.toml --output averaged --set train.average_last=2").succeeds();
    let checkpoint = "is a checkpoint, not the folder of a run; ";
    let of_run = |path: &str, step: u64| {
        let instead = format!("resume the run run from step-{step:06}: strata train --resume run --from {step}");
        here.refuses(&format!("train --resume {path}"), &[path, checkpoint, &instead]);
    };
    of_run("run/checkpoints/step-000004", 4);
    of_run("run/checkpoints/step-000004/", 4);
    of_run("run/last", 6);
    here.refuses(
        "train --resume copied",
        &["copied", checkpoint, "start a new run from its weights: strata train RECIPE --init copied"],
    );
    here.refuses("train --resume copied --from 4", &["copied", checkpoint]);
    here.refuses(
        "train --resume averaged/averaged",
        &["is a model, not the folder of a run", "strata train --resume averaged"],
    );
    // Also one that lacks its weights.
    fs::remove_file(here.path("copied/model.safetensors")).unwrap();
    fs::remove_file(here.path("copied/config.json")).unwrap();
    here.refuses("train --resume copied", &["copied", checkpoint]);
}

#[test]
fn a_run_that_was_killed_before_its_first_checkpoint_begins_anew() {
    let here = folder("no-checkpoint");
    here.copy("../run", "run");
    fs::remove_dir_all(here.path("run/checkpoints")).unwrap();
    fs::create_dir(here.path("run/checkpoints")).unwrap();
    for link in ["best", "last"] {
        fs::remove_file(here.path("run").join(link)).unwrap();
    }
    here.strata("train --resume run").succeeds();
    same(&here, "../run", "run", "step-000006");
}

#[test]
fn a_run_does_not_end_before_the_update_that_it_has_reached() {
    let here = folder("shorter");
    here.copy("../run", "run");
    let at = "run is at update 6 already";
    here.refuses("train --resume run --set train.updates=5", &["train.updates = 5", at, "(--from STEP)"]);
    here.refuses("train --resume run --from 4 --set train.updates=3", &["run is at update 4 already", "--from"]);
    assert!(here.read("run/recipe.toml").contains("\nupdates = 6 "));
    here.strata("train --resume run --from 4 --set train.updates=5").succeeds();
    assert!(here.path("run/checkpoints/step-000006.set-aside").is_dir());
    assert!(here.path("run/checkpoints/step-000005").is_dir() && !here.path("run/checkpoints/step-000006").exists());
}

#[test]
fn a_run_that_diverges_stops_and_keeps_its_checkpoints() {
    let here = folder("diverged");
    here.copy("../run", "run");
    here.edit("run/recipe.toml", "\nupdates = 6 ", "\nupdates = 20 ");
    here.edit("run/recipe.toml", "\nlearning_rate = 0.01 ", "\nlearning_rate = 1e30 ");
    // In the next update, or in the validation before it: whichever sees it first.
    for (validate_every, words) in [("3", "the loss is not finite; the batch was number"), ("7", "validation loss")] {
        here.edit("run/recipe.toml", "\nvalidate_every = 3 ", &format!("\nvalidate_every = {validate_every} "));
        let remedy =
            ["Lower train.learning_rate", "in run/recipe.toml", "strata train --resume run", "step-000006", "--from"];
        let ran = here.records(here.strata("train --resume run").fails(&[&["update ", words][..], &remedy].concat()));
        assert!(!ran.err.contains("best so far"), "{ran}");
        assert!(!here.path("run/checkpoints/step-000007").exists(), "no checkpoint of a broken model");
        here.edit("run/recipe.toml", &format!("\nvalidate_every = {validate_every} "), "\nvalidate_every = 3 ");
    }
    assert_eq!(best(&here, "run"), "checkpoints/step-000006");
    here.strata_reading("translate run --to qaa", "The dog sees the cat.\n").succeeds();
    here.edit("run/recipe.toml", "\nlearning_rate = 1e30 ", "\nlearning_rate = 0.01 ");
    here.edit("run/recipe.toml", "\nupdates = 20 ", "\nupdates = 9 ");
    here.strata("train --resume run").succeeds();
    here.strata("train ../tiny.toml --output whole --set train.updates=9").succeeds();
    same(&here, "whole", "run", "step-000009");
}

#[test]
fn a_run_that_stopped_early_has_nothing_left_to_do() {
    let here = folder("patience");
    let recipe = "--set train.updates=50 --set train.validate_every=1 --set train.patience=2 \
                  --set train.learning_rate=1e-12 --set train.warmup_init_lr=0";
    let first = here.strata(&format!("train ../tiny.toml {recipe} --json")).succeeds().json();
    assert_eq!(first["stopped"], "early_stop", "{first}");
    let before = here.files();
    let again = here.strata("train --resume run --json").succeeds().json();
    assert_eq!((&again["stopped"], &again["update"]), (&first["stopped"], &first["update"]));
    let checkpoints = |files: &std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| -> Vec<_> {
        files.keys().filter(|path| path.starts_with(here.path("run/checkpoints"))).cloned().collect()
    };
    assert_eq!(checkpoints(&before), checkpoints(&here.files()));
    // Until it is asked for more: of patience, or of updates.
    let update = first["update"].as_u64().unwrap();
    let patient = here.strata("train --resume run --set train.patience=4 --json").succeeds().json();
    assert_eq!((patient["stopped"].as_str(), patient["update"].as_u64()), (Some("early_stop"), Some(update + 2)));
    let longer = here.strata("train --resume run --set train.updates=60 --json").succeeds();
    assert!(longer.err.contains("to train on: strata train --resume run --set train.patience=N"), "{longer}");
    assert_eq!(longer.json()["update"].as_u64(), Some(update + 6));
    // As many updates as before are no more.
    let over = here.strata("train --resume run --set train.updates=60").succeeds();
    assert!(over.err.contains("nothing is left to train"), "{over}");
    let endless = here.strata("train --resume run --set train.patience=0 --set train.updates=20 --json").succeeds();
    assert_eq!((&endless.json()["stopped"], &endless.json()["update"]), (&"finished".into(), &20.into()));
    here.refuses("train --resume run --set train.patience=x", &["train.patience must be", "--set train.patience=x"]);
    let only = "only train.updates, train.patience, train.threads, data.prepared can be set";
    here.refuses("train --resume run --set train.seed=2", &["train.seed: ", only]);
}

#[test]
fn a_run_goes_on_with_its_corpus_in_another_folder_and_with_no_other() {
    let here = folder("moved");
    here.copy("../run", "run");
    here.copy("../prepared", "prepared");
    let resume = "train --resume run --from 4 --set data.prepared";
    here.strata("prepare ../bitext --output other --vocab-size 300").succeeds();
    here.strata("prepare ../bitext --output less --subword-model ../prepared --max-subwords 30").succeeds();
    // Nor are checkpoints set aside.
    here.refuses(&format!("{resume}=nowhere"), &["nowhere", "is missing"]);
    here.refuses(&format!("{resume}=other"), &["other is not the corpus", "other subwords"]);
    let words = ["less is not the corpus", "other text to learn from", "(--set data.prepared=DIR)"];
    here.refuses(&format!("{resume}=less"), &words);
    // A checkpoint of an earlier program has only the numbers of pairs.
    here.copy("../run", "old");
    let mut old = FolderWriter::new(here.path("old/checkpoints/step-000004")).unwrap();
    for (path, bytes) in
        here.files().iter().filter(|(path, _)| path.starts_with(here.path("run/checkpoints/step-000004")))
    {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut bytes = bytes.clone();
        if name == "state.json" {
            let mut state: Value = serde_json::from_slice(&bytes).unwrap();
            state.as_object_mut().unwrap().remove("text").expect("a digest");
            bytes = serde_json::to_vec(&state).unwrap();
        }
        if path.is_file() && name != "SHA256SUMS" {
            old.write(name, &bytes).unwrap();
        }
    }
    old.commit(Existing::Replace).unwrap();
    here.refuses("train --resume old --from 4 --set data.prepared=less", &words);
    here.strata("train --resume old --from 4").succeeds();
    same(&here, "../run", "old", "step-000006");
    assert!(here.read("run/recipe.toml").contains("\"../prepared\""));
    // As many threads as before are no other number of them.
    let moved = here.strata(&format!("{resume}=prepared --threads 2")).succeeds();
    assert!(!moved.err.contains("warning"), "{moved}");
    same(&here, "../run", "run", "step-000006");
    assert!(here.read("run/recipe.toml").contains("\nprepared = \"prepared\" "));
    let other = here.strata("train --resume run --threads 3").succeeds();
    assert!(other.err.contains("train.threads = 3, but 2 until now"), "{other}");
}

#[test]
fn what_a_killed_preparation_left_is_cleared_away_by_the_next() {
    let here = folder("killed-preparing");
    here.strata("fetch synthetic --languages 1 --pairs 20000 --output bitext -q").succeeds();
    let parts = || fs::read_dir(&here.0).unwrap().filter(|e| e.as_ref().unwrap().file_name() != "bitext").count();
    let caught = (0..20).any(|_| {
        let mut child = spawn(&here, "prepare bitext --output p --overwrite -q");
        while parts() == 0 && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        let ended = here.path("p").exists();
        if ended {
            fs::remove_dir_all(here.path("p")).unwrap();
        }
        !ended
    });
    assert!(caught, "it could not be caught writing");
    assert!(parts() == 1 && !here.path("p").exists(), "a folder is there whole or not at all");
    here.strata("prepare bitext --output p --vocab-size 400 -q").succeeds();
    assert!(parts() == 1 && here.path("p/languages.json").exists());
}

#[test]
fn one_run_is_trained_by_one_process() {
    let here = folder("locked");
    let mut child = spawn(&here, "train ../tiny.toml --set train.updates=100000 --set train.checkpoint_every=5");
    let lines = wait_for(&mut child, "update 6/");
    let holder = format!("process {}", child.id());
    for command in ["train --resume run", "train ../tiny.toml --overwrite"] {
        here.records(here.strata(command).fails(&["run is in use by another process", &holder]));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    assert!(here.path("run/checkpoints/step-000005").is_dir(), "the refused commands left the run alone");
}
