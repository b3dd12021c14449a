//! Every reader on files of the programs that write them, and on the same files damaged in every way.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use strata_formats::ctranslate2::vocabulary;
use strata_formats::{
    CTranslate2, Element, Error, Info, Marian, Npz, PyTorch, Safetensors, Sharded, Shortlist, Tensors, open_weights,
};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

fn says<T>(result: Result<T, Error>) -> String {
    result.err().map_or_else(|| panic!("no error"), |error| error.to_string())
}

/// The error of each file that is `whole` without its end; files that are cut short must be refused.
fn cut_short<T>(whole: &[u8], open: impl Fn(&Path) -> Result<T, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut");
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(open(&path).is_err(), "{length} of {} bytes", whole.len());
    }
    fs::write(&path, whole).unwrap();
    assert!(open(&path).is_ok());
}

/// Opens and reads `whole` with each byte changed: whatever that gives, it is no panic and no great allocation.
fn every_byte_changed<T: Tensors>(whole: &[u8], open: impl Fn(&Path) -> Result<T, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed");
    for at in 0..whole.len() {
        for value in [!whole[at], whole[at] ^ 1].into_iter().take(if whole.len() < 1000 { 2 } else { 1 }) {
            let mut changed = whole.to_vec();
            changed[at] = value;
            fs::write(&path, &changed).unwrap();
            let Ok(opened) = open(&path) else { continue };
            for name in opened.names() {
                let _ = opened.bytes(name);
            }
        }
    }
}

