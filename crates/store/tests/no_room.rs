//! Disks that are full, files that may not grow and folders that may not be written: each is a clear error, and every
//! earlier checkpoint stays. The limits are real ones of the system, set around a child process.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use strata_store::{CheckpointParts, ModelParts, Run, RunFolder, TensorList};

const FOLDER: &str = "STRATA_STORE_TEST_FOLDER";
const CHILD: &str = "child_saves_once";
const STEP: &str = "STRATA_STORE_TEST_STEP";

/// Saves a checkpoint of about 900 kB, of which 400 kB are weights.
fn save(run: &mut Run, step: u64) -> Result<(), strata_store::Error> {
    let mut weights = TensorList::new();
    weights.push_f32("w", &[100_000], vec![step as f32; 100_000]);
    let mut moments = TensorList::new();
    moments.push_f32("first.w", &[125_000], vec![0.0; 125_000]);
    let model = ModelParts { config: b"{}", tokenizer: b"{}", languages: b"[]", weights: &weights, extra: &[] };
    run.save_checkpoint(step, &CheckpointParts { model, optimizer: &moments, state: &json!({}) }).map(drop)
}

#[test]
#[ignore = "the child process of the tests below, not a test"]
fn child_saves_once() {
    let (Some(folder), Ok(step)) = (std::env::var_os(FOLDER), std::env::var(STEP)) else { return };
    let saved = || -> Result<(), strata_store::Error> {
        let mut run = match Path::new(&folder).join("recipe.toml").exists() {
            true => Run::open(&folder)?,
            false => Run::create(&folder, "")?,
        };
        save(&mut run, step.parse().unwrap())
    };
    match saved() {
        Ok(()) => println!("<<saved>>"),
        Err(error) => println!("<<{error}>>"),
    }
}

/// What the child said between `<<` and `>>`.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.split_once("<<").and_then(|(_, rest)| rest.split_once(">>"));
    said.unwrap_or_else(|| panic!("no answer: {text}{}", String::from_utf8_lossy(&output.stderr))).0.to_string()
}

/// A command that runs the child from the shell script `around`, where `"$@"` stands for it.
fn child(around: &str, folder: &Path, step: u64) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", around, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", CHILD, "--ignored", "--nocapture"].map(OsStr::new));
    command.env(FOLDER, folder).env(STEP, step.to_string());
    command
}

fn is_whole(folder: &Path, steps: &[u64]) {
    let run = RunFolder::at(folder).unwrap();
    assert_eq!(run.steps().unwrap(), steps);
    for &step in steps {
        let weights = run.load(step).unwrap().model().weights().unwrap();
        assert_eq!(weights.f32("w", &[100_000]).unwrap()[99_999], step as f32);
    }
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_error_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    let mut run = Run::create(&folder, "").unwrap();
    save(&mut run, 1).unwrap();
    drop(run);
    // `ulimit -f` counts blocks of 512 bytes; without the trap the signal SIGXFSZ would end the process. 100 blocks
    // stop the weights, 900 only the optimizer's moments.
    for (blocks, file) in [(100, "model.safetensors"), (900, "optimizer.safetensors")] {
        for step in [1, 2] {
            let around = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            let said = said(&child(&around, &folder, step).output().unwrap());
            let shown = folder.join("checkpoints").join(strata_store::step_name(step)).join(file);
            assert!(said.starts_with(&format!("cannot write {}: no space left", shown.display())), "{said}");
            is_whole(&folder, &[1]);
            let left = fs::read_dir(folder.join("checkpoints")).unwrap().count();
            assert_eq!(left, 1, "the half-written folder was not removed");
        }
    }
    assert_eq!(said(&child("exec \"$@\"", &folder, 2).output().unwrap()), "saved");
    is_whole(&folder, &[1, 2]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_clear_error_and_nothing_is_lost() {
    const TEST: &str = "a_full_disk_is_a_clear_error_and_nothing_is_lost";
    let dir = tempfile::tempdir().unwrap();
    // A file system of 2 MB in a mount namespace of its own: holds two checkpoints, not three.
    let script = r#"mount -t tmpfs -o size=2m tmpfs "$MOUNT" || exit 77
        "$@"; STRATA_STORE_TEST_STEP=2 "$@"; STRATA_STORE_TEST_STEP=3 "$@"; STRATA_STORE_TEST_STEP=2 "$@"
        cp -r "$MOUNT/run" "$KEEP/""#;
    let keep = tempfile::tempdir().unwrap();
    let run = |unshare: &[&str]| {
        let inner = child(script, &dir.path().join("run"), 1);
        let mut command = Command::new("unshare");
        command.args(unshare).arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.env("MOUNT", dir.path()).env("KEEP", keep.path()).output()
    };
    // As root, or with a user namespace where the system lets users make one.
    let mut output = run(&["--mount"]);
    if !output.as_ref().is_ok_and(|o| o.status.success()) {
        output = run(&["--map-root-user", "--mount"]);
    }
    let Ok(output) = output else {
        return strata_testing::skip(TEST, "no program unshare");
    };
    if !output.status.success() {
        let reason = format!("no file system may be mounted: {}", String::from_utf8_lossy(&output.stderr));
        return strata_testing::skip(TEST, &reason);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Vec<&str> = text.split("<<").skip(1).filter_map(|s| s.split_once(">>")).map(|(said, _)| said).collect();
    assert_eq!(said.len(), 4, "{text}");
    assert_eq!(said[..2], ["saved", "saved"]);
    for again in &said[2..] {
        assert!(again.starts_with("cannot write") && again.contains("no space left"), "{again}");
        assert!(again.contains("what was there before is unchanged"), "{again}");
    }
    is_whole(&keep.path().join("run"), &[1, 2]);
}

#[test]
fn a_read_only_folder_is_a_clear_error() {
    let dir = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
    let folder = dir.path().join("run");
    let mut run = Run::create(&folder, "").unwrap();
    save(&mut run, 1).unwrap();
    drop(run);
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(dir.path(), 0o755);
    mode(&folder.join(".lock"), 0o666);
    mode(&folder.join("checkpoints"), 0o555);
    let mut command = child("exec \"$@\"", &folder, 2);
    let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if root {
        // Root may write anywhere, so the child is made someone else; that one must reach this binary.
        // Copied by another process: a handle of ours that is open for writing would be inherited by
        // the children that the tests beside this one start, and a program that is open for writing
        // cannot be run ("text file busy").
        let copy = dir.path().join("child");
        let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap();
        assert!(copied.success(), "cp: {copied}");
        mode(&copy, 0o755);
        command = Command::new(&copy);
        command.args(["--exact", CHILD, "--ignored", "--nocapture"]);
        command.env(FOLDER, &folder).env(STEP, "2").uid(65534).gid(65534).current_dir("/");
    }
    let said = said(&command.output().unwrap());
    let shown = folder.join("checkpoints/step-000002");
    assert!(said.starts_with(&format!("not permitted to make the folder {}", shown.display())), "{said}");
    assert!(said.ends_with("choose another place"), "{said}");
    is_whole(&folder, &[1]);
    mode(&folder.join("checkpoints"), 0o755); // so that a user can remove it
}
