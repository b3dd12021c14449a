//! Opens, loads and runs packed folders in which one file comes from the fuzzer. Errors are fine; crashes and memory
//! beyond the file's size are not. `bench/fuzz.sh` runs it.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use strata_runtime::{Engine, Limits, Model, PackedFolder, Request, SearchOptions};
use strata_store::Check;

const FOLDERS: [&str; 4] =
    ["packed-v2/dense-f32", "packed-v2/dense-int8", "packed-v2/smoe-f32", "packed-v2/smoe-int8"];
const FILES: [&str; 4] = ["packed.safetensors", "packed.json", "config.json", "SHA256SUMS"];

static WORK: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder to work in"));

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/runtime/tests").join(name)
}

// The first byte selects the folder and the file; the rest is that file's content.
fuzz_target!(|data: &[u8]| {
    let Some((choice, content)) = data.split_first() else { return };
    let (folder, file) = (FOLDERS[usize::from(choice & 3)], FILES[usize::from(choice >> 2 & 3)]);
    let path = WORK.path().join(folder);
    if !path.exists() {
        fs::create_dir_all(&path).expect("a folder");
    }
    for entry in fs::read_dir(kept(folder)).expect("the kept folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), path.join(entry.file_name())).expect("a copy");
    }
    fs::write(path.join(file), content).expect("the fuzzer's file");
    if file != "SHA256SUMS" {
        rewrite_sums(&path);
    }
    let Ok(model) = PackedFolder::open(&path, Check::Sizes).and_then(|folder| Model::load_packed(&folder)) else { return };
    // Other bytes are a model too, even if some weights are NaN.
    let options = SearchOptions { beam: 2, max_length: 4, ..SearchOptions::default() };
    let request = Request::new(vec![2, 3, 1], [2], 1, options);
    let _ = Engine::new(Arc::new(model)).translate(&[request], &Limits::default());
});

/// Writes the checksums of the files as they are, so that the loader reads them.
fn rewrite_sums(path: &Path) {
    let line = |name: &str| {
        let digest = strata_files::Digest::of_file(path.join(name)).expect("a file's sum");
        format!("# bytes {} {name}\n{}  {name}\n", digest.bytes, digest.hex())
    };
    let names = ["config.json", "languages.json", "packed.json", "packed.safetensors", "tokenizer.json"];
    fs::write(path.join("SHA256SUMS"), names.map(line).concat()).expect("the sums");
}
