//! A tiny model as Firefox has them, made here: its integers, its scales and its shortlist arrive as they are.

use std::fs;
use std::path::Path;

use strata_corpus::subword::{EOS, sentencepiece_names};
use strata_import::{Options, import};
use strata_runtime::{Precision, write_packed};
use strata_store::{Dtype, Existing, ModelFolder, Shortlist, TensorFile};

const D: usize = 16;
const FFN: usize = 24;

/// An item of a Marian file: name, type, shape, data.
struct Item(String, u64, Vec<usize>, Vec<u8>);

/// A model of Firefox's kind in Marian's format, with 8-bit weights.
#[derive(Default)]
struct Marian(Vec<Item>);

impl Marian {
    fn floats(&mut self, name: &str, n: usize) {
        let values = (0..n).flat_map(|i| (1.0 + (i % 5) as f32 * 0.1).to_le_bytes()).collect();
        self.0.push(Item(name.to_owned(), 0x404, vec![1, n], values));
    }

    /// Integers from -90 to 90, some of them 1, and a multiplier of each matrix's own.
    fn bytes(&mut self, name: &str, shape: [usize; 2]) {
        let seed = self.0.len();
        let mut data: Vec<u8> =
            (0..shape[0] * shape[1]).map(|k| ((((k + seed) * 73) % 181) as i32 - 90) as i8 as u8).collect();
        data.extend_from_slice(&multiplier(seed).to_le_bytes());
        self.0.push(Item(name.to_owned(), 0x4101, shape.to_vec(), data));
    }

    fn linear(&mut self, path: &str, which: &str, shape: [usize; 2]) {
        self.bytes(&format!("{path}_W{which}"), shape);
        self.floats(&format!("{path}_b{which}"), shape[1]);
    }

    fn norm(&mut self, path: &str) {
        self.floats(&format!("{path}_ln_scale"), D);
        self.floats(&format!("{path}_ln_bias"), D);
    }

    fn attention(&mut self, path: &str) {
        for which in ["q", "k", "v", "o"] {
            self.linear(path, which, [D, D]);
        }
        self.norm(&format!("{path}_Wo"));
    }

    fn ffn(&mut self, path: &str) {
        self.linear(path, "1", [D, FFN]);
        self.linear(path, "2", [FFN, D]);
        self.norm(&format!("{path}_ffn"));
    }

    fn new(vocabulary: usize) -> Self {
        let mut model = Self::default();
        let options = format!(
            "type: transformer\ndim-emb: {D}\ntransformer-dim-ffn: {FFN}\ntransformer-heads: 2\nenc-depth: 1\n\
             dec-depth: 1\ntied-embeddings-all: true\ntransformer-preprocess: \"\"\ntransformer-postprocess: dan\n\
             transformer-decoder-autoreg: rnn\ndec-cell: ssru\ntransformer-ffn-activation: relu\n\0"
        );
        model.0.push(Item("special:model.yml".to_owned(), 0x101, vec![options.len()], options.into_bytes()));
        model.bytes("Wemb", [vocabulary, D]);
        model.floats("decoder_ff_logit_out_b", vocabulary);
        model.attention("encoder_l1_self");
        model.ffn("encoder_l1_ffn");
        model.linear("decoder_l1_rnn", "f", [D, D]);
        model.bytes("decoder_l1_rnn_W", [D, D]);
        model.norm("decoder_l1_rnn_ffn");
        model.attention("decoder_l1_context");
        model.ffn("decoder_l1_ffn");
        model
    }

    fn file(&self) -> Vec<u8> {
        let mut file = [1u64, self.0.len() as u64].map(u64::to_le_bytes).concat();
        for Item(name, kind, shape, data) in &self.0 {
            let header = [name.len() as u64 + 1, *kind, shape.len() as u64, data.len() as u64];
            file.extend(header.map(u64::to_le_bytes).concat());
        }
        self.0.iter().for_each(|item| file.extend([item.0.as_bytes(), b"\0"].concat()));
        self.0.iter().flat_map(|item| &item.2).for_each(|size| file.extend((*size as i32).to_le_bytes()));
        file.extend(0u64.to_le_bytes());
        self.0.iter().for_each(|item| file.extend(&item.3));
        file
    }

