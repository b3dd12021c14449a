//! Files of results: whole under their name or not there; pipes and devices are written as they are.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::folder;

const LINES: &str = "The dog sees the cat.\nThe cat sees the dog.\n";

#[test]
fn a_file_may_be_translated_onto_itself() {
    let here = folder("itself");
    here.write("f", LINES);
    let expected = here.strata("translate ../run --to qaa f").succeeds().out;
    assert_eq!(expected.lines().count(), 2);
    here.bash("\"$STRATA\" translate ../run --to qaa -o f < f").succeeds();
    assert_eq!(here.read("f"), expected);
    assert_eq!(fs::read_dir(&here.0).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_killed_or_failing_translation_leaves_the_earlier_file() {
    let here = folder("earlier");
    here.write("out", "dear earlier translations\n");
    let mut command = here.command("translate ../run --to qaa -o out");
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(LINES.as_bytes()).unwrap();
    // The lines are translated and flushed, and more could come.
    let beside = || {
        let mut files = fs::read_dir(&here.0).unwrap().map(|entry| entry.unwrap());
        files.any(|file| file.file_name() != "out" && file.metadata().is_ok_and(|found| found.len() > 0))
    };
    let began = Instant::now();
    while !beside() {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing is written");
        sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(here.read("out"), "dear earlier translations\n");
    // A folder among the inputs is refused before anything is translated, a full disk after it.
    here.strata("translate ../run --to qaa -o out ..").fails(&[".."]);
    here.write("long", LINES.repeat(100));
    here.bash("trap '' XFSZ; ulimit -f 0; exec \"$STRATA\" translate ../run --to qaa -o out long --beam 1")
        .fails(&["cannot write"]);
    assert_eq!(here.read("out"), "dear earlier translations\n");
    here.strata_reading("translate ../run --to qaa -o out", LINES).succeeds();
    assert_eq!(here.read("out").lines().count(), 2);
    assert!(!beside() || fs::read_dir(&here.0).unwrap().count() == 2, "what the killed one left is cleared away");
}

#[test]
fn ctrl_c_and_sigterm_leave_nothing_beside_the_place() {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    if ignored.is_some_and(|signals| signals & 0b100_0000_0000_0011 != 0) {
        // Children inherit that, and heed it.
        return strata_testing::skip("signals that clear away", "they are ignored, as by `nohup`");
    }
    let here = folder("interrupted");
    let names = || fs::read_dir(&here.0).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let mut command = here.command("translate ../run --to qaa -o out");
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let began = Instant::now();
        while names().is_empty() {
            assert!(began.elapsed() < Duration::from_secs(120), "nothing is written");
            sleep(Duration::from_millis(10));
        }
        here.bash(&format!("kill -{signal} {}", child.id())).succeeds();
        // By the signal, as without a handler.
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert!(names().is_empty(), "{signal} left {:?}", names());
        drop(input);
    }
    // A folder with files in it; where it could not be caught, it is there whole.
    here.strata("fetch synthetic --languages 1 --pairs 20000 --output bitext -q").succeeds();
    let caught = (0..20).any(|_| {
        let mut child = here.command("prepare bitext --output p --overwrite -q").spawn().unwrap();
        while names().len() == 1 && child.try_wait().unwrap().is_none() {}
        here.bash(&format!("kill -INT {}; true", child.id())).succeeds();
        let caught = child.wait().unwrap().signal() == Some(2);
        let whole = here.path("p").exists();
        assert!(!caught || names().len() == if whole { 2 } else { 1 }, "{:?}", names());
        if whole {
            fs::remove_dir_all(here.path("p")).unwrap();
        }
        caught && !whole
    });
    assert!(caught, "it could not be caught writing");
}

#[test]
fn translations_are_compressed_as_their_name_says() {
    let here = folder("compressed");
    here.write("in", LINES);
    let expected = here.strata("translate ../run --to qaa in").succeeds().out;
    for suffix in ["gz", "zst", "xz", "bz2"] {
        here.strata(&format!("translate ../run --to qaa in -o out.{suffix}")).succeeds();
        // Back in, by its name and by its bytes.
        let named = here.strata(&format!("translate ../run --to en out.{suffix}")).succeeds().out;
        let bytes = here.bash(&format!("\"$STRATA\" translate ../run --to en < out.{suffix}")).succeeds().out;
        assert_eq!((named.lines().count(), &named), (2, &bytes), "{suffix}");
        assert!(!fs::read(here.path(&format!("out.{suffix}"))).unwrap().starts_with(&expected.as_bytes()[..4]));
    }
    let gunzipped = here.bash("gunzip -c out.gz").succeeds().out;
    assert_eq!(gunzipped, expected);
    here.write("in.md", "The dog sees the cat.\n");
    here.refuses("translate ../run --to qaa in.md -o out.md.gz", &["out.md.gz", "documents are not compressed"]);
}

#[test]
fn pipes_and_devices_are_written_straight() {
    let here = folder("pipes");
    here.write("in", LINES);
    let expected = here.strata("translate ../run --to qaa in").succeeds().out;
    let translate = "\"$STRATA\" translate ../run --to qaa in -o";
    here.bash(&format!("mkfifo p; cat p > read & {translate} p; wait")).succeeds();
    assert_eq!(here.read("read"), expected);
    assert_eq!(here.bash(&format!("{translate} /dev/stdout | cat")).succeeds().out, expected);
    here.bash(&format!("echo first > all; {translate} /dev/stdout >> all")).succeeds();
    assert_eq!(here.read("all"), format!("first\n{expected}"));
    here.bash(&format!("{translate} /dev/full")).fails(&["cannot write"]);
    let map = here.bash("\"$STRATA\" vocabulary ../prepared -q -o /dev/stderr 2>&1 >/dev/null").succeeds();
    assert!(map.out.starts_with('{'), "{map}");
}

#[test]
fn a_synthetic_corpus_is_replaced_only_if_asked_and_whole() {
    let here = folder("synthetic");
    let fetch = "fetch synthetic --pairs 100 --output s";
    let four = here.strata(&format!("{fetch} --json")).succeeds().json();
    assert_eq!((&four["languages"][3]["language"], &four["languages"][0]["train"]), (&"qad".into(), &100.into()));
    here.refuses(&format!("{fetch} --languages 2"), &["s already exists", "--overwrite"]);
    here.strata(&format!("{fetch} --languages 2 --overwrite")).succeeds();
    assert_eq!(fs::read_dir(here.path("s")).unwrap().count(), 12, "no file of the larger corpus is left");
    here.strata("fetch dictionaries --languages 3 --words 20 --pairs 100 --output s --overwrite").succeeds();
    assert_eq!(fs::read_dir(here.path("s")).unwrap().count(), 3 * 6 + 1, "nor of a corpus of another kind");
}
