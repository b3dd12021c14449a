//! Opens a file of another program that comes from the fuzzer, and reads all its tensors. Errors are fine; crashes and
//! memory beyond a small multiple of the file's size are not. `bench/fuzz.sh` runs it.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strata_formats::{CTranslate2, Marian, Npz, PyTorch, Safetensors, Shortlist, Tensors, yaml};

static WORK: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder to work in"));

/// Reads all that a file holds.
fn read(file: Result<impl Tensors, strata_formats::Error>) {
    let Ok(file) = file else { return };
    for name in file.names() {
        let shape = file.info(name).expect("a tensor that was named").shape;
        let _ = file.f32(name, &shape);
    }
}

// The first byte selects the reader; the rest is the file.
fuzz_target!(|data: &[u8]| {
    let Some((choice, content)) = data.split_first() else { return };
    let path = WORK.path().join("file");
    fs::write(&path, content).expect("the fuzzer's file");
    match choice % 7 {
        0 => read(PyTorch::open(&path)),
        1 => read(Npz::open(&path)),
        2 => read(Safetensors::open(&path)),
        3 => {
            if let Ok(file) = Marian::open(&path) {
                let _ = file.options().map(|text| yaml::Options::parse(&path, text));
            }
            read(Marian::open(&path));
        }
        4 => read(CTranslate2::open(&path)),
        5 => drop(Shortlist::open(&path)),
        _ => drop(std::str::from_utf8(content).map(|text| yaml::Options::parse(&path, text))),
    }
});
