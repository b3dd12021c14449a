//! Packed folders: the same bits as the model they were packed from, and every damage named.

mod common;
mod folders;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{END, kinds, options, request, small, sources};
use folders::{vouch, write_model};
use strata_recipe::{Kind, ModelConfig};
use strata_runtime::{Engine, Hypothesis, Limits, Model, PackedFolder, Precision, SearchOptions, write_packed};
use strata_store::{Check, Existing, ModelFolder, TensorFile};

fn translate(model: Model, lines: &[Vec<u32>]) -> Vec<Vec<Hypothesis>> {
    let options = SearchOptions { nbest: 5, routing: true, alignments: true, ..options() };
    let requests: Vec<_> = lines.iter().map(|line| request(line, &options)).collect();
    Engine::new(Arc::new(model)).translate(&requests, &Limits::default()).expect("translations")
}

#[test]
fn a_packed_model_gives_the_bits_of_the_model_it_was_packed_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut odd = kinds();
    // No part but the panels is a multiple of 64 bytes, and inputs no multiple of four.
    odd.push(ModelConfig { d_model: 10, heads: 5, d_ffn: 7, vocab_size: 23, ..small() });
    for (seed, config) in odd.iter().enumerate() {
        let lines = sources(config, 4, seed as u64);
        let folder = write_model(&dir.path().join(format!("{seed}")), config, seed as u64);
        for precision in Precision::ALL {
            let name = precision.name();
            let expected = translate(Model::load(&folder, precision).unwrap(), &lines);
            let path = dir.path().join(format!("{seed}-{name}"));
            assert_eq!(write_packed(&folder, precision, &path, Existing::Refuse, &[]).unwrap(), path);
            for check in [Check::Contents, Check::Sizes] {
                let packed = PackedFolder::open(&path, check).unwrap();
                assert_eq!((packed.config(), packed.precision(), packed.path()), (config, precision, &*path));
                assert_eq!(
                    (&*packed.tokenizer().unwrap(), &*packed.languages().unwrap()),
                    (&b"{}\n"[..], &b"[]\n"[..])
                );
                let model = Model::load_packed(&packed).unwrap();
                drop(packed);
                assert_eq!(translate(model, &lines), expected, "{} {name}", config.name());
            }
        }
    }
}

#[test]
fn the_parts_are_an_aligned_safetensors_file_and_equal_models_give_equal_files() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, d) in [(1, 16), (2, 10), (3, 14)] {
        let config = ModelConfig { kind: Kind::Cmr, experts: 3, d_model: d, ..small() };
        let folder = write_model(&dir.path().join(format!("{seed}")), &config, seed);
        let paths = ["a", "b"].map(|name| dir.path().join(format!("{seed}-{name}")));
        for (precision, shape) in [
            (Precision::F32, vec![2, d, 16]),
            (Precision::Bf16, vec![2, d.div_ceil(2), 16, 2]),
            (Precision::Int8, vec![2, d.div_ceil(4), 16, 4]),
        ] {
            for path in &paths {
                write_packed(&folder, precision, path, Existing::Replace, &[]).unwrap();
            }
            let [a, b] = paths.each_ref().map(|path| fs::read(path.join("SHA256SUMS")).unwrap());
            assert_eq!(a, b);
            let file = TensorFile::open(paths[0].join("packed.safetensors")).unwrap();
            for name in file.names() {
                let padded = name.ends_with(".padding");
                assert!(padded || file.range(name).unwrap().start.is_multiple_of(64), "{name}");
                assert!(!padded || !d.is_multiple_of(16), "{name}");
            }
            assert!(file.view("embedding.weight").is_err(), "the output projection has it");
            assert_eq!(file.view("output.weight").unwrap().shape, shape);
        }
    }
}