    /// The integers of an item, and its place.
    fn integers(&self, name: &str) -> (Vec<i8>, usize) {
        let place = self.0.iter().position(|item| item.0 == name).unwrap();
        let data = &self.0[place].3;
        (data[..data.len() - 4].iter().map(|q| *q as i8).collect(), place)
    }
}

fn multiplier(seed: usize) -> f32 {
    20.0 + 7.3 * seed as f32
}

/// `lex.*.bin`: two ids that every sentence may have, and for each source id `s` those of `of(s)`.
fn lexical(vocabulary: usize, of: impl Fn(usize) -> Vec<u32>) -> Vec<u8> {
    let lists: Vec<Vec<u32>> = (0..vocabulary).map(of).collect();
    let ends = lists.iter().scan(0, |end, list| {
        *end += list.len() as u64;
        Some(*end)
    });
    let offsets: Vec<u64> = [0].into_iter().chain(ends).collect();
    let ids = lists.concat();
    let head = [0xF11A_48D5_0134_17F5, 0, 2, 2, offsets.len() as u64, ids.len() as u64];
    let mut file: Vec<u8> = head.iter().chain(&offsets).flat_map(|n| n.to_le_bytes()).collect();
    file.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    file
}

/// The integers `[outputs, inputs]` and the scales of a packed map.
fn packed(file: &TensorFile, name: &str, outputs: usize, inputs: usize) -> (Vec<i8>, Vec<f32>) {
    let panels = outputs.div_ceil(16);
    let view = file.expect(&format!("{name}.weight"), Dtype::I8, &[panels, inputs.div_ceil(4), 16, 4]).unwrap();
    let at = |o: usize, i: usize| ((o / 16 * inputs.div_ceil(4) + i / 4) * 16 + o % 16) * 4 + i % 4;
    let integers = (0..outputs * inputs).map(|k| view.bytes[at(k / inputs, k % inputs)] as i8).collect();
    let scales = file.f32(&format!("{name}.scales"), &[panels * 16]).unwrap()[..outputs].to_vec();
    (integers, scales)
}

