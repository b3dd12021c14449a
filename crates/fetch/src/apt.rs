//! apt: which package versions there are, and their download. No root is needed: the system's package lists are only
//! read, and where they are empty or out of date, fresh ones are downloaded into a folder of our own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strata_files::IoContext;

use crate::child::watch;
use crate::error::Error;

/// The version of a package that apt would install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub package: String,
    pub version: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// SHA-256 of the .deb, from apt's signed lists.
    pub sha256: String,
}

/// Why a download failed, as far as apt's words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No server answers.
    Offline,
    /// The lists name files the servers no longer have.
    StaleLists,
    /// The disk is full.
    NoSpace,
    /// Anything else.
    Other,
}

/// The outcome of a download: what went wrong and what apt said of it, or nothing.
pub(crate) type Outcome = Result<(), (Fault, String)>;

/// apt's two programs, and the options they are called with.
pub(crate) struct Apt {
    get: PathBuf,
    cache: PathBuf,
    /// Our own lists: options that make apt use them, once they are wanted.
    private: PathBuf,
    options: Vec<OsString>,
}

impl Apt {
    /// Checks that apt is there. `private` is a folder for package lists of our own.
    pub(crate) fn locate(get: &Path, cache: &Path, private: PathBuf) -> Result<Apt, Error> {
        let apt = Apt { get: get.to_owned(), cache: cache.to_owned(), private, options: Vec::new() };
        for program in [get, cache] {
            apt.run(program, &["--version".into()])?;
        }
        Ok(apt)
    }

    /// The candidates among `packages` that apt knows, by name.
    pub(crate) fn candidates(&self, packages: &[String]) -> Result<BTreeMap<String, Candidate>, Error> {
        let mut arguments: Vec<OsString> = vec!["--no-all-versions".into(), "show".into()];
        arguments.extend(packages.iter().map(OsString::from));
        let (stdout, _) = self.run(&self.cache, &arguments)?; // its status only says whether it knew them all
        let records = parse_records(&stdout).into_iter().filter(|c| packages.contains(&c.package));
        Ok(records.map(|c| (c.package.clone(), c)).collect())
    }

    /// Downloads fresh package lists into our own folder and uses them from now on. Returns what apt complained of.
    /// That alone decides nothing: a third party's list may fail without harm, and apt calls an update without a
    /// network a success. Only asking for the candidates again shows whether it helped.
    pub(crate) fn update_private(&mut self) -> Result<(Fault, String), Error> {
        for folder in ["lists/partial", "cache/archives/partial"] {
            let path = self.private.join(folder);
            fs::create_dir_all(&path).io_context("create", &path)?;
        }
        let set = |key: &str, folder: &str| {
            let mut value = OsString::from(format!("{key}="));
            value.push(absolute(&self.private.join(folder)));
            ["-o".into(), value]
        };
        self.options = [set("Dir::State::Lists", "lists"), set("Dir::Cache", "cache")].concat();
        let (_, stderr) = self.run(&self.get, &["-qq".into(), "update".into()])?;
        Ok((fault(&stderr), first_errors(&stderr)))
    }