#[test]
fn an_existing_folder_is_replaced_only_on_request_and_the_model_itself_never() {
    let dir = tempfile::tempdir().unwrap();
    let folder = write_model(&dir.path().join("m"), &small(), 1);
    let path = dir.path().join("p");
    let write = |to: &Path, existing| write_packed(&folder, Precision::F32, to, existing, &[]);
    write(&path, Existing::Refuse).unwrap();
    assert!(write(&path, Existing::Refuse).unwrap_err().to_string().contains("exists already"));
    write(&path, Existing::Replace).unwrap();
    let error = write(&dir.path().join("p/../m"), Existing::Replace).unwrap_err().to_string();
    assert!(error.contains("would replace the model that it is made from"), "{error}");
    ModelFolder::open(folder.path()).unwrap();
}

fn packed(dir: &Path, precision: Precision) -> PathBuf {
    let config = ModelConfig { kind: Kind::Smoe, strata: vec![1, 2], ..small() };
    let folder = write_model(&dir.join("m"), &config, 3);
    write_packed(&folder, precision, &dir.join("p"), Existing::Refuse, &[]).unwrap()
}

/// The error of opening and loading; the checksums are made to agree with what is there first if `vouched`.
fn error(path: &Path, check: Check, vouched: bool) -> String {
    if vouched {
        vouch(path);
    }
    match PackedFolder::open(path, check).and_then(|folder| Model::load_packed(&folder)) {
        Ok(_) => panic!("{} was loaded", path.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn other_folders_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = packed(dir.path(), Precision::Int8);
    let says = |path: &Path| error(path, Check::Sizes, false);
    let looks_packed = ["p", "m", ".", "x", "p/packed.json"].map(|name| PackedFolder::is_at(dir.path().join(name)));
    assert_eq!(looks_packed, [true, false, false, false, false]);
    assert!(
        says(&dir.path().join("m"))
            .ends_with("m: not a packed model folder: it is a model folder; load it as one, or pack it first")
    );
    assert!(says(dir.path()).ends_with("it has no packed.json"));
    assert!(says(&dir.path().join("x")).ends_with("it does not exist"));
    assert!(says(&path.join("packed.json")).ends_with("it is a file; name the folder that holds it"));
    fs::remove_file(path.join("packed.json")).unwrap();
    assert!(PackedFolder::is_at(&path));
    assert!(says(&path).ends_with("its packed.json is missing"));
}

#[test]
fn every_missing_cut_or_flipped_file_is_named() {
    for precision in Precision::ALL {
        let dir = tempfile::tempdir().unwrap();
        damage(&packed(dir.path(), precision));
    }
}

/// Damages the files of the packed folder at `path` one after another, and looks at each error.
fn damage(path: &Path) {
    for name in ["config.json", "languages.json", "packed.json", "packed.safetensors", "tokenizer.json"] {
        let file = path.join(name);
        let whole = fs::read(&file).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            fs::write(&file, flipped).unwrap();
            let found = error(path, Check::Contents, false);
            assert_eq!(found, format!("{} is damaged (checksum differs)", file.display()));
        }
        for check in [Check::Contents, Check::Sizes] {
            fs::write(&file, &whole[..whole.len() - 1]).unwrap();
            let found = error(path, check, false);
            assert!(found.starts_with(&format!("{} is cut short (", file.display())), "{found}");
            if name != "packed.json" {
                fs::remove_file(&file).unwrap();
                assert_eq!(error(path, check, false), format!("{} is missing", file.display()));
            }
        }
        fs::write(&file, whole).unwrap();
    }
    let sums = path.join("SHA256SUMS");
    let text = fs::read_to_string(&sums).unwrap();
    let without: String =
        text.lines().filter(|l| !l.contains("packed.safetensors")).map(|l| format!("{l}\n")).collect();
    fs::write(&sums, without).unwrap();
    assert!(error(path, Check::Sizes, false).ends_with("SHA256SUMS is damaged (it does not list packed.safetensors)"));
    fs::remove_file(&sums).unwrap();
    assert_eq!(error(path, Check::Sizes, false), format!("{} is missing", sums.display()));
}

#[test]
fn another_version_and_a_foreign_header_are_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = packed(dir.path(), Precision::F32);
    let header = fs::read_to_string(path.join("packed.json")).unwrap();
    let says = |from: &str, to: &str| {
        assert!(header.contains(from));
        fs::write(path.join("packed.json"), header.replace(from, to)).unwrap();
        error(&path, Check::Contents, true)
    };
    let this = "\"format_version\": 2";
    for (other, number) in [("\"format_version\": 3", 3), ("\"format_version\": 0", 0)] {
        let found = says(this, other);
        let version = env!("CARGO_PKG_VERSION");
        let what = format!("packed.json: packed format version {number}, written by strata {version}; this strata");
        assert!(found.contains(&what), "{found}");
        assert!(
            found.contains("reads version 2. Export the model again with this strata, or use the one that wrote it"),
            "{found}"
        );
    }
    // The header of another version may have keys that this one does not know.
    let newer = says(this, "\"more\": [], \"format_version\": 3");
    assert!(newer.contains("packed format version 3"), "{newer}");
    assert!(says("f32", "f16").contains("no header of a packed model: unknown variant `f16`"));
    assert!(says("\"panel\": 16", "\"panel\": 32").contains("panels of 32 columns"));
    assert!(says("{", "[").contains("packed.json is damaged (no header"));
}

