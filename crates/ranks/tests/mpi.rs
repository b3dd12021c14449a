//! The same under `mpirun`: each test starts this test program again as several ranks. Without `mpirun`, or without the
//! library that belongs to it, the tests are skipped.

mod common;

use std::io::Write;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::all_operations;
use strata_ranks::{Launch, Ranks};

/// What the ranks do, in the environment of their processes.
const WORK: &str = "STRATA_TEST_RANK_WORK";

/// An implementation of MPI: its launcher, and what that needs to start more ranks than processors as root.
struct Kind {
    launcher: &'static str,
    options: &'static [&'static str],
}

const OPEN_MPI: Kind =
    Kind { launcher: "mpirun.openmpi", options: &["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"] };
const MPICH: Kind = Kind { launcher: "mpiexec.mpich", options: &[] };

/// Runs this test program as `ranks` ranks that do `work`; none, after saying so, where `kind` is not installed.
fn launch(test: &str, kind: &Kind, ranks: usize, work: &str, environment: &[(&str, &str)]) -> Option<Output> {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(kind.launcher);
    command.args(kind.options).args(["-n", &ranks.to_string()]).arg(program);
    command.args(["--exact", "ranks_work", "--nocapture", "--test-threads=1"]);
    strata_ranks::forget_launch(&mut command);
    command.env(WORK, work).envs(environment.iter().copied());
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            strata_testing::skip(test, &format!("{}: {error}", kind.launcher));
            None
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn report(message: &str) {
    eprintln!("{message}");
}

/// What each rank runs; nothing where no test started it.
#[test]
fn ranks_work() {
    let Ok(work) = std::env::var(WORK) else { return };
    let ranks = match Ranks::of_environment(report) {
        Ok(ranks) => ranks,
        Err(error) => {
            eprintln!("cannot start: {error}");
            std::process::exit(3);
        }
    };
    match work.as_str() {
        "operations" => all_operations(&ranks),
        "abort" if ranks.rank() == 1 => ranks.abort(9),
        "exit" if ranks.rank() == 1 => std::process::exit(4),
        "stop" if ranks.rank() == 1 => {
            let me = std::process::id().to_string();
            Command::new("kill").args(["-STOP", &me]).status().unwrap();
        }
        "abort" | "exit" | "stop" => drop(ranks.barrier()),
        other => panic!("unknown work {other}"),
    }
    ranks.finish().unwrap();
    let launcher = Launch::of_environment().map(|launch| launch.launcher);
    // In one write: launchers mix up what ranks write in pieces.
    let done = format!("done {} of {} {launcher:?}\n", ranks.rank(), ranks.size());
    std::io::stderr().write_all(done.as_bytes()).unwrap();
}

fn all_done(test: &str, kind: &Kind) {
    for ranks in [1, 2, 4] {
        let Some(output) = launch(test, kind, ranks, "operations", &[]) else { return };
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        for rank in 0..ranks {
            assert!(text.contains(&format!("done {rank} of {ranks}")), "{text}");
        }
    }
}

#[test]
fn every_operation_works_on_open_mpi() {
    all_done("every_operation_works_on_open_mpi", &OPEN_MPI);
}

#[test]
fn every_operation_works_on_mpich() {
    all_done("every_operation_works_on_mpich", &MPICH);
}

#[test]
fn without_a_library_each_rank_says_what_to_do() {
    let variables = [("STRATA_MPI", "/nowhere/libmpi.so")];
    let test = "without_a_library_each_rank_says_what_to_do";
    let Some(output) = launch(test, &OPEN_MPI, 2, "operations", &variables) else { return };
    let text = text(&output);
    assert!(!output.status.success());
    let expected = "cannot start: started by Open MPI's mpirun as 2 processes, but no MPI library can be loaded";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("name its library in STRATA_MPI"), "{text}");
}

#[test]
fn the_library_of_another_mpi_is_named() {
    let test = "the_library_of_another_mpi_is_named";
    let variables = [("STRATA_MPI", "libmpich.so.12")];
    let Some(output) = launch(test, &OPEN_MPI, 2, "operations", &variables) else { return };
    let text = text(&output);
    if text.contains("cannot be loaded") || text.contains("can be loaded") {
        return strata_testing::skip(test, "no libmpich.so.12");
    }
    assert!(!output.status.success());
    assert!(text.contains("the library belongs to another MPI than the launcher"), "{text}");
}

/// Whatever ends one rank ends all, soon.
#[test]
fn a_rank_that_fails_takes_all_down() {
    let test = "a_rank_that_fails_takes_all_down";
    for (work, seconds) in [("abort", 10), ("exit", 10), ("stop", 40)] {
        let begun = Instant::now();
        let Some(output) = launch(test, &OPEN_MPI, 3, work, &[]) else { return };
        let text = text(&output);
        assert!(!output.status.success(), "{work}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{work} took {:?}: {text}", begun.elapsed());
        if work == "stop" {
            assert!(text.contains("nothing was heard from rank 1"), "{text}");
        }
    }
}
