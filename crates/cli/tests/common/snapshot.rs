//! The messages of refused commands, held against `tests/errors.txt`, so that a reworded message shows in review.
//!
//! Each section of the file belongs to one test's folder and lists what was refused there, in order. With
//! `STRATA_BLESS=1` the tests rewrite their sections instead of comparing them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Ran;

/// What was refused in a folder so far.
#[derive(Default)]
pub struct Refusals(Mutex<Vec<String>>);

/// The file of all messages.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors.txt")
}

/// Whether the tests write what they see instead of comparing it.
pub fn blessing() -> bool {
    std::env::var_os("STRATA_BLESS").is_some_and(|value| value == "1")
}

const HEADER: &str = "\
# All error messages that the tests of the binary meet. Each test's folder has a section with its failing commands,
# their errors and warnings, and their exit codes. NUMBER stands for a process's or a file's, ROOT for the
# tests' folder, STRATA for the program.
# Written by: STRATA_BLESS=1 cargo test --release -p strata-mt
";

impl Refusals {
    /// Adds a command's messages: progress before them differs between runs.
    pub fn add(&self, ran: &Ran) {
        let is_message = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
        let mut messages: Vec<&str> = ran.err.lines().skip_while(|line| !is_message(line)).collect();
        if ran.code != Some(2) {
            messages.retain(is_message);
        }
        let code = ran.code.map_or("a signal".to_string(), |code| code.to_string());
        let text = format!("$ strata {}\n{}\n(exit {code})\n", ran.what, messages.join("\n"));
        self.0.lock().unwrap().push(settled(&text));
    }

    /// Compares or writes the section of a folder, which has seen all its commands.
    pub fn check(&self, folder: &Path) {
        let refusals = self.0.lock().unwrap();
        if refusals.is_empty() {
            return;
        }
        let name = format!("{}: {}", env!("CARGO_CRATE_NAME"), folder.file_name().unwrap().to_str().unwrap());
        let found = refusals.join("\n");
        if blessing() {
            return bless(name, found);
        }
        let sections = sections(&fs::read_to_string(file()).unwrap_or_default());
        let expected = sections.get(&name).map_or("", String::as_str);
        assert!(
            found == expected,
            "the messages of `{name}` are not those of errors.txt; if the new ones are meant, run the tests of \
             strata-mt with STRATA_BLESS=1 and look at the change\n--- errors.txt\n{expected}\n--- now\n{found}"
        );
    }
}

/// Without what differs between runs and machines.
fn settled(text: &str) -> String {
    let text = text.replace(super::shared().to_str().unwrap(), "ROOT").replace(env!("CARGO_BIN_EXE_strata"), "STRATA");
    let words: Vec<&str> = text.split(' ').collect();
    let settle = |(place, word): (usize, &&str)| {
        let before = place.checked_sub(1).map_or("", |before| words[before]);
        let after = words.get(place + 1).copied().unwrap_or("");
        let digits = word.chars().take_while(char::is_ascii_digit).count();
        if before.ends_with("process") && digits > 0 {
            format!("NUMBER{}", &word[digits..])
        } else if before == "of" && after.starts_with("bytes") {
            // A state's length varies with the seconds that it holds, and so does half of it.
            "NUMBER".to_string()
        } else if word.starts_with('(')
            && after == "of"
            && words.get(place + 3).is_some_and(|unit| unit.starts_with("bytes"))
        {
            "(NUMBER".to_string()
        } else {
            word.to_string()
        }
    };
    words.iter().enumerate().map(settle).collect::<Vec<_>>().join(" ")
}

/// The sections of the file by name.
pub fn sections(text: &str) -> BTreeMap<String, String> {
    let parts = text.split("\n## ").skip(1).filter_map(|part| part.split_once("\n\n"));
    parts.map(|(name, body)| (name.to_string(), body.trim_end().to_string() + "\n")).collect()
}

fn bless(name: String, found: String) {
    // Tests of several processes may write at the same time.
    let lock = fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("errors.lock")).unwrap();
    lock.lock().unwrap();
    let mut sections = sections(&fs::read_to_string(file()).unwrap_or_default());
    sections.insert(name, found);
    let body: String = sections.iter().map(|(name, body)| format!("\n## {name}\n\n{body}")).collect();
    fs::write(file(), format!("{HEADER}{body}")).unwrap();
}