#[test]
fn parts_of_another_model_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = packed(dir.path(), Precision::Int8);
    let config = fs::read_to_string(path.join("config.json")).unwrap();
    let parts = fs::read(path.join("packed.safetensors")).unwrap();
    let says = |from: &str, to: &str| {
        assert!(config.contains(from), "{config}");
        fs::write(path.join("config.json"), config.replace(from, to)).unwrap();
        error(&path, Check::Contents, true)
    };
    let more = says("\"encoder_layers\": 2", "\"encoder_layers\": 3");
    assert!(more.contains("packed.safetensors has no tensor `encoder.layers.2.self_attention.norm.weight`"), "{more}");
    let fewer = says("\"encoder_layers\": 2", "\"encoder_layers\": 1");
    assert!(fewer.contains("part `encoder.layers.1.") && fewer.contains("belongs to no weight"), "{fewer}");
    let wider = says("\"d_ffn\": 24", "\"d_ffn\": 40");
    assert!(wider.contains("fc1.weight` is I8 [2, 4, 16, 4], expected I8 [3, 4, 16, 4]"), "{wider}");
    fs::write(path.join("config.json"), &config).unwrap();
    let header = fs::read_to_string(path.join("packed.json")).unwrap();
    fs::write(path.join("packed.json"), header.replace("int8", "f32")).unwrap();
    let other = error(&path, Check::Contents, true);
    assert!(other.contains("`output.weight` is I8 [2, 4, 16, 4], expected F32 [2, 16, 16]"), "{other}");
    fs::write(path.join("packed.json"), header.replace("int8", "bf16")).unwrap();
    let other = error(&path, Check::Contents, true);
    assert!(other.contains("`output.weight` is I8 [2, 4, 16, 4], expected BF16 [2, 8, 16, 2]"), "{other}");
    fs::write(path.join("packed.json"), header).unwrap();
    // One space less in front of the parts: they are whole, but lie where they cannot be mapped.
    let length = u64::from_le_bytes(parts[..8].try_into().unwrap());
    let end = 8 + length as usize;
    let shifted = [&(length + 8).to_le_bytes()[..], &parts[8..end], b"        ", &parts[end..]].concat();
    fs::write(path.join("packed.safetensors"), shifted).unwrap();
    let unaligned = error(&path, Check::Contents, true);
    assert!(unaligned.contains("`output`: part `weight` begins at byte"), "{unaligned}");
    fs::write(path.join("packed.safetensors"), &parts[..end]).unwrap();
    let cut = error(&path, Check::Contents, true);
    assert!(cut.contains("packed.safetensors is cut short"), "{cut}");
}

