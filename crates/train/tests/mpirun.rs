//! Training under `mpirun`: this test program starts itself again as several ranks. Without Open MPI, or for one test
//! MPICH, the tests are skipped.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use common::{PREPARED, checkpoint, no_bleu, prepared, recipe};
use strata_ranks::Ranks;
use strata_train::{Start, train};

/// The run's folder, and `key=value` pairs, in the environment of the ranks.
const OUTPUT: &str = "STRATA_TEST_OUTPUT";
const CHANGES: &str = "STRATA_TEST_CHANGES";

/// What each rank runs; nothing where no test started it.
#[test]
fn rank_trains() {
    let Some(output) = std::env::var_os(OUTPUT).map(PathBuf::from) else { return };
    let changes = std::env::var(CHANGES).unwrap();
    let changes: Vec<(&str, &str)> = changes.split(';').filter_map(|pair| pair.split_once('=')).collect();
    let ranks = Ranks::of_environment(|text| eprintln!("{text}")).unwrap();
    std::fs::write(output.with_extension(format!("pid-{}", ranks.rank())), std::process::id().to_string()).unwrap();
    let recipe = recipe(&output, &changes);
    let start = match output.join("checkpoints").is_dir() {
        true => Start::Resume { run: &output, from: None, device: None, set: &[] },
        false => Start::New { recipe: &recipe, overwrite: false },
    };
    train(start, &ranks, &no_bleu, &AtomicBool::new(false), &mut |_| {}).unwrap();
    std::fs::write(output.with_extension(format!("peak-{}", ranks.rank())), peak().to_string()).unwrap();
    ranks.finish().unwrap();
}

/// The most memory that this process has had, in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e3
}

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mpirun-{name}"));
    let _ = std::fs::remove_dir_all(&path);
    path
}

/// What starts ranks, with options to start more than there are processors, as root.
const OPEN_MPI: &[&str] = &["mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"];
const MPICH: &[&str] = &["mpiexec.mpich"];

/// Starts `ranks` ranks that train; none, after saying so, without Open MPI.
fn start(test: &str, ranks: usize, output: &Path, changes: &str) -> Option<Child> {
    start_by(OPEN_MPI, test, ranks, output, changes)
}

fn start_by(launcher: &[&str], test: &str, ranks: usize, output: &Path, changes: &str) -> Option<Child> {
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).args(["-n", &ranks.to_string()]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "rank_trains", "--nocapture"]);
    strata_ranks::forget_launch(&mut command);
    command.env(OUTPUT, output).env(CHANGES, changes).env(PREPARED, prepared());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().map_err(|error| strata_testing::skip(test, &format!("{}: {error}", launcher[0]))).ok()
}

const WHOLE_BATCHES: &str = "train.accumulate=4;train.updates=4;train.validate_every=2;train.checkpoint_every=2";

#[test]
fn one_two_and_four_ranks_write_the_same_checkpoints() {
    write_the_same_checkpoints("one_two_and_four_ranks_write_the_same_checkpoints", "same", OPEN_MPI);
}

#[test]
fn ranks_of_mpich_write_the_same_checkpoints() {
    write_the_same_checkpoints("ranks_of_mpich_write_the_same_checkpoints", "mpich", MPICH);
}

fn write_the_same_checkpoints(test: &str, name: &str, launcher: &[&str]) {
    let mut expected = None;
    for ranks in [1, 2, 4] {
        let output = folder(&format!("{name}-{ranks}"));
        let Some(mut child) = start_by(launcher, test, ranks, &output, WHOLE_BATCHES) else { return };
        assert!(child.wait().unwrap().success());
        let got = checkpoint(&output, "step-000004");
        let expected = expected.get_or_insert_with(|| got.clone());
        assert!(got.iter().eq(expected.iter()), "{ranks} ranks");
    }
}

/// The best validation loss of a run's last checkpoint.
fn best_loss(run: &Path, step: &str) -> f64 {
    let state: serde_json::Value = serde_json::from_slice(&checkpoint(run, step)["state.json"]).unwrap();
    state["best"]["loss"].as_f64().unwrap()
}

#[test]
fn spread_experts_and_split_batches_give_the_same_losses() {
    let test = "spread_experts_and_split_batches_give_the_same_losses";
    let mut expected = None;
    for (ranks, over) in [(1, 1), (2, 2), (4, 2)] {
        let output = folder(&format!("spread-{ranks}"));
        let changes = format!("train.updates=10;train.checkpoint_every=10;train.expert_parallel={over}");
        let Some(mut child) = start(test, ranks, &output, &changes) else { return };
        assert!(child.wait().unwrap().success());
        let loss = best_loss(&output, "step-000010");
        let expected = *expected.get_or_insert(loss);
        assert!((loss - expected).abs() < 1e-5 * expected, "{ranks} ranks: {loss} {expected}");
    }
}

/// Rank 0 writes what the other rank has, but never has it all: of 25 MB of experts and twice as much of moments it
/// holds half, as the other does.
#[test]
fn rank_0_needs_no_more_memory_than_the_other() {
    let output = folder("memory");
    let model = "model.kind=\"moe\";model.strata=[];model.experts=16;model.d_model=64;model.d_ffn=1024";
    let changes = format!("{model};train.expert_parallel=2;train.updates=2;train.checkpoint_every=1");
    let Some(mut child) = start("rank_0_needs_no_more_memory_than_the_other", 2, &output, &changes) else { return };
    assert!(child.wait().unwrap().success());
    let peak = |rank: usize| -> f64 {
        std::fs::read_to_string(output.with_extension(format!("peak-{rank}"))).unwrap().parse().unwrap()
    };
    assert!(peak(0) < peak(1) + 15.0, "rank 0 took {} MB, rank 1 {} MB", peak(0), peak(1));
}

#[test]
fn a_killed_rank_ends_the_run_and_leaves_a_whole_checkpoint() {
    let output = folder("killed");
    let test = "a_killed_rank_ends_the_run_and_leaves_a_whole_checkpoint";
    let endless = "train.updates=1000000;train.checkpoint_every=2;train.validate_every=1000000";
    let Some(mut child) = start(test, 3, &output, endless) else { return };
    let begun = Instant::now();
    while !output.join("last").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint was saved");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = std::fs::read_to_string(output.with_extension("pid-1")).unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let killed = Instant::now();
    assert!(!child.wait().unwrap().success());
    assert!(killed.elapsed() < Duration::from_secs(10), "the others ended after {:?}", killed.elapsed());
    let run = strata_store::RunFolder::at(&output).unwrap();
    assert!(run.latest_good().unwrap().is_some(), "the newest checkpoint is whole");
}
