//! Weights, of this program and of others.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strata_formats::{CTranslate2, Error, Marian, Npz, PyTorch, Safetensors, Shortlist, Tensors, yaml};
use strata_runtime::{Engine, Limits, Model, PackedFolder, Request, SearchOptions};
use strata_store::Check;

use crate::{Target, in_file, kept, kept_files};

/// Reads all that a file holds.
fn read(file: Result<impl Tensors, Error>) -> bool {
    let Ok(file) = file else { return false };
    for name in file.names() {
        let shape = file.info(name).expect("a tensor that was named").shape;
        let _ = file.f32(name, &shape);
    }
    true
}

/// Safetensors.
pub const SAFETENSORS: Target = Target {
    name: "safetensors",
    run: |bytes| in_file(bytes, |path| read(Safetensors::open(path))),
    seeds: || kept_files(["runtime/tests/packed-v2/dense-int8/packed.safetensors"]),
};

/// PyTorch's archives and the pickles in them.
pub const PYTORCH: Target = Target {
    name: "pytorch",
    run: |bytes| in_file(bytes, |path| read(PyTorch::open(path))),
    seeds: || kept_files(["formats/tests/files/state.bin"]),
};

/// NumPy's archives.
pub const NPZ: Target = Target {
    name: "npz",
    run: |bytes| in_file(bytes, |path| read(Npz::open(path))),
    seeds: || kept_files(["formats/tests/files/stored.npz", "formats/tests/files/packed.npz"]),
};

/// Marian's models, their options, and shortlists.
pub const MARIAN: Target = Target {
    name: "marian",
    run: |bytes| {
        in_file(bytes, |path| {
            if let Ok(file) = Marian::open(path) {
                let _ = file.options().map(|text| yaml::Options::parse(path, text));
            }
            let _ = std::str::from_utf8(bytes).map(|text| yaml::Options::parse(path, text));
            read(Marian::open(path)) | Shortlist::open(path).is_ok()
        })
    },
    seeds: || kept_files(["formats/tests/files/marian.bin", "formats/tests/files/lex.bin"]),
};

/// CTranslate2's models.
pub const CTRANSLATE2: Target = Target {
    name: "ctranslate2",
    run: |bytes| in_file(bytes, |path| read(CTranslate2::open(path))),
    seeds: || kept_files(["formats/tests/files/ctranslate2.bin"]),
};

const FOLDERS: [&str; 4] = ["dense-f32", "dense-int8", "smoe-f32", "smoe-int8"];
const FILES: [&str; 4] = ["packed.safetensors", "packed.json", "config.json", "SHA256SUMS"];

/// Packed folders in which one file is other bytes: opened, loaded and run. The first byte selects the folder and the
/// file.
pub const PACKED: Target = Target {
    name: "packed",
    run: packed,
    seeds: || {
        let seed = |choice: usize| {
            let path = kept_folder(choice % 4).join(FILES[choice / 4]);
            [vec![choice as u8], fs::read(path).expect("a file of the repository")].concat()
        };
        (0..16).map(seed).collect()
    },
};

fn kept_folder(choice: usize) -> PathBuf {
    kept("runtime/tests/packed-v2").join(FOLDERS[choice])
}

fn packed(bytes: &[u8]) -> bool {
    let Some((choice, content)) = bytes.split_first() else { return false };
    let (folder, file) = (kept_folder(usize::from(choice & 3)), FILES[usize::from(choice >> 2 & 3)]);
    let work = tempfile::tempdir().expect("a folder to work in");
    for entry in fs::read_dir(folder).expect("the kept folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), work.path().join(entry.file_name())).expect("a copy");
    }
    fs::write(work.path().join(file), content).expect("the file");
    if file != "SHA256SUMS" {
        rewrite_sums(work.path());
    }
    let opened = PackedFolder::open(work.path(), Check::Sizes).and_then(|folder| Model::load_packed(&folder));
    let Ok(model) = opened else { return false };
    // Other bytes are a model too, even if some weights are NaN.
    let options = SearchOptions { beam: 2, max_length: 4, ..SearchOptions::default() };
    let request = Request::new(vec![2, 3, 1], [2], 1, options);
    Engine::new(Arc::new(model)).translate(&[request], &Limits::default()).is_ok()
}

/// Writes the checksums of the files as they are, so that the loader reads them.
fn rewrite_sums(path: &Path) {
    let line = |name: &str| {
        let digest = strata_files::Digest::of_file(path.join(name)).expect("a file's sum");
        format!("# bytes {} {name}\n{}  {name}\n", digest.bytes, digest.hex())
    };
    let names = ["config.json", "languages.json", "packed.json", "packed.safetensors", "tokenizer.json"];
    fs::write(path.join("SHA256SUMS"), names.map(line).concat()).expect("the sums");
}
