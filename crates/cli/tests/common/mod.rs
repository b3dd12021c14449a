//! What the tests of the binary share: a tiny corpus, a recipe and a trained model, made once per test program, and a
//! way to run `strata` that lets no panic pass.

#![allow(dead_code)] // each test program uses its own part

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use strata_testing::skip;

pub mod http;
pub mod snapshot;

use snapshot::Refusals;

/// A model so small that an update takes milliseconds, with everything whose state a resumed run must restore: dropout,
/// strata, temperature, accumulated batches.
pub const RECIPE: &str = r#"
[data]
prepared = "../prepared"
tokens_per_batch = 200
max_length = 64
temperature = 2.0
[model]
kind = "smoe"
strata = [2, 2]
encoder_layers = 2
decoder_layers = 2
d_model = 16
d_ffn = 32
heads = 2
dropout = 0.2
attention_dropout = 0.1
max_length = 64
[train]
output = "run"
updates = 6
warmup = 4
learning_rate = 1e-2
accumulate = 2
threads = 2
log_every = 1
validate_every = 3
validate_sentences = 5
checkpoint_every = 2
keep_last = 10
[variant.dense]
model.kind = "dense"
model.strata = []
"#;

/// A folder with `bitext` (en, qaa, qab), `prepared`, `tiny.toml` and `run`, a model after six updates.
pub fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}", env!("CARGO_CRATE_NAME")));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("first")).unwrap();
        fs::write(root.join("tiny.toml"), RECIPE).unwrap();
        let first = Folder::at(root.join("first"));
        first.strata("fetch synthetic --languages 2 --pairs 500 --output ../bitext").succeeds();
        first.strata("prepare ../bitext --output ../prepared --vocab-size 400").succeeds();
        first.strata("train ../tiny.toml --output ../run").succeeds();
        root
    })
}

/// Where the programs under test remember the folders that they have verified.
pub fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// A test's own folder, beside the shared ones: `../prepared` and so on.
pub fn folder(name: &str) -> Folder {
    let path = shared().join(name);
    fs::create_dir(&path).unwrap();
    Folder::at(path)
}

/// A folder to run commands in, and the errors that they ended with.
pub struct Folder(pub PathBuf, Refusals);

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.1.check(&self.0);
        }
    }
}

impl Folder {
    /// An existing folder.
    pub fn at(path: PathBuf) -> Folder {
        Folder(path, Refusals::default())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The command of `strata` with arguments that have no spaces in them.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strata"));
        command.args(arguments.split_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", cache());
        command
    }

    /// Runs `strata`.
    pub fn strata(&self, arguments: &str) -> Ran {
        Ran::new(arguments, self.command(arguments).output().unwrap())
    }

    /// Runs `strata` with `input` as its standard input.
    pub fn strata_reading(&self, arguments: &str, input: impl AsRef<[u8]>) -> Ran {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that fails before it reads closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        Ran::new(arguments, child.wait_with_output().unwrap())
    }

    /// Runs a shell script, in which `$STRATA` is the program.
    pub fn bash(&self, script: &str) -> Ran {
        let mut command = Command::new("bash");
        command.args(["-c", script]).env("STRATA", env!("CARGO_BIN_EXE_strata")).env("XDG_CACHE_HOME", cache());
        Ran::new(script, command.current_dir(&self.0).stdin(Stdio::null()).output().unwrap())
    }

    /// Copies a folder of the shared ones, links as links.
    pub fn copy(&self, from: &str, to: &str) {
        let copied = Command::new("cp").arg("-a").arg(self.path(from)).arg(self.path(to)).status().unwrap();
        assert!(copied.success());
    }

    /// Replaces text in a file, which must be there once.
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "{name} has no single `{from}`: {text}");
        self.write(name, text.replace(from, to));
    }

    /// Every file below, hidden ones too, with its content. A run's lock is no content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_symlink() {
                    found.insert(path.clone(), fs::read_link(path).unwrap().into_os_string().into_encoded_bytes());
                } else if path.is_dir() {
                    found.insert(path.clone(), Vec::new());
                    folders.push(path);
                } else if path.file_name().unwrap() != ".lock" {
                    found.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        found
    }

    /// Holds a command's messages against `errors.txt`.
    pub fn records(&self, ran: Ran) -> Ran {
        self.1.add(&ran);
        ran
    }

    /// Asserts that a command fails with code 2, an error that says each of `words`, and no trace in the folder.
    pub fn refuses(&self, arguments: &str, words: &[&str]) {
        let before = self.files();
        self.records(self.strata(arguments).fails(words));
        let after = self.files();
        let changed: Vec<&PathBuf> = after.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty(), "{arguments}: left {changed:?}");
        assert_eq!(before.len(), after.len(), "{arguments}: removed something");
    }
}

/// The Python that `STRATA_SERVE_PYTHON` names, if it has these modules; else the test is skipped.
pub fn python(here: &Folder, test: &str, modules: &str) -> Option<String> {
    let python = std::env::var("STRATA_SERVE_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = here.bash(&format!("\"{python}\" -c 'import {modules}'")).code == Some(0);
    if !found {
        skip(test, &format!("needs a Python that can import {modules}; STRATA_SERVE_PYTHON names one"));
    }
    found.then_some(python)
}

/// The key and the line for the file of keys that `serve --new-key` prints.
pub fn new_key(made: &Ran) -> (String, String) {
    let [key, line] = [&made.err, &made.out].map(|text| text.strip_suffix('\n').unwrap());
    assert!(!key.contains('\n') && !line.contains('\n'), "{made}");
    (key.rsplit(' ').next().unwrap().to_string(), line.to_string())
}

/// How a command ended.
pub struct Ran {
    pub what: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn new(what: &str, output: Output) -> Ran {
        let (out, err) = (output.stdout, output.stderr);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ran = Ran { what: what.to_string(), code: output.status.code(), out: text(out), err: text(err) };
        assert!(!ran.err.contains("panicked"), "{ran}");
        ran
    }

    /// Asserts that it went well.
    pub fn succeeds(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Asserts exit code 2 and one line of error, the last, that says each of `words`.
    pub fn fails(self, words: &[&str]) -> Ran {
        assert_eq!(self.code, Some(2), "{self}");
        let errors: Vec<&str> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self}");
        assert_eq!(self.err.lines().last(), Some(errors[0]), "{self}");
        for word in words {
            assert!(errors[0].contains(word), "`{word}` is not in the error: {self}");
        }
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Ran { what, code, out, err } = self;
        write!(f, "{what}\ncode {code:?}\n--- stdout\n{out}\n--- stderr\n{err}")
    }
}
