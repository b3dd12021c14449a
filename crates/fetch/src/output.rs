//! The corpus on disk, with its manifest: checked if it exists, and written so that a half-written one never goes
//! unnoticed.
//!
//! A new corpus is written to a temporary folder, which is then renamed. Over an older one, the new manifest is moved
//! first, then the files one by one: since the manifest has every file's digest, the next run notices a folder in
//! between and builds it again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use strata_files::{Digest, Error as FilesError, IoContext, Staging, rename, write_file, write_json};

use crate::error::Error;
use crate::languages::Language;
use crate::options::Options;
use crate::split::Part;
use crate::summary::Corpus;

const MANIFEST: &str = "MANIFEST.json";
/// Version of what this program extracts; a corpus of another version is built again.
const EXTRACTOR: u32 = 1;

/// The content of `MANIFEST.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// What made it; tells our manifests from others of that name.
    pub strata_documentation_corpus: u32,
    pub requested: Requested,
    pub files: BTreeMap<String, FileEntry>,
    pub corpus: Corpus,
}

/// The options the content depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Requested {
    pub languages: Vec<String>,
    pub held: bool,
    pub low: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub lines: usize,
    pub sha256: String,
}

impl Requested {
    pub(crate) fn new(options: &Options, languages: &[&Language]) -> Requested {
        let languages = languages.iter().map(|l| l.tag.to_owned()).collect();
        Requested { languages, held: options.held, low: options.low }
    }
}

/// The manifest of a folder, if it is ours. Refuses a folder with files in the corpus's way that are not ours.
pub(crate) fn read(output: &Path) -> Result<Option<Manifest>, Error> {
    let path = output.join(MANIFEST);
    let manifest = match fs::read(&path) {
        Ok(text) => {
            Some(serde_json::from_slice::<Manifest>(&text).map_err(|_| Error::Occupied { path: path.clone() })?)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(FilesError::io("read", &path, e).into()),
    };
    let entries = match fs::read_dir(output) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FilesError::io("read", output, e).into()),
    };
    for entry in entries {
        let entry = entry.io_context("read", output)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = manifest.as_ref().is_some_and(|m| m.files.contains_key(&name));
        if is_bitext(&name) && !ours {
            return Err(Error::Occupied { path: entry.path() });
        }
    }
    Ok(manifest)
}

/// Whether a folder holds what its manifest says, by the requested options.
pub(crate) fn verify(output: &Path, manifest: &Manifest, requested: &Requested) -> bool {
    let whole = |(name, entry): (&String, &FileEntry)| {
        Digest::of_file(output.join(name)).is_ok_and(|digest| digest.hex() == entry.sha256)
    };
    manifest.strata_documentation_corpus == EXTRACTOR
        && manifest.requested == *requested
        && manifest.files.par_iter().all(whole)
}

/// Writes a corpus, in place of the one that `earlier` describes.
pub(crate) fn write(
    output: &Path,
    earlier: Option<&Manifest>,
    requested: Requested,
    corpus: Corpus,
    content: &BTreeMap<String, Vec<u8>>,
) -> Result<Manifest, Error> {
    let entry = |(name, bytes): (&String, &Vec<u8>)| {
        let lines = bytes.iter().filter(|&&b| b == b'\n').count();
        (name.clone(), FileEntry { lines, sha256: Digest::of(bytes).hex() })
    };
    let files = content.par_iter().map(entry).collect();
    let manifest = Manifest { strata_documentation_corpus: EXTRACTOR, requested, files, corpus };
    let staging = staging(output)?;
    stage(staging.path(), content, &manifest)?;
    publish(staging.path(), output, earlier, &manifest)?;
    Ok(manifest)
}

/// Inside the output folder where there is one (its parent may not be ours to write), else beside.
fn staging(output: &Path) -> Result<Staging, Error> {
    let inside = output.join("corpus");
    Ok(Staging::new(if output.exists() { &inside } else { output })?)
}

fn stage(staging: &Path, content: &BTreeMap<String, Vec<u8>>, manifest: &Manifest) -> Result<(), Error> {
    for (name, bytes) in content {
        write_file(staging.join(name), bytes)?;
    }
    Ok(write_json(staging.join(MANIFEST), manifest)?)
}

