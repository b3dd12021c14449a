//! The package files in the cache: which are there, which must be downloaded, and whether each is what apt's records
//! say.
//!
//! Beside each `NAME_VERSION_ARCH.deb` is a `NAME.json` with its digest. A download goes to `partial/` and moves up
//! only once its digest is right, so a package in the cache is whole, whenever a run dies.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use strata_files::{Digest, IoContext, clean_leftovers, rename, write_json};

use crate::apt::{Apt, Candidate, Fault};
use crate::deb;
use crate::error::{Error, NEED_MEGABYTES};
use crate::event::{Event, Stage};

/// How often a download is tried.
const ATTEMPTS: usize = 3;

/// A package the corpus was built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Size of the .deb in bytes.
    pub bytes: u64,
    /// SHA-256 of the .deb.
    pub sha256: String,
    /// Whether that digest was checked against apt's records; not so for packages from a folder.
    pub verified: bool,
}

/// The packages that were found, with their files.
pub(crate) struct Packages {
    pub have: BTreeMap<String, (Package, PathBuf)>,
    /// Packages that do not exist in this release.
    pub missing: Vec<String>,
}

/// The record beside a cached package.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    package: Package,
    /// Name of the .deb file.
    file: String,
}

/// Where packages come from.
pub(crate) struct Request<'a> {
    /// Their names.
    pub names: &'a [String],
    /// The cache folder.
    pub cache: &'a Path,
    /// apt's two programs.
    pub apt_get: &'a Path,
    pub apt_cache: &'a Path,
    /// Look for newer versions even if all packages are in the cache.
    pub refresh: bool,
}

/// Takes packages from a folder of .deb files; of several versions of one, the last file by name.
pub(crate) fn from_folder(names: &[String], folder: &Path) -> Result<Packages, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).io_context("read", folder)? {
        let path = entry.io_context("read", folder)?.path();
        if path.extension().is_some_and(|e| e == "deb") {
            files.push(path);
        }
    }
    files.sort();
    let mut have = BTreeMap::new();
    for path in files {
        let control = deb::read_control(&path)?;
        if names.contains(&control.package) {
            let bytes = fs::metadata(&path).io_context("read", &path)?.len();
            let sha256 = Digest::of_file(&path)?.hex();
            let (package, version) = (control.package, control.version);
            have.insert(package.clone(), (Package { package, version, bytes, sha256, verified: false }, path));
        }
    }
    Ok(with_missing(names, have))
}

/// Takes packages from the cache, after downloading with apt what is missing.
pub(crate) fn with_apt(request: &Request, progress: &mut dyn FnMut(Event)) -> Result<Packages, Error> {
    let folder = request.cache.join("packages");
    fs::create_dir_all(&folder).io_context("create", &folder)?;
    clean_leftovers(&folder)?;
    let mut have = cached(request.names, &folder);
    if have.len() == request.names.len() && !request.refresh {
        report(&have, have.len(), 0, bytes_of(&have), progress);
        return Ok(with_missing(request.names, have));
    }
    let mut apt = Apt::locate(request.apt_get, request.apt_cache, request.cache.join("apt"))?;
    let mut candidates = apt.candidates(request.names)?;
    if candidates.is_empty() {
        candidates = update_lists(&mut apt, request, progress)?;
    }
    let mut attempt = 1;
    loop {
        // A cached package of another version is replaced: text of different versions should not be aligned.
        have.retain(|name, (p, _)| candidates.get(name).is_none_or(|c| c.sha256 == p.sha256));
        let wanted: Vec<&Candidate> = candidates.values().filter(|c| !have.contains_key(&c.package)).collect();
        if wanted.is_empty() {
            report(&have, have.len(), 0, bytes_of(&have), progress);
            break;
        }
        let (fault, detail) = match download(&apt, &wanted, &folder, &mut have, candidates.len(), progress)? {
            Ok(()) => continue,
            Err(failure) => failure,
        };
        let packages: Vec<String> = candidates.keys().filter(|name| !have.contains_key(*name)).cloned().collect();
        let cache = folder.clone();
        if fault == Fault::NoSpace {
            return Err(Error::NoSpace { path: folder, need_megabytes: NEED_MEGABYTES });
        }
        if attempt == ATTEMPTS {
            return Err(match fault {
                Fault::Offline => Error::Offline { detail, cache },
                _ => Error::Download { packages, detail, cache },
            });
        }
        attempt += 1;
        progress(Event::Retry { attempt, reason: detail });
        if fault == Fault::StaleLists {
            candidates = update_lists(&mut apt, request, progress)?;
        } else {
            std::thread::sleep(std::time::Duration::from_secs(attempt as u64));
        }
    }
    Ok(with_missing(request.names, have))
}

fn update_lists(
    apt: &mut Apt,
    request: &Request,
    progress: &mut dyn FnMut(Event),
) -> Result<BTreeMap<String, Candidate>, Error> {
    progress(Event::Stage { stage: Stage::Lists });
    let (fault, detail) = apt.update_private()?;
    let candidates = apt.candidates(request.names)?;
    match (candidates.is_empty(), fault) {
        (false, _) => Ok(candidates),
        (true, Fault::Offline) => Err(Error::Offline { detail, cache: request.cache.join("packages") }),
        (true, _) => Err(Error::NoPackageLists { example: request.names.first().cloned().unwrap_or_default(), detail }),
    }
}