/// The version of the format that is written.
const VERSION: u32 = 2;

/// Small models whose packed folders are kept, one for each version of the format.
fn kept() -> Vec<(String, ModelConfig, Precision)> {
    let tiny = ModelConfig {
        encoder_layers: 1,
        decoder_layers: 1,
        moe_every: 1,
        d_model: 8,
        d_ffn: 12,
        heads: 2,
        vocab_size: 14,
        max_length: 16,
        ..ModelConfig::default()
    };
    let smoe = ModelConfig { kind: Kind::Smoe, strata: vec![1, 2], ..tiny.clone() };
    let mut kept = Vec::new();
    for (kind, config) in [("dense", tiny), ("smoe", smoe)] {
        for precision in Precision::ALL {
            kept.push((format!("{kind}-{}", precision.name()), config.clone(), precision));
        }
    }
    kept
}

/// The source that kept folders are tried with.
const SOURCE: [u32; 7] = [2, 5, 9, 13, 4, 8, END];

fn kept_folder(version: u32, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/packed-v{version}")).join(name)
}

fn outputs(packed: &PackedFolder) -> Vec<(Vec<u32>, f32)> {
    let options = SearchOptions { nbest: 2, beam: 3, max_extra: 1, ..options() };
    let engine = Engine::new(Arc::new(Model::load_packed(packed).unwrap()));
    let found = engine.translate(&[request(&SOURCE, &options)], &Limits::default()).unwrap();
    found.into_iter().flatten().map(|hypothesis| (hypothesis.ids, hypothesis.score)).collect()
}

/// Ids and score of a hypothesis.
type Recorded = (&'static [u32], f32);

#[test]
fn kept_folders_give_what_they_gave_when_they_were_written() {
    let version_2: [(&str, [Recorded; 2]); 4] = [
        ("dense-f32", [(&[2, 2, 2, 4, 4, 4, 4, 4], -1.3345248), (&[2, 2, 2, 2, 4, 4, 4, 4], -1.3447454)]),
        ("dense-int8", [(&[2, 2, 2, 4, 4, 4, 4, 4], -1.3322964), (&[2, 2, 2, 2, 4, 4, 4, 4], -1.3431822)]),
        ("smoe-f32", [(&[12, 12, 12, 12, 12, 12, 12, 12], -1.2743852), (&[12, 12, 12, 12, 9, 9, 9, 9], -1.3004752)]),
        ("smoe-int8", [(&[12, 12, 12, 12, 12, 12, 12, 12], -1.2753478), (&[12, 12, 12, 12, 9, 9, 9, 9], -1.3012387)]),
    ];
    let all = [(2, version_2)];
    for (version, (name, expected)) in all.into_iter().flat_map(|(version, of)| of.map(|recorded| (version, recorded)))
    {
        let packed = PackedFolder::open(kept_folder(version, name), Check::Contents).unwrap();
        let found = outputs(&packed);
        assert_eq!(found.len(), 2, "{name}");
        for ((ids, score), (expected_ids, expected)) in found.iter().zip(expected) {
            assert_eq!(ids, expected_ids, "{name}: {found:?}");
            assert!((score - expected).abs() < 1e-5, "{name}: {score}, then {expected}");
        }
    }
}

/// Writes the folders to keep of a new version of the format, and prints what to record of them:
/// `cargo test -p strata-mt-runtime --test packed -- --ignored --nocapture writes_the_folders_to_keep`.
#[test]
#[ignore = "writes into the source tree; only for a new version of the format"]
fn writes_the_folders_to_keep() {
    let dir = tempfile::tempdir().unwrap();
    for (name, config, precision) in kept() {
        let folder = write_model(&dir.path().join(&name), &config, 7);
        let path = kept_folder(VERSION, &name);
        write_packed(&folder, precision, &path, Existing::Refuse, &[]).unwrap();
        println!("{name}: {:?}", outputs(&PackedFolder::open(&path, Check::Contents).unwrap()));
    }
}
