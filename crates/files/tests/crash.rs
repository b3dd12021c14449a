//! SIGKILL at any moment, or a signal after which the writer clears away: a folder and a file that are replaced again
//! and again are always whole.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use strata_files::{Checksums, Existing, FolderWriter, clean_leftovers, clear_scratch, write_file};

const FOLDER: &str = "STRATA_FILES_TEST_FOLDER";

/// Replaces the folder `m` and the file `note` by those of a round.
fn write(dir: &Path, round: u64) {
    let mut folder = FolderWriter::new(dir.join("m")).unwrap();
    for name in ["a", "sub/b"] {
        folder.write(name, &round.to_le_bytes().repeat(10_000)).unwrap();
    }
    folder.commit(Existing::Replace).unwrap();
    write_file(dir.join("note"), &round.to_le_bytes().repeat(10_000)).unwrap();
}

/// The round of the folder and that of the file, each read whole.
fn read(dir: &Path) -> (u64, u64) {
    Checksums::read(dir.join("m")).unwrap().verify_all(dir.join("m")).unwrap();
    let round = |name: &str| {
        let bytes = fs::read(dir.join(name)).unwrap();
        assert_eq!(bytes, bytes[..8].repeat(10_000), "{name} mixes two rounds");
        u64::from_le_bytes(bytes[..8].try_into().unwrap())
    };
    assert_eq!(round("m/a"), round("m/sub/b"));
    (round("m/a"), round("note"))
}

#[test]
#[ignore = "the child process of the tests below, not a test"]
fn child_writes_until_killed() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let dir = Path::new(&dir);
    // The end of its input stands for a signal.
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        clear_scratch();
        std::process::exit(0);
    });
    let start = read(dir).0;
    for round in start + 1.. {
        write(dir, round);
        println!("wrote {round}");
    }
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_killed", "--ignored", "--nocapture"])
        .env(FOLDER, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_writer_that_clears_away_leaves_what_it_has_put_in_place_whole() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    write(dir.path(), 0);
    for stop in 0..60 {
        let mut child = start(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        lines.find(|line| line.contains("wrote ")).unwrap();
        thread::sleep(Duration::from_micros(stop * 300 % 7000));
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
        let (folder, file) = read(dir.path());
        assert!(folder - file <= 1, "{folder} {file}");
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 2, "only the folder and the file are left");
    }
}

#[test]
fn a_killed_writer_leaves_the_earlier_or_the_new_and_nothing_between() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(); // a real disk, /tmp may be memory
    write(dir.path(), 0);
    let (mut leftovers, mut written) = (0, 0);
    for kill in 0..20 {
        let mut child = start(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.find_map(|line| line.split_once("wrote ")?.1.parse::<u64>().ok()).unwrap();
        thread::sleep(Duration::from_millis(kill * 3 % 20));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "the child died on its own");
        let reported = lines.filter_map(|line| line.split_once("wrote ")?.1.parse().ok()).last().unwrap_or(first);
        leftovers += clean_leftovers(dir.path()).unwrap().len();
        let (folder, file) = read(dir.path());
        assert!(folder >= reported && file >= reported, "{folder} and {file} after {reported}");
        assert!(folder - file <= 1);
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 2, "only the folder and the file are left");
        written = folder;
    }
    println!("{written} rounds, {leftovers} leftovers cleaned");
    assert!(written >= 20 && leftovers > 0, "the kills hit no write; the test proves nothing");
}
