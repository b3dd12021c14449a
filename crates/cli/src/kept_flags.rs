//! Commands and flags of released versions: a later version takes every command line of theirs (docs/stability.md).
//!
//! `tests/flags-VERSION.json` lists what a version takes. Before that version is released, `STRATA_BLESS=1 cargo test
//! --release -p strata-mt kept_flags` adds what is new; an entry goes by hand, when the time of a flag is up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};
use serde::{Deserialize, Serialize};

use crate::command_line::command;

/// What an argument takes, as far as a command line depends on it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Taken {
    /// It has a value.
    value: bool,
    /// The command does not run without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    /// The values there are to choose from, where they are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

/// Arguments by name (`--beam`, `-q`, or the place of one without a flag: `2`), for every command (`bench text`).
type Flags = BTreeMap<String, BTreeMap<String, Taken>>;

fn names(argument: &Arg) -> Vec<String> {
    let long = argument.get_long().into_iter().chain(argument.get_all_aliases().unwrap_or_default());
    let mut names: Vec<String> = long.map(|name| format!("--{name}")).collect();
    names.extend(argument.get_short().map(|letter| format!("-{letter}")));
    names.extend(argument.get_index().map(|place| place.to_string()));
    names
}

fn add(command: &Command, path: &str, flags: &mut Flags) {
    let own = flags.entry(path.to_string()).or_default();
    // Global options and the help are the same everywhere.
    let everywhere = |argument: &Arg| argument.is_global_set() || argument.get_id() == "help";
    for argument in command.get_arguments().filter(|argument| path.is_empty() || !everywhere(argument)) {
        let possible = argument.get_possible_values();
        for name in names(argument) {
            let values = possible.iter().map(|value| value.get_name().to_string()).collect();
            let value = argument.get_action().takes_values();
            own.insert(name, Taken { value, required: argument.is_required_set(), values });
        }
    }
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        add(sub, format!("{path} {}", sub.get_name()).trim_start(), flags);
    }
}

fn flags_now() -> Flags {
    let (mut command, mut flags) = (command(), Flags::new());
    command.build();
    add(&command, "", &mut flags);
    flags
}

/// What `now` no longer takes of what `kept` took.
fn lost(kept: &Flags, now: &Flags) -> Vec<String> {
    let mut lost = Vec::new();
    for (command, arguments) in kept {
        let Some(here) = now.get(command) else {
            lost.push(format!("the command `{command}`"));
            continue;
        };
        for (name, taken) in arguments {
            let Some(found) = here.get(name) else {
                lost.push(format!("`{command} {name}`"));
                continue;
            };
            if found.value != taken.value {
                lost.push(format!("`{command} {name}`: whether it has a value"));
            }
            let listed = !found.values.is_empty();
            let missing = taken.values.iter().filter(|value| listed && !found.values.contains(value));
            lost.extend(missing.map(|value| format!("`{command} {name} {value}`")));
        }
        for (name, found) in here.iter().filter(|(_, found)| found.required) {
            if !arguments.get(name).is_some_and(|taken| taken.required) {
                lost.push(format!("`{command}` without {name}{}", if found.value { " and a value" } else { "" }));
            }
        }
    }
    lost
}

fn read(path: &Path) -> Flags {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Adds to the file at `path` what it lacks of `now`.
fn bless(path: &Path, now: Flags) {
    let mut kept = if path.exists() { read(path) } else { Flags::new() };
    for (command, arguments) in now {
        let known = kept.entry(command).or_default();
        for (name, taken) in arguments {
            known.entry(name).or_insert(taken);
        }
    }
    fs::write(path, json(&kept)).unwrap();
}

/// JSON with a line for each argument.
fn json(flags: &Flags) -> String {
    let line = |(name, taken): (&String, &Taken)| format!("    {name:?}: {}", serde_json::to_string(taken).unwrap());
    let commands = flags.iter().map(|(command, arguments)| {
        let lines: Vec<String> = arguments.iter().map(line).collect();
        format!("  {command:?}: {{\n{}\n  }}", lines.join(",\n"))
    });
    format!("{{\n{}\n}}\n", commands.collect::<Vec<String>>().join(",\n"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

#[test]
fn command_lines_of_every_release_are_taken() {
    let now = flags_now();
    if std::env::var_os("STRATA_BLESS").is_some() {
        bless(&folder().join(format!("flags-{}.json", env!("CARGO_PKG_VERSION"))), flags_now());
    }
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("flags-"));
    let mut versions = 0;
    for path in files {
        let kept = read(&path);
        let lost = lost(&kept, &now);
        assert!(lost.is_empty(), "{}: no longer taken, and docs/stability.md says they are: {lost:#?}", path.display());
        assert!(kept["translate"]["--to"].required && kept["translate"]["--precision"].values.len() == 3);
        versions += 1;
    }
    assert!(versions > 0);
}

#[test]
fn what_is_lost_is_named() {
    let flags = |text: &str| serde_json::from_str::<Flags>(text).unwrap();
    let kept = flags(
        r#"{"translate": {"--to": {"value": true}, "--json": {"value": false},
            "--precision": {"value": true, "values": ["f32", "int8"]}}, "score": {}}"#,
    );
    let now = flags(
        r#"{"translate": {"--to": {"value": true, "required": true}, "--json": {"value": true},
            "--precision": {"value": true, "values": ["f32", "bf16"]}, "--new": {"value": false}}}"#,
    );
    assert_eq!(
        lost(&kept, &now),
        [
            "the command `score`",
            "`translate --json`: whether it has a value",
            "`translate --precision int8`",
            "`translate` without --to and a value"
        ]
    );
    assert!(lost(&kept, &kept).is_empty());
    assert_eq!(flags(&json(&kept)), kept);
    assert_eq!(lost(&flags(r#"{"a": {"-q": {"value": false}}}"#), &flags(r#"{"a": {}}"#)), ["`a -q`"]);
}