    /// Downloads packages into `folder`, calling `on_bytes` with the bytes that have arrived so far. Files that arrived
    /// completely stay there even if others fail.
    pub(crate) fn download(
        &self,
        wanted: &[&Candidate],
        folder: &Path,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<Outcome, Error> {
        let mut command = self.command(&self.get);
        command.args(["-qq", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30", "download"]);
        command.args(wanted.iter().map(|c| format!("{}={}", c.package, c.version)));
        command.current_dir(folder);
        let (status, errors) =
            watch(command, &mut || on_bytes(bytes_in(folder))).map_err(|e| self.cannot_run(&self.get, e))?;
        Ok(if status.success() { Ok(()) } else { Err((fault(&errors), first_errors(&errors))) })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    fn run(&self, program: &Path, arguments: &[OsString]) -> Result<(String, String), Error> {
        let output = self.command(program).args(arguments).output().map_err(|e| self.cannot_run(program, e))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    }

    fn cannot_run(&self, program: &Path, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::NotFound => Error::NoApt { program: program.to_owned() },
            _ => strata_files::Error::io("run", program, error).into(),
        }
    }
}

/// apt would look for a relative folder in its own.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Bytes of the packages in a folder, finished or not.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|e| e.metadata().ok()).filter(fs::Metadata::is_file).map(|m| m.len()).sum()
}

/// The records of `apt-cache show`: paragraphs of `Field: value` lines. Incomplete ones are left out, and of several
/// with one name the first stays.
fn parse_records(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for record in text.split("\n\n") {
        let field = |name: &str| record.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ")).map(str::trim);
        let (Some(package), Some(version), Some(size), Some(sha256)) =
            (field("Package"), field("Version"), field("Size").and_then(|s| s.parse().ok()), field("SHA256"))
        else {
            continue;
        };
        if found.iter().all(|c| c.package != package) {
            let (package, version) = (package.to_owned(), version.to_owned());
            found.push(Candidate { package, version, size, sha256: sha256.to_ascii_lowercase() });
        }
    }
    found
}

/// Tells what kind of failure apt's messages describe.
fn fault(messages: &str) -> Fault {
    let says = |phrases: &[&str]| phrases.iter().any(|p| messages.contains(p));
    if says(&["No space left", "enough free space", "Disk quota exceeded"]) {
        Fault::NoSpace
    } else if says(&[
        "404",
        "was not found",
        "File has unexpected size",
        "Hash Sum mismatch",
        "Unable to locate package",
    ]) {
        Fault::StaleLists
    } else if says(&[
        "Could not resolve",
        "Temporary failure resolving",
        "Could not connect",
        "Cannot initiate the connection",
        "Unable to connect",
        "Network is unreachable",
        "connection timed out",
        "Connection timed out",
        "Connection failed",
        "Connection refused",
        "Something wicked happened resolving",
    ]) {
        Fault::Offline
    } else {
        Fault::Other
    }
}

/// The first two errors (else warnings) among apt's messages, without their marks, in one line.
fn first_errors(messages: &str) -> String {
    let marked =
        |mark: &str| messages.lines().filter_map(|l| l.strip_prefix(mark)).take(2).collect::<Vec<_>>().join("; ");
    let line = [marked("E: "), marked("W: ")].into_iter().find(|l| !l.is_empty()).unwrap_or_default();
    line.chars().take(400).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let text = "Package: a-doc\nVersion: 1:2.0-1\nDescription: x\n more\nSize: 120\nSHA256: ABcd\n\n\
                    Package: a-doc\nVersion: 1:1.9\nSize: 1\nSHA256: ff\n\nPackage: b-doc\nVersion: 3\n";
        let expected =
            Candidate { package: "a-doc".into(), version: "1:2.0-1".into(), size: 120, sha256: "abcd".into() };
        assert_eq!(parse_records(text), [expected]);
        assert_eq!(parse_records("E: No packages found\n"), []);
    }

    #[test]
    fn faults_are_told_apart() {
        let failed = |why: &str| format!("Err:1 http://d/debian\nE: Failed to fetch http://d/x.deb  {why}\n");
        assert_eq!(fault(&failed("Temporary failure resolving 'deb.debian.org'")), Fault::Offline);
        assert_eq!(fault(&failed("Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111)")), Fault::Offline);
        assert_eq!(fault(&failed("404  Not Found [IP: 1.2.3.4 80]")), Fault::StaleLists);
        assert_eq!(fault("E: Version '9' for 'x' was not found\n"), Fault::StaleLists);
        assert_eq!(fault("E: You don't have enough free space in /c/\n"), Fault::NoSpace);
        assert_eq!(
            fault(&failed("Error writing to output file - write (28: No space left on device)")),
            Fault::NoSpace
        );
        assert_eq!(fault("E: something new\n"), Fault::Other);
        assert_eq!(first_errors(&failed("oh")), "Failed to fetch http://d/x.deb  oh");
    }
}