/// Downloads packages and moves those that are right into `have`. A package that is wrong is an error at once: apt has
/// checked it as well, so trying again would only hide something odd.
fn download(
    apt: &Apt,
    wanted: &[&Candidate],
    folder: &Path,
    have: &mut BTreeMap<String, (Package, PathBuf)>,
    packages: usize,
    progress: &mut dyn FnMut(Event),
) -> Result<crate::apt::Outcome, Error> {
    progress(Event::Stage { stage: Stage::Download });
    let partial = folder.join("partial");
    fs::create_dir_all(&partial).io_context("create", &partial)?;
    // An earlier run may have died with finished files here. The rest is removed: apt takes any file of the right size
    // for finished, whatever its content.
    let _ = accept(wanted, &partial, folder, have)?;
    clear(&partial)?;
    let wanted: Vec<&Candidate> = wanted.iter().copied().filter(|c| !have.contains_key(&c.package)).collect();
    let before = bytes_of(have);
    let bytes = before + wanted.iter().map(|c| c.size).sum::<u64>();
    report(have, packages, 0, bytes, progress);
    if wanted.is_empty() {
        return Ok(Ok(()));
    }
    let outcome = apt.download(&wanted, &partial, &mut |arrived| report(have, packages, arrived, bytes, progress))?;
    if let Some(wrong) = accept(&wanted, &partial, folder, have)?
        && outcome.is_ok()
    {
        return Err(wrong);
    }
    clear(&partial)?;
    report(have, packages, 0, bytes, progress);
    let left = wanted.iter().find(|c| !have.contains_key(&c.package));
    Ok(match (outcome, left) {
        (_, None) => Ok(()),
        (Ok(()), Some(left)) => {
            Err((Fault::Other, format!("apt-get said nothing, but {} did not arrive", left.package)))
        }
        (failed, _) => failed,
    })
}

/// Moves finished downloads with the right digest into the cache. Returns an error for one of the right size whose
/// digest is wrong.
fn accept(
    wanted: &[&Candidate],
    partial: &Path,
    folder: &Path,
    have: &mut BTreeMap<String, (Package, PathBuf)>,
) -> Result<Option<Error>, Error> {
    let mut wrong = None;
    for entry in fs::read_dir(partial).io_context("read", partial)? {
        let entry = entry.io_context("read", partial)?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        let name = file.split('_').next().unwrap_or_default();
        let Some(candidate) = wanted.iter().find(|c| c.package == name && file.ends_with(".deb")) else { continue };
        let path = entry.path();
        let bytes = entry.metadata().io_context("read", &path)?.len();
        if bytes != candidate.size {
            continue;
        }
        let sha256 = Digest::of_file(&path)?.hex();
        if sha256 != candidate.sha256 {
            let (package, expected) = (candidate.package.clone(), candidate.sha256.clone());
            wrong = Some(Error::Digest { package, found: sha256, expected });
            fs::remove_file(&path).io_context("remove", &path)?;
            continue;
        }
        let earlier = read_record(folder, name);
        let (package, version) = (candidate.package.clone(), candidate.version.clone());
        let package = Package { package, version, bytes, sha256, verified: true };
        let stored = folder.join(&file);
        rename(&path, &stored)?;
        let record = Record { package: package.clone(), file: file.clone() };
        write_json(record_path(folder, name), &record)?;
        if let Some(earlier) = earlier.filter(|e| e.file != file) {
            let _ = fs::remove_file(folder.join(earlier.file)); // only takes room; a failure harms nothing
        }
        have.insert(name.to_owned(), (package, stored));
    }
    Ok(wrong)
}

fn clear(partial: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(partial).io_context("read", partial)?.flatten() {
        if entry.path().is_file() {
            fs::remove_file(entry.path()).io_context("remove", entry.path())?;
        }
    }
    Ok(())
}

/// The packages in the cache whose digest is right.
fn cached(names: &[String], folder: &Path) -> BTreeMap<String, (Package, PathBuf)> {
    let whole = |name: &String| {
        let record = read_record(folder, name).filter(|r| r.package.package == *name)?;
        let path = folder.join(&record.file);
        let right = fs::metadata(&path).ok()?.len() == record.package.bytes
            && Digest::of_file(&path).ok()?.hex() == record.package.sha256;
        right.then(|| (name.clone(), (record.package, path)))
    };
    names.par_iter().filter_map(whole).collect()
}

fn record_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

fn read_record(folder: &Path, name: &str) -> Option<Record> {
    let record: Record = serde_json::from_slice(&fs::read(record_path(folder, name)).ok()?).ok()?;
    Path::new(&record.file).file_name().is_some_and(|f| f == record.file.as_str()).then_some(record)
}

fn with_missing(names: &[String], have: BTreeMap<String, (Package, PathBuf)>) -> Packages {
    let missing = names.iter().filter(|name| !have.contains_key(*name)).cloned().collect();
    Packages { have, missing }
}

fn bytes_of(have: &BTreeMap<String, (Package, PathBuf)>) -> u64 {
    have.values().map(|(p, _)| p.bytes).sum()
}

fn report(
    have: &BTreeMap<String, (Package, PathBuf)>,
    packages: usize,
    arrived: u64,
    bytes: u64,
    progress: &mut dyn FnMut(Event),
) {
    let bytes_done = (bytes_of(have) + arrived).min(bytes);
    progress(Event::Download { packages_done: have.len(), packages, bytes_done, bytes });
}
