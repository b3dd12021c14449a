//! What the documents say about the repository is true: ARCHITECTURE.md's picture and tables against Cargo's metadata,
//! links against the files, and the width of the prose.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Each crate of the workspace by its folder: the workspace's crates that it builds on, and all else that it uses.
struct Packages {
    own: BTreeMap<String, BTreeSet<String>>,
    outside: BTreeSet<String>,
}

fn packages() -> Packages {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(ROOT).output().expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut found = Packages { own: BTreeMap::new(), outside: BTreeSet::new() };
    for package in metadata["packages"].as_array().expect("packages") {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a manifest"));
        let uses = found.own.entry(last_part(manifest.parent().expect("a folder"))).or_default();
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            match dependency["path"].as_str() {
                Some(own) if dependency["kind"].is_null() => drop(uses.insert(last_part(Path::new(own)))),
                Some(_) => {}
                None => drop(found.outside.insert(dependency["name"].as_str().expect("a name").to_string())),
            }
        }
    }
    found
}

fn last_part(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// The part of ARCHITECTURE.md under a heading of the second level.
fn section(heading: &str) -> String {
    let text = read("ARCHITECTURE.md");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading `{heading}`"));
    rest.split("\n## ").next().expect("a section").to_string()
}

/// The cells of a section's table, without its head.
fn rows(section: &str) -> Vec<Vec<String>> {
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

/// What stands in backticks in a cell.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn the_picture_of_the_crates_is_true() {
    let own = packages().own;
    let section = section("The crates");
    let picture: Vec<Vec<&str>> = section
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let line_of = |name: &str| {
        let lines: Vec<usize> = (0..picture.len()).filter(|i| picture[*i].contains(&name)).collect();
        assert_eq!(lines.len(), 1, "ARCHITECTURE.md's picture should show the crate {name} once");
        lines[0]
    };
    for (name, uses) in &own {
        for used in uses {
            assert!(line_of(name) < line_of(used), "{name} uses {used}, which ARCHITECTURE.md does not draw below it");
        }
    }
    assert_eq!(
        picture.iter().flatten().count(),
        own.len(),
        "ARCHITECTURE.md's picture shows crates that are not there"
    );

    let said: BTreeMap<String, BTreeSet<String>> = rows(&section)
        .iter()
        .map(|row| {
            let uses = row[2].split(", ").filter(|name| !name.is_empty()).map(str::to_string).collect();
            (code(&row[0]).remove(0), uses)
        })
        .collect();
    for (name, uses) in &own {
        let expected = uses.iter().cloned().collect::<Vec<_>>().join(", ");
        assert_eq!(said.get(name), Some(uses), "ARCHITECTURE.md's row of `{name}` should end with: | {expected} |");
    }
    assert_eq!(said.len(), own.len(), "ARCHITECTURE.md's table names crates that are not there");
}

#[test]
fn every_dependency_has_its_reason() {
    let outside = packages().outside;
    let named: BTreeSet<String> = rows(&section("Dependencies")).iter().flat_map(|row| code(&strip(&row[0]))).collect();
    let missing: Vec<_> = outside.difference(&named).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not say why there is {missing:?}");
    let gone: Vec<_> = named.difference(&outside).collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md gives reasons for {gone:?}, which nothing uses");
}

/// A cell without what stands in parentheses, such as a dependency's features.
fn strip(cell: &str) -> String {
    let mut parts = cell.split(['(', ')']);
    std::iter::from_fn(|| Some((parts.next()?, parts.next()))).map(|(outside, _)| outside).collect()
}

/// All Markdown files, as paths from the root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/measurements"] {
        for entry in std::fs::read_dir(Path::new(ROOT).join(folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                found.push(Path::new(folder).join(name));
            }
        }
    }
    found
}

/// A heading as the address that Markdown gives it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn links_lead_somewhere() {
    for path in documents() {
        let text = read(path.to_str().expect("UTF-8"));
        let folder = path.parent().expect("a folder");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            let full = Path::new(ROOT).join(&target);
            assert!(full.exists(), "{} links to {link}, which is not there", path.display());
            // The site is made of docs/ alone.
            let stays = full.canonicalize().unwrap().starts_with(Path::new(ROOT).join("docs").canonicalize().unwrap());
            assert!(stays || !path.starts_with("docs"), "{} links out of docs/: {link}", path.display());
            if !part.is_empty() {
                let target = std::fs::read_to_string(&full).expect("a document");
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#')) == part);
                assert!(found, "{} links to {link}, but there is no such heading", path.display());
            }
        }
    }
}

#[test]
fn the_site_has_every_page() {
    let summary = read("docs/SUMMARY.md");
    for path in documents().iter().filter(|path| path.starts_with("docs") && !path.ends_with("SUMMARY.md")) {
        let name = path.strip_prefix("docs").expect("a page").display().to_string();
        assert!(summary.contains(&format!("]({name})")), "docs/SUMMARY.md does not list {name}");
    }
}

/// Adds the Rust sources below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn prose_is_wrapped() {
    let too_long = |line: &str| line.chars().count() > 120 && line.trim().contains(' ');
    for path in documents() {
        let mut code = false;
        for (i, line) in read(path.to_str().expect("UTF-8")).lines().enumerate() {
            code ^= line.starts_with("```");
            let table = line.starts_with('|') || line.starts_with("    ") || code;
            assert!(table || !too_long(line), "{}, line {}: wrap prose at 120 columns", path.display(), i + 1);
        }
    }
    let mut files = Vec::new();
    ["crates", "fuzz/fuzz_targets"].iter().for_each(|folder| sources(&Path::new(ROOT).join(folder), &mut files));
    for path in files {
        for (i, line) in std::fs::read_to_string(&path).expect("a source").lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            assert!(!comment || !too_long(line), "{}, line {}: wrap comments at 120", path.display(), i + 1);
        }
    }
}