fn publish(staging: &Path, output: &Path, earlier: Option<&Manifest>, manifest: &Manifest) -> Result<(), Error> {
    if !output.exists() {
        return Ok(rename(staging, output)?);
    }
    for name in earlier.iter().flat_map(|m| m.files.keys()).filter(|name| !manifest.files.contains_key(*name)) {
        let path = output.join(name);
        // Anybody can write a manifest: only names that a corpus can have are removed.
        if is_bitext(name) && path.exists() {
            fs::remove_file(&path).io_context("remove", &path)?;
        }
    }
    rename(&staging.join(MANIFEST), &output.join(MANIFEST))?;
    for name in manifest.files.keys() {
        rename(&staging.join(name), &output.join(name))?;
    }
    Ok(())
}

/// Whether a name is that of a file of bitext: `train.en-de.de`.
fn is_bitext(name: &str) -> bool {
    let mut fields = name.split('.');
    let part = fields.next().is_some_and(|f| Part::ALL.iter().any(|p| p.name() == f));
    part && fields.next().is_some_and(|f| f.contains('-')) && fields.next().is_some() && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Corpus {
        Corpus {
            languages: Vec::new(),
            without_text: Vec::new(),
            packages: Vec::new(),
            missing: Vec::new(),
            english_sentences: 1,
            corpus_sha256: String::new(),
            licenses: BTreeMap::new(),
        }
    }

    fn requested() -> Requested {
        Requested { languages: vec!["de".into()], held: false, low: 1 }
    }

    fn content(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|n| ((*n).to_owned(), format!("{n}\n").into_bytes())).collect()
    }

    #[test]
    fn written_verified_and_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let output = parent.path().join("corpus");
        assert_eq!(read(&output).unwrap(), None);
        fs::create_dir(parent.path().join(".corpus.tmp-99999999-1")).unwrap(); // a killed run's
        let first =
            write(&output, None, requested(), corpus(), &content(&["train.en-de.en", "held.en-de.en"])).unwrap();
        assert_eq!(read(&output).unwrap().as_ref(), Some(&first));
        assert!(verify(&output, &first, &requested()));
        assert!(!verify(&output, &first, &Requested { held: true, ..requested() }));

        fs::create_dir(output.join(".corpus.tmp-99999999-2")).unwrap(); // one killed inside the folder
        let second = write(&output, Some(&first), requested(), corpus(), &content(&["train.en-de.en"])).unwrap();
        assert!(!output.join("held.en-de.en").exists(), "stale files go");
        assert!(!output.join(".corpus.tmp-99999999-2").exists(), "what a killed run left goes");
        assert!(verify(&output, &second, &requested()));
        fs::write(output.join("train.en-de.en"), "changed\n").unwrap();
        assert!(!verify(&output, &second, &requested()));
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["corpus"], "nothing is left beside");
    }

    #[test]
    fn a_replacement_that_dies_half_way_is_noticed() {
        let parent = tempfile::tempdir().unwrap();
        let output = parent.path().join("corpus");
        let old = write(&output, None, requested(), corpus(), &content(&["train.en-de.en"])).unwrap();
        // As if the process had died after the new manifest was in place and before the files were.
        let mut new = old.clone();
        new.files.insert("train.en-de.de".into(), FileEntry { lines: 1, sha256: Digest::of("x\n").hex() });
        write_json(output.join(MANIFEST), &new).unwrap();
        let found = read(&output).unwrap().unwrap();
        assert!(!verify(&output, &found, &requested()));
    }

    #[test]
    fn other_peoples_files_are_not_touched() {
        let output = tempfile::tempdir().unwrap();
        fs::write(output.path().join("notes.txt"), "mine").unwrap();
        assert_eq!(read(output.path()).unwrap(), None);
        write(output.path(), None, requested(), corpus(), &content(&["train.en-de.en"])).unwrap();
        assert_eq!(fs::read_to_string(output.path().join("notes.txt")).unwrap(), "mine");
        fs::write(output.path().join("train.en-fr.en"), "mine").unwrap();
        assert!(matches!(read(output.path()), Err(Error::Occupied { path }) if path.ends_with("train.en-fr.en")));

        let foreign = tempfile::tempdir().unwrap();
        fs::write(foreign.path().join(MANIFEST), "{}").unwrap();
        assert!(matches!(read(foreign.path()), Err(Error::Occupied { path }) if path.ends_with(MANIFEST)));
    }
}
