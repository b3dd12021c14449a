//! `strata` as a user of MPI starts it. Without Open MPI the tests are skipped.

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

/// Asserts that three ranks and one process end, print and warn alike; `mpirun` has a word of its own about exit codes.
fn as_one_process(here: &Folder, command: &str) -> Ran {
    let (alone, shared) = (run(here, command), run(here, &command.replace("$STRATA", "$MPIRUN -n 3 $STRATA")));
    let ours = |ran: &Ran| -> Vec<String> {
        ran.err
            .lines()
            .filter(|line| line.contains("warning: ") || line.contains("error: "))
            .map(String::from)
            .collect()
    };
    assert_eq!(
        (alone.code, &alone.out, ours(&alone)),
        (shared.code, &shared.out, ours(&shared)),
        "{command}: {shared}"
    );
    alone
}

#[test]
fn lines_are_translated_and_scored_as_by_one_process() {
    let Some(here) = with_mpi("lines_are_translated_and_scored_as_by_one_process") else { return };
    let en = here.read("../prepared/text/test.en-qaa.en");
    let qaa = here.read("../prepared/text/test.en-qaa.qaa");
    let take = |text: &str| text.lines().take(30).map(|line| format!("{line}\n")).collect::<String>();
    here.write("in", [take(&en).as_bytes(), b"\n\xff no text\n", take(&en).as_bytes()].concat());
    here.write("en", take(&en));
    here.write("qaa", take(&qaa));
    let translate = "$STRATA translate ../run --to qaa --beam 2 --min-length 4";
    let plain = as_one_process(&here, &format!("{translate} < in"));
    assert_eq!((plain.code, plain.out.lines().count()), (Some(1), 62), "{plain}");
    as_one_process(&here, &format!("{translate} --json --alignments en - < en"));
    as_one_process(&here, &format!("{translate} --nbest 2 --prefixes qaa en"));
    as_one_process(&here, &format!("{translate} --sample --seed 3 en"));
    as_one_process(&here, &format!("{translate} < /dev/null"));
    // More ranks than lines.
    as_one_process(&here, &format!("head -n 1 en | {translate}"));
    run(&here, &format!("$MPIRUN -n 2 {translate} --whole-lines -o out < en")).succeeds();
    assert_eq!(here.read("out"), run(&here, &format!("{translate} --whole-lines < en")).out);
    let score = "$STRATA score ../run";
    as_one_process(&here, &format!("{score} en - --to qaa --json < qaa"));
    as_one_process(&here, &format!("{score} --prepared ../prepared --directions en-qaa --max-sentences 20 --json"));
    as_one_process(&here, &format!("{score} --prepared ../prepared --max-sentences 5"));
}

#[test]
fn documents_and_evaluations_are_those_of_one_process() {
    let Some(here) = with_mpi("documents_and_evaluations_are_those_of_one_process") else { return };
    for i in 0..4 {
        here.write(&format!("{i}.html"), format!("<p>Open the {i} <b>window</b>.</p>"));
    }
    for (folder, launcher) in [("alone", ""), ("shared", "$MPIRUN -n 3 ")] {
        std::fs::create_dir(here.path(folder)).unwrap();
        run(&here, &format!("{launcher}$STRATA translate ../run --to qaa *.html -o {folder}")).succeeds();
    }
    let documents = std::fs::read_dir(here.path("alone")).unwrap().map(|entry| entry.unwrap().file_name());
    let documents: Vec<String> = documents.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(documents.len(), 4);
    documents.iter().for_each(|name| {
        assert_eq!(here.read(&format!("alone/{name}")), here.read(&format!("shared/{name}")));
    });
    let evaluate = "$STRATA evaluate ../run ../prepared --max-sentences 7 --beam 2";
    as_one_process(&here, &format!("{evaluate} --baseline ../run"));
    run(&here, &format!("$MPIRUN -n 3 {evaluate} -o kept")).succeeds();
    run(&here, &format!("{evaluate} -o kept-alone")).succeeds();
    let name = "test.en-qaa.hyp";
    assert_eq!(here.read(&format!("kept/{name}")), here.read(&format!("kept-alone/{name}")));
    as_one_process(&here, "$STRATA evaluate --hypotheses kept/test.en-qaa.hyp --references kept/test.en-qaa.ref");
}

#[test]
fn a_rank_that_cannot_translate_ends_all() {
    let Some(here) = with_mpi("a_rank_that_cannot_translate_ends_all") else { return };
    here.write("in", "one\ntwo\n");
    let translate = "$STRATA translate ../run --to qaa -o out in";
    std::fs::create_dir(here.path("deep")).unwrap();
    let elsewhere = format!("$MPIRUN -n 1 {translate} : -n 1 --wdir deep {translate}");
    one_speaks(&here, &elsewhere, &["../run is not a model", "rank 1 on "]);
    one_speaks(&here, &format!("$MPIRUN -n 3 {translate} missing"), &["missing", "rank 0 on "]);
    one_speaks(&here, "$MPIRUN -n 3 $STRATA translate ../run --to xx in", &["does not translate into `xx`"]);
    assert!(!here.path("out").exists(), "no half of a translation");
}