#[test]
fn integers_scales_and_the_shortlist_arrive_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    let pieces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden/marian/source.spm");
    let pieces = fs::read(pieces).unwrap();
    let names = sentencepiece_names(&pieces).unwrap();
    let theirs = Marian::new(names.len());
    fs::write(source.join("model.enpt.intgemm.alphas.bin"), theirs.file()).unwrap();
    fs::write(source.join("vocab.enpt.spm"), &pieces).unwrap();
    let last = names.len() as u32 - 1;
    let lists = lexical(names.len(), |s| if s == 10 { vec![last, 30, 7] } else { vec![] });
    fs::write(source.join("lex.50.50.enpt.s2t.bin"), &lists).unwrap();
    let model = dir.path().join("model");
    import(&source, &model, &Options::default(), Existing::Refuse).unwrap();
    let folder = ModelFolder::open(&model).unwrap();
    let int8 = write_packed(&folder, Precision::Int8, &dir.path().join("int8"), Existing::Refuse, &[]).unwrap();

    let file = TensorFile::open(int8.join("packed.safetensors")).unwrap();
    let maps = [
        ("encoder.layers.0.ffn.fc1", FFN, D, &["encoder_l1_ffn_W1"][..]),
        ("encoder.layers.0.ffn.fc2", D, FFN, &["encoder_l1_ffn_W2"]),
        (
            "encoder.layers.0.self_attention.query_key_value",
            3 * D,
            D,
            &["encoder_l1_self_Wq", "encoder_l1_self_Wk", "encoder_l1_self_Wv"],
        ),
        ("decoder.layers.0.ssru.forget_input", 2 * D, D, &["decoder_l1_rnn_Wf", "decoder_l1_rnn_W"]),
    ];
    for (name, outputs, inputs, items) in maps {
        let (integers, scales) = packed(&file, name, outputs, inputs);
        let wanted: Vec<(Vec<i8>, usize)> = items.iter().map(|item| theirs.integers(item)).collect();
        assert_eq!(integers, wanted.iter().flat_map(|(integers, _)| integers).copied().collect::<Vec<_>>(), "{name}");
        for (scales, (_, place)) in scales.chunks(outputs / items.len()).zip(&wanted) {
            assert!(scales.iter().all(|scale| *scale == 1.0 / multiplier(*place)), "{name}");
        }
    }
    // Of the table too, whose rows are in another order: the three special tokens in front, without padding.
    let vocabulary = folder.model_config().unwrap().vocab_size;
    let (integers, scales) = packed(&file, "output", vocabulary, D);
    let (wanted, place) = theirs.integers("Wemb");
    let row = |name: &str| names.iter().position(|other| other == name).unwrap();
    let (end, unknown) = (row("</s>"), row("<unk>"));
    let rest = (0..names.len()).filter(|id| ![end, unknown].contains(id));
    let order: Vec<usize> = [end, unknown].into_iter().chain(rest).collect();
    assert_eq!((vocabulary, &integers[..D]), (order.len() + 1, &[0; D][..]));
    for (ours, id) in order.iter().enumerate() {
        assert_eq!(integers[(ours + 1) * D..][..D], wanted[id * D..][..D], "row {id}");
    }
    assert!(scales.iter().all(|scale| *scale == 1.0 / multiplier(place)));

    // The shortlist goes with both folders: frequent ids, the end mark, those of the source subwords, themselves.
    let ours = |id: u32| order.iter().position(|other| *other == id as usize).unwrap() as u32 + 1;
    let shortlist = Shortlist::read(&model, vocabulary, vocabulary).unwrap().unwrap();
    assert_eq!(Shortlist::read(&int8, vocabulary, vocabulary).unwrap().as_ref(), Some(&shortlist));
    let ids = |of: &[u32]| {
        let mut ids: Vec<u32> = of.iter().map(|id| ours(*id)).chain([EOS]).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(shortlist.of(&[ours(10), EOS]), ids(&[0, 1, 10, last, 30, 7]));
    assert_eq!(shortlist.of(&[ours(11)]), ids(&[0, 1, 11]));

    // A list of another model is refused, and nothing is written.
    fs::write(source.join("lex.50.50.enpt.s2t.bin"), lexical(9, |_| vec![])).unwrap();
    let other = dir.path().join("other");
    let error = import(&source, &other, &Options::default(), Existing::Refuse).unwrap_err().to_string();
    assert!(error.contains("it belongs to another model") && !other.exists(), "{error}");
}

#[test]
fn sizes_beyond_any_model_or_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let pieces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden/marian/source.spm");
    fs::copy(pieces, dir.path().join("vocab.enpt.spm")).unwrap();
    for (from, to, expected) in [
        ("enc-depth: 1", "enc-depth: 99999999999999999", "enc-depth: encoder_layers = 99999999999999999 must be"),
        ("dec-depth: 1", "dec-depth: 1000", "tensors, but its configuration describes 1001 layers and experts"),
        ("dim-emb: 16", "dim-emb: 0", "dim-emb: d_model = 0 must be between"),
        ("heads: 2", "heads: 5", "transformer-heads: heads = 5 does not divide d_model = 16"),
    ] {
        let mut model = Marian::new(50);
        let Item(_, _, shape, options) = &mut model.0[0];
        *options = String::from_utf8(options.clone()).unwrap().replace(from, to).into_bytes();
        *shape = vec![options.len()];
        fs::write(dir.path().join("model.enpt.intgemm.bin"), model.file()).unwrap();
        let error = import(dir.path(), &dir.path().join("x"), &Options::default(), Existing::Refuse).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("model.enpt.intgemm.bin: ") && error.contains(expected), "{error}");
    }
}
