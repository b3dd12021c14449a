//! The Python package as Python sees it: `python/tests` and the type checker run on the library that Cargo built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use strata_testing::skip;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The Python that `variable` names, if it can import `module`; else the test is skipped.
fn python(test: &str, variable: &str, module: &str) -> Option<String> {
    let python = std::env::var(variable).unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        skip(test, &format!("needs a Python that can import {module}; {variable} names one"));
        return None;
    }
    Some(python)
}

/// The folder of what Cargo builds for this profile.
fn built() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.parent().and_then(Path::parent).unwrap().to_path_buf()
}

/// The command line, where it is built; else part of the test is skipped.
fn command_line(test: &str) -> Option<PathBuf> {
    let binary = built().join("strata");
    if !binary.is_file() {
        skip(test, "the command line is not built");
        return None;
    }
    Some(binary)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true if entry.file_name() != "__pycache__" => copy(&entry.path(), &to),
            true => {}
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// A folder in which the package lies as an installed one does.
fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("strata_mt");
    copy(&Path::new(ROOT).join("python/strata_mt"), &package);
    let library = built().join("deps/lib_native.so");
    fs::copy(&library, package.join("_native.abi3.so")).unwrap_or_else(|e| panic!("{}: {e}", library.display()));
    folder
}

/// Python's tests of these names, with the package.
fn tests(python: &str, package: &tempfile::TempDir, names: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "unittest"]).args(names).current_dir(ROOT);
    command.env("PYTHONPATH", package.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("STRATA_GOLDEN_MODELS", Path::new(ROOT).join("crates/runtime/tests/golden"));
    command
}

fn passes(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn the_tests_of_the_package_pass() {
    let Some(python) = python("the_tests_of_the_package_pass", "STRATA_PYTHON", "numpy") else { return };
    let package = installed();
    let mut command = tests(&python, &package, &["discover", "-s", "python/tests"]);
    if let Some(binary) = command_line("the_tests_of_the_package_pass") {
        command.env("STRATA_BINARY", binary);
    }
    passes(&command.output().unwrap());
}

#[test]
fn argos_translate_and_libretranslate_run_on_it() {
    let modules = "argostranslate, ctranslate2, libretranslate, numpy";
    let test = "argos_translate_and_libretranslate_run_on_it";
    let Some(python) = python(test, "STRATA_ARGOS_PYTHON", modules) else { return };
    passes(&tests(&python, &installed(), &["python/tests/argos.py"]).output().unwrap());
}

#[test]
fn the_tutorial_runs() {
    let test = "the_tutorial_runs";
    let Some(python) = python(test, "STRATA_PYTHON", "matplotlib, numpy") else { return };
    let Some(binary) = command_line(test) else { return };
    passes(&tests(&python, &installed(), &["python/tests/tutorial.py"]).env("STRATA_BINARY", binary).output().unwrap());
}

#[test]
fn the_types_are_strict() {
    let Some(python) = python("the_types_are_strict", "STRATA_PYTHON", "mypy, numpy") else { return };
    let package = installed();
    let check = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m"]).args(arguments).current_dir(package.path());
        passes(&command.env("PYTHONPATH", package.path()).output().unwrap());
    };
    check(&["mypy", "--strict", "--cache-dir", ".mypy", "strata_mt"]);
    // The stubs say what the library has.
    check(&["mypy.stubtest", "strata_mt._native", "--ignore-missing-stub", "--ignore-disjoint-bases"]);
}