#[test]
fn pytorch_files_are_read_without_running_them() {
    let state = PyTorch::open(&file("state.bin")).unwrap();
    let rows = vec![0.0, 0.5, 1.0, 1.5, 2.0, 2.5];
    for name in ["f32", "f16", "bf16"] {
        assert_eq!(state.f32(name, &[2, 3]).unwrap(), rows, "{name}");
    }
    assert_eq!(state.f32("view", &[1, 3]).unwrap(), [1.5, 2.0, 2.5]);
    assert_eq!(state.f32("parameter", &[2, 3]).unwrap(), [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
    assert_eq!(state.info("scalar"), Some(Info { element: Element::I64, shape: vec![] }));
    assert_eq!(state.names().len(), 6);
    assert!(says(state.f32("f32", &[3, 2])).ends_with("tensor `f32` is [2, 3], expected [3, 2]"));
    assert!(says(state.f32("none", &[1])).ends_with("has no tensor `none`"));
    assert!(says(state.f32("scalar", &[])).contains("holds I64, not floats"));

    assert!(says(PyTorch::open(&file("nested.bin"))).contains("`model` is a dictionary"));
    assert!(says(PyTorch::open(&file("turned.bin"))).contains(".contiguous()"));
    assert!(says(PyTorch::open(&file("old.bin"))).contains("before 1.6"));
    let code = PyTorch::open(&file("code.bin"));
    assert!(matches!(&code, Err(Error::Code { name, .. }) if name.contains("print")), "{:?}", code.err());
}

#[test]
fn pytorch_files_that_are_damaged() {
    let whole = fs::read(file("state.bin")).unwrap();
    cut_short(&whole, PyTorch::open);
    every_byte_changed(&whole, PyTorch::open);
}

/// An archive as PyTorch writes them: this pickle, and storages of this many zeros.
fn archive(pickle: &[u8], storages: &[usize], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: String, method: CompressionMethod, bytes: &[u8]| {
        zip.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("m/data.pkl".to_owned(), CompressionMethod::Stored, pickle);
    for (key, bytes) in storages.iter().enumerate() {
        add(format!("m/data/{key}"), method, &vec![0; *bytes]);
    }
    zip.finish().unwrap().into_inner()
}

/// Text as a pickle has it.
fn pickled(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A pickle of one tensor `[2]` at the beginning of storage `0`.
fn one_tensor(name: &str) -> Vec<u8> {
    [
        b"\x80\x02}".to_vec(),
        pickled(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        pickled("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        [pickled("0"), pickled("cpu")].concat(),
        b"K\x02tQK\x00K\x02\x85K\x01\x85\x89NtRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn pytorch_files_that_would_cost_more_than_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.bin");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        PyTorch::open(&path)
    };
    let (stored, deflated) = (CompressionMethod::Stored, CompressionMethod::Deflated);
    assert_eq!(open(&archive(&one_tensor("a"), &[8], stored)).unwrap().f32("a", &[2]).unwrap(), [0.0; 2]);
    assert!(says(open(&archive(&one_tensor("a"), &[7], stored))).contains("lies outside the bytes"));
    assert!(says(open(&archive(&one_tensor("a"), &[], stored))).contains("the member \"m/data/0\" is missing"));
    // Each of many tensors would unpack all of it.
    assert!(says(open(&archive(&one_tensor("a"), &[1 << 20], deflated))).contains("is compressed"));
    // Many members would unpack the same bytes: here, the second has the size and the place of the first.
    let mut overlapping = archive(&[0; 10_000], &[0], stored);
    let entries: Vec<usize> =
        (0..overlapping.len() - 4).filter(|at| overlapping[*at..].starts_with(b"PK\x01\x02")).collect();
    let [first, second] = entries[..] else { panic!("{entries:?}") };
    for field in [16..28, 42..46] {
        overlapping.copy_within(first + field.start..first + field.end, second + field.start);
    }
    assert!(says(open(&overlapping)).contains("lies where another one lies"));
    // Each of many entries would copy the one name.
    assert!(says(open(&archive(&one_tensor(&"a".repeat(2000)), &[8], stored))).contains("a name of 2000 bytes"));
    // Each of many calls would go through the one list: a reference to a storage, and a call.
    for call in [&b"h\0Q."[..], b"ccollections\nOrderedDict\nh\0R."] {
        let pickle = [b"\x80\x02(", &[b'N'; 100_000][..], b"tq\0", call].concat();
        assert!(says(open(&archive(&pickle, &[], stored))).contains("a call with 100000 arguments"));
    }
}

#[test]
fn npz_stored_and_packed() {
    for name in ["stored.npz", "packed.npz"] {
        let arrays = Npz::open(&file(name)).unwrap();
        assert_eq!(arrays.f32("a", &[2, 3]).unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(&*arrays.bytes("b").unwrap(), [0, 1, 2, 3]);
        assert_eq!(arrays.f32("half", &[1, 2]).unwrap(), [1.0, 1.0]);
        let whole = fs::read(file(name)).unwrap();
        cut_short(&whole, Npz::open);
        every_byte_changed(&whole, Npz::open);
    }
    assert!(says(Npz::open(&file("turned.npz"))).contains("Fortran"));
    assert!(says(Npz::open(&file("state.bin"))).contains("is no .npy"));
}

/// A safetensors file of one tensor.
fn safetensors(name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[0,{}]}}}}"#, bytes.len());
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

#[test]
fn safetensors_in_shards_and_half_precision() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // 1.5 and -2 in f16, 1 and 0.5 in bf16.
    fs::write(at("1.safetensors"), safetensors("a", "F16", &[2], &[0, 0x3e, 0, 0xc0])).unwrap();
    fs::write(at("2.safetensors"), safetensors("b", "BF16", &[2], &[0x80, 0x3f, 0, 0x3f])).unwrap();
    let index = at("model.safetensors.index.json");
    fs::write(&index, r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#).unwrap();
    let weights = open_weights(dir.path()).unwrap();
    assert_eq!(weights.f32("a", &[2]).unwrap(), [1.5, -2.0]);
    assert_eq!(weights.f32("b", &[2]).unwrap(), [1.0, 0.5]);
    assert_eq!(weights.names(), ["a", "b"]);

    let whole = fs::read(at("2.safetensors")).unwrap();
    fs::write(at("2.safetensors"), &whole[..whole.len() - 1]).unwrap();
    assert!(says(Sharded::open(&index)).contains("2.safetensors is cut short"));
    fs::remove_file(at("2.safetensors")).unwrap();
    assert!(says(Sharded::open(&index)).ends_with("2.safetensors is missing"));
    for (text, expected) in [
        (r#"{"weight_map": {"c": "1.safetensors"}}"#, "1.safetensors has no tensor `c`"),
        (r#"{"weight_map": {"a": "../1.safetensors"}}"#, "`a` is in no file beside the index"),
        ("{}", "it has no object `weight_map`"),
        ("[", "is damaged"),
    ] {
        fs::write(&index, text).unwrap();
        let error = says(Sharded::open(&index));
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_file(&index).unwrap();
    assert!(says(open_weights(dir.path())).contains("no weights here; looked for model.safetensors, "));
    fs::write(at("d.safetensors"), safetensors("d", "F64", &[1], &[0; 8])).unwrap();
    assert!(says(Safetensors::open(&at("d.safetensors"))).contains("tensor `d` is F64"));
}

/// A Marian file; items with their type, shape and data.
fn marian(items: &[(&str, u64, &[i32], Vec<u8>)]) -> Vec<u8> {
    let mut bytes = [1u64, items.len() as u64].map(u64::to_le_bytes).concat();
    for (name, kind, shape, data) in items {
        let header = [name.len() as u64 + 1, *kind, shape.len() as u64, data.len() as u64];
        bytes.extend(header.map(u64::to_le_bytes).concat());
    }
    items.iter().for_each(|(name, ..)| bytes.extend([name.as_bytes(), b"\0"].concat()));
    items.iter().for_each(|(_, _, shape, _)| shape.iter().for_each(|size| bytes.extend(size.to_le_bytes())));
    let padding = (bytes.len() + 8).next_multiple_of(256) - bytes.len() - 8;
    bytes.extend((padding as u64).to_le_bytes());
    bytes.resize(bytes.len() + padding, 0);
    items.iter().for_each(|(.., data)| bytes.extend(data));
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn marian_in_f32_and_int8() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    // W [2, 3] is stored as [3, 2]; the table as it is; the last data is padded.
    let quantized = |values: &[i8], more: usize| -> Vec<u8> {
        let values = values.iter().map(|q| *q as u8).chain(floats(&[2.0]));
        values.chain(std::iter::repeat_n(0, more)).collect()
    };
    let items: Vec<(&str, u64, &[i32], Vec<u8>)> = vec![
        ("special:model.yml", 0x101, &[8], b"dim: 2\n\0".to_vec()),
        ("b", 0x404, &[1, 2], floats(&[0.5, -1.0])),
        ("W", 0x4101, &[2, 3], quantized(&[1, 2, 3, 4, 5, -6], 0)),
        ("Wemb", 0x4101, &[3, 2], quantized(&[1, 2, 3, 4, 5, -6], 2)),
    ];
    let whole = marian(&items);
    fs::write(&path, &whole).unwrap();
    let model = Marian::open(&path).unwrap();
    assert_eq!(model.options().unwrap(), "dim: 2\n");
    assert_eq!(model.f32("b", &[1, 2]).unwrap(), [0.5, -1.0]);
    assert_eq!(model.f32("W", &[2, 3]).unwrap(), [0.5, 1.5, 2.5, 1.0, 2.0, -3.0]);
    assert_eq!(model.f32("Wemb", &[3, 2]).unwrap(), [0.5, 1.0, 1.5, 2.0, 2.5, -3.0]);
    let (w, b) = (model.quantized("W").unwrap().unwrap(), model.quantized("b").unwrap());
    assert!(w.values == [1, 2, 3, 4, 5, 250] && w.multiplier == 2.0 && b.is_none());
    cut_short(&whole, Marian::open);
    every_byte_changed(&whole, Marian::open);

    let refused = |items: &[(&str, u64, &[i32], Vec<u8>)]| {
        fs::write(&path, marian(items)).unwrap();
        says(Marian::open(&path))
    };
    assert!(refused(&[("x", 0x408, &[1], vec![0; 8])]).contains("elements of type 0x408"));
    assert!(refused(&[("x", 0x404, &[2], vec![0; 4])]).contains("too few"));
    assert!(refused(&[("x", 0x404, &[-2], vec![0; 8])]).contains("negative"));
    assert!(refused(&[("x", 0x404, &[i32::MAX; 4], vec![0; 8])]).contains("too few"));
    assert!(refused(&[("x", 0x404, &[1], vec![0; 4]), ("x", 0x404, &[1], vec![0; 4])]).contains("`x` twice"));
    let absurd = [1u64, u64::MAX].map(u64::to_le_bytes).concat();
    fs::write(&path, absurd).unwrap();
    assert!(says(Marian::open(&path)).contains("announces 18446744073709551615 items"));
}

#[test]
fn shortlists() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lex.bin");
    let list = |offsets: &[u64], ids: &[u32]| -> Vec<u8> {
        let header = [0xF11A_48D5_0134_17F5, 9, 2, 3, offsets.len() as u64, ids.len() as u64];
        let offsets = offsets.iter().flat_map(|offset| offset.to_le_bytes());
        let ids = ids.iter().flat_map(|id| id.to_le_bytes());
        header.map(u64::to_le_bytes).concat().into_iter().chain(offsets).chain(ids).collect()
    };
    let whole = list(&[0, 2, 2, 3], &[5, 6, 7]);
    fs::write(&path, &whole).unwrap();
    let lists = Shortlist::open(&path).unwrap();
    assert_eq!((lists.frequent, lists.best), (2, 3));
    assert_eq!([lists.list(0), lists.list(1), lists.list(2)], [&[5, 6][..], &[], &[7]]);
    assert!(lists.check(3, 8).is_ok());
    assert!(says(lists.check(4, 8)).contains("lists for 3 source ids, the model has 4"));
    assert!(says(lists.check(3, 7)).contains("target id 7"));
    cut_short(&whole, Shortlist::open);
    for wrong in [list(&[0, 3, 2, 3], &[5, 6, 7]), list(&[0, 2], &[5, 6, 7]), list(&[], &[])] {
        fs::write(&path, wrong).unwrap();
        assert!(says(Shortlist::open(&path)).contains("offsets do not ascend"));
    }
}

/// A CTranslate2 file of a version: `w` `[2, 2]` int8 with a scale for each row, and `heads`, 8, of these dimensions.
fn ctranslate2(version: u32, dimensions: &[u32]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u16 + 1).to_le_bytes()[..], text.as_bytes(), b"\0"].concat();
    let mut bytes = version.to_le_bytes().to_vec();
    if version >= 2 {
        bytes.extend(text("TransformerSpec"));
        bytes.extend(3u32.to_le_bytes());
    }
    type Variable<'a> = (&'a str, &'a [u32], u8, u8, Vec<u8>);
    let variables: [Variable; 3] = [
        ("w", &[2, 2], 1, 1, [2i8, -4, 3, 6].map(|q| q as u8).to_vec()),
        ("w_scale", &[2], 0, 4, floats(&[2.0, 3.0])),
        ("heads", dimensions, 2, 2, 8i16.to_le_bytes().to_vec()),
    ];
    bytes.extend((variables.len() as u32).to_le_bytes());
    for (name, shape, kind, size, data) in variables {
        bytes.extend(text(name));
        bytes.push(shape.len() as u8);
        shape.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
        if version >= 4 {
            bytes.push(kind);
            bytes.extend((data.len() as u32).to_le_bytes());
        } else {
            bytes.push(size);
            bytes.extend((data.len() as u32 / u32::from(size)).to_le_bytes());
        }
        bytes.extend(data);
    }
    if version >= 3 {
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([text("tied"), text("w")].concat());
    }
    bytes
}

#[test]
fn ctranslate2_of_every_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    for version in 1..=6 {
        let whole = ctranslate2(version, &[]);
        fs::write(&path, &whole).unwrap();
        let model = CTranslate2::open(&path).unwrap();
        let aliases: &[&str] = if version >= 3 { &["w", "tied"] } else { &["w"] };
        for name in aliases {
            assert_eq!(model.f32(name, &[2, 2]).unwrap(), [1.0, -2.0, 1.0, 2.0], "{version} {name}");
        }
        assert_eq!(model.integer("heads").unwrap(), Some(8));
        assert_eq!(model.integer("none").unwrap(), None);
        assert!(says(model.integer("w")).contains("not one integer"));
        assert_eq!(model.specification(), if version >= 2 { "TransformerSpec" } else { "" });
        cut_short(&whole, CTranslate2::open);
        every_byte_changed(&whole, CTranslate2::open);
    }
    fs::write(&path, ctranslate2(6, &[]).split_first().map(|(_, rest)| [&[7], rest].concat()).unwrap()).unwrap();
    assert!(says(CTranslate2::open(&path)).contains("binary version 7, this program reads 1 to 6"));
    fs::write(&path, ctranslate2(6, &[1; 9])).unwrap();
    assert!(says(CTranslate2::open(&path)).contains("`heads` has 9 dimensions"));
}

#[test]
fn vocabularies_of_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(vocabulary(dir.path(), "v").unwrap(), None);
    fs::write(dir.path().join("v.txt"), "<s>\na\u{2028}b\n\r\n").unwrap();
    assert_eq!(vocabulary(dir.path(), "v").unwrap().unwrap(), ["<s>", "a\u{2028}b", "\r"]);
    fs::write(dir.path().join("v.json"), r#"["<s>", "a"]"#).unwrap();
    assert_eq!(vocabulary(dir.path(), "v").unwrap().unwrap(), ["<s>", "a"]);
    fs::write(dir.path().join("v.json"), r#"{"a": 1}"#).unwrap();
    assert!(says(vocabulary(dir.path(), "v")).contains("no list of tokens"));
}
