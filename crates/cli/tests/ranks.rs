//! `strata train` as a user of MPI starts it. Without Open MPI the tests are skipped.

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{Folder, Ran, folder};
use strata_testing::skip;

/// Open MPI's launcher as containers need it, with a limit of time.
const MPIRUN: &str = "timeout 100 mpirun.openmpi --allow-run-as-root --oversubscribe --bind-to none";

/// A folder of the test's own; none, after saying so, without Open MPI.
fn with_mpi(test: &str) -> Option<Folder> {
    match Command::new("mpirun.openmpi").arg("--version").output() {
        Ok(_) => Some(folder(test)),
        Err(error) => {
            skip(test, &format!("mpirun.openmpi: {error}"));
            None
        }
    }
}

/// Runs a script in which `$MPIRUN` is the launcher.
fn run(here: &Folder, script: &str) -> Ran {
    here.bash(&format!("MPIRUN='{MPIRUN}'\n{script}"))
}

/// Asserts exit code 2, soon, and that one rank alone says each of `words`.
fn one_speaks(here: &Folder, script: &str, words: &[&str]) {
    let begun = Instant::now();
    let ran = run(here, script);
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}: {ran}", begun.elapsed());
    let errors: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{ran}");
    words.iter().for_each(|word| assert!(errors[0].contains(word), "`{word}` is not said: {ran}"));
}

#[test]
fn one_rank_says_what_is_wrong() {
    let Some(here) = with_mpi("one_rank_says_what_is_wrong") else { return };
    let train = "$STRATA train ../tiny.toml --output run";
    one_speaks(&here, &format!("$MPIRUN -n 3 {train} --set train.seeed=1"), &["train.seeed", "rank 0 on "]);
    one_speaks(&here, "$MPIRUN -n 3 $STRATA train", &["required arguments"]);
    one_speaks(&here, "$MPIRUN -n 3 $STRATA train --resume ../run --set model.heads=2", &["model.heads", "rank 0 on "]);
    let spread = format!("$MPIRUN -n 5 {train} --set train.expert_parallel=5");
    one_speaks(&here, &spread, &["a block has only 4 experts", "rank 0 on "]);
    let differ = format!("$MPIRUN -n 1 {train} : -n 1 {train} --set train.seed=4");
    one_speaks(&here, &differ, &["rank 1 on ", "another recipe", "(seed = 4 instead of seed = 1)"]);
    here.write("elsewhere/tiny.toml", here.read("../tiny.toml"));
    let elsewhere = "$MPIRUN -n 1 $STRATA train ../tiny.toml --output run : \
                     -n 1 --wdir elsewhere/deep $STRATA train ../../../tiny.toml --output run";
    std::fs::create_dir(here.path("elsewhere/deep")).unwrap();
    one_speaks(&here, elsewhere, &["prepared/tokenizer.json is missing", "rank 1 on "]);
    let no_library = format!("export STRATA_MPI=/nowhere.so\n$MPIRUN -n 3 {train}");
    one_speaks(&here, &no_library, &["rank 0 on ", "no MPI library can be loaded", "STRATA_MPI"]);
    assert!(!here.path("run").exists(), "nothing is left behind");
}

/// `bench ranks` prints a line for each size, once.
#[test]
fn the_speed_of_exchanges_is_said_once() {
    let Some(here) = with_mpi("the_speed_of_exchanges_is_said_once") else { return };
    let ran = run(&here, "$MPIRUN -n 3 $STRATA bench ranks --rounds 3 --json");
    assert_eq!(ran.code, Some(0), "{ran}");
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran}"));
    assert_eq!((&report["ranks"], &report["on_this_host"]), (&3.into(), &3.into()));
    let exchanges = report["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 5);
    for exchange in exchanges {
        let seconds = |key: &str| exchange[key].as_f64().unwrap();
        assert!(0.0 < seconds("best_seconds") && seconds("best_seconds") <= seconds("median_seconds"), "{ran}");
    }
    one_speaks(&here, "$STRATA bench ranks", &["one rank alone", "mpirun -n 2"]);
}
