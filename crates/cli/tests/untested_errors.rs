//! Error messages that no test of the binary meets: a message in the sources that fits nothing in `errors.txt` must be
//! in `untested_errors.txt`, so that review sees a new error without a test. Cargo runs this after the tests that write
//! `errors.txt`, because it runs test programs in alphabetical order.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::snapshot;

const HEADER: &str = "\
# Error messages of the libraries and of this program that no test of the binary meets, as their sources write them: errors that this
# command line cannot cause, and faults of the machine that a test cannot make.
# Written by: STRATA_BLESS=1 cargo test --release -p strata-mt
";

/// An error's file, variant and message.
struct Message {
    place: String,
    text: String,
}

/// The messages of `#[error("...")]` in all crates. Those that only hold another one have no words of their own.
fn messages() -> Vec<Message> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![crates.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for part in source.split("#[error(").skip(1) {
            let Some((text, rest)) = part.trim_start().strip_prefix('"').and_then(literal) else { continue };
            let place = format!("{} {}", file.strip_prefix(crates).unwrap().display(), variant(rest));
            found.push(Message { place, text });
        }
        if file.starts_with(crates.join("cli")) {
            let place = file.strip_prefix(crates).unwrap().display();
            let program = source.split("#[cfg(test)]").next().unwrap();
            found.extend(made_in_place(program).map(|text| Message { place: place.to_string(), text }));
        }
    }
    found
}

/// The messages of `anyhow!`, `bail!`, `ensure!` and `context`, in which this program says what no library can.
fn made_in_place(source: &str) -> impl Iterator<Item = String> {
    let begins = |start: &'static str| {
        let after = source.split(start).skip(1);
        after.filter_map(|rest| literal(rest.trim_start().strip_prefix('"')?)).map(|(text, _)| text)
    };
    let made = ["anyhow!(", "bail!(", ".context(", "context(|| format!("].map(begins).into_iter().flatten();
    // Behind a condition: the first literal that begins an argument.
    let ensured = source.split("ensure!(").skip(1).filter_map(|rest| {
        let arguments = rest.split(',').skip(1).zip(rest.match_indices(',').map(|(at, _)| at + 1));
        let at = arguments.into_iter().find(|(argument, _)| argument.trim_start().starts_with('"'))?.1;
        literal(rest[at..].trim_start().strip_prefix('"')?).map(|(text, _)| text)
    });
    made.chain(ensured)
}

/// A string literal without its first quote, and what follows it.
fn literal(source: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, &source[at + 1..])),
            '\\' => match chars.next()?.1 {
                // A line continued in the next one, without its indent.
                '\n' => {
                    let rest = chars.as_str().trim_start();
                    let (more, rest) = literal(rest)?;
                    return Some((text + &more, rest));
                }
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
    None
}

/// The name behind an attribute, other attributes and comments.
fn variant(rest: &str) -> &str {
    let lines = rest.lines().skip_while(|line| !line.trim_end().ends_with(")]")).skip(1).map(str::trim);
    let mut lines = lines.skip_while(|line| line.starts_with("///") || line.starts_with("#["));
    let name = lines.next().unwrap_or_default();
    name.trim_start_matches("pub struct ").split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

/// The words of a message between what is filled in.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                words.push(String::new());
            }
            c if depth == 0 => words.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    words
}

fn fits(words: &[String], line: &str) -> bool {
    let mut rest = line;
    for word in words {
        let Some((_, after)) = rest.split_once(word.as_str()) else { return false };
        rest = after;
    }
    true
}

#[test]
fn messages_are_taken_apart() {
    let (text, rest) = literal("a {x}\\\n   b \\\"c\\\"\")]\n    /// Doc.\n    Name {").unwrap();
    assert_eq!((text.as_str(), variant(rest)), ("a {x}b \"c\"", "Name"));
    assert_eq!(words(&text), ["a ", "b \"c\""]);
    let source =
        r#"ensure!(a == "x", "--a {b}: no, \"c\""); bail!("one {}", x); y.with_context(|| format!("two {z}"))"#;
    assert_eq!(made_in_place(source).collect::<Vec<_>>(), ["one {}", "two {z}", "--a {b}: no, \"c\""]);
    assert!(fits(&words("cannot {action} {path}: {source}"), "error: cannot read x: no such file"));
    assert!(!fits(&words("{path} is missing"), "error: x is damaged"));
}

#[test]
fn every_error_message_is_met_by_a_test_or_listed() {
    let met = fs::read_to_string(snapshot::file()).unwrap();
    let met: Vec<&str> = met.lines().filter(|line| !line.starts_with(['$', '#'])).collect();
    let all = messages();
    assert!(all.len() > 60, "{} messages", all.len());
    let mut untested = String::new();
    for Message { place, text } in &all {
        let words = words(text);
        let says_something = words.iter().any(|word| word.trim().len() > 3);
        if says_something && !met.iter().any(|line| fits(&words, line)) {
            untested += &format!("\n{place}\n    {text}\n");
        }
    }
    let found = format!("{HEADER}{untested}");
    let list = snapshot::file().with_file_name("untested_errors.txt");
    if snapshot::blessing() {
        return fs::write(list, found).unwrap();
    }
    let listed = fs::read_to_string(&list).unwrap();
    assert!(
        found == listed,
        "the messages that no test meets are not those of untested_errors.txt; test the new ones, or run the tests of \
         strata-mt with STRATA_BLESS=1 and look at the change\n--- now\n{found}"
    );
}
