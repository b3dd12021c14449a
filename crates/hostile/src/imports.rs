//! Models of other programs as folders in which one file is other bytes: imported, weights and all. The first byte
//! selects the file.

use std::fs;
use std::sync::LazyLock;

use strata_corpus::subword::sentencepiece_names;
use strata_files::Existing;
use strata_import::{Options, import};

use crate::{Target, kept};

/// Names and contents of a folder's files.
type Files = Vec<(&'static str, Vec<u8>)>;

/// NLLB's mixture of experts in shards, from Hugging Face.
pub const NLLB_MOE: Target =
    Target { name: "import-nllb-moe", run: |bytes| imports(&NLLB_MOE_FILES, bytes), seeds: || seeds(&NLLB_MOE_FILES) };

/// OPUS-MT, from Hugging Face.
pub const OPUS: Target =
    Target { name: "import-opus", run: |bytes| imports(&OPUS_FILES, bytes), seeds: || seeds(&OPUS_FILES) };

/// What CTranslate2 converted.
pub const CTRANSLATE2: Target = Target {
    name: "import-ctranslate2",
    run: |bytes| imports(&CTRANSLATE2_FILES, bytes),
    seeds: || seeds(&CTRANSLATE2_FILES),
};

/// Marian's and Firefox's.
pub const MARIAN: Target =
    Target { name: "import-marian", run: |bytes| imports(&MARIAN_FILES, bytes), seeds: || seeds(&MARIAN_FILES) };

static NLLB_MOE_FILES: LazyLock<Files> = LazyLock::new(|| {
    let names = [
        "config.json",
        "added_tokens.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "sentencepiece.bpe.model",
        "model.safetensors.index.json",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
    ];
    names.map(|name| (name, golden("nllb-moe", name))).to_vec()
});

static OPUS_FILES: LazyLock<Files> = LazyLock::new(|| {
    let names = ["config.json", "vocab.json", "source.spm", "target.spm", "tokenizer_config.json", "model.safetensors"];
    names.map(|name| (name, golden("marian-apart", name))).to_vec()
});

static CTRANSLATE2_FILES: LazyLock<Files> = LazyLock::new(|| {
    let converted = kept("import/tests/ctranslate2/int8");
    let read = |name| (name, fs::read(converted.join(name)).expect("a file of the repository"));
    let pieces = ["source.spm", "target.spm"].map(|name| (name, golden("marian-apart", name)));
    ["config.json", "shared_vocabulary.json", "model.bin"].map(read).into_iter().chain(pieces).collect()
});

static MARIAN_FILES: LazyLock<Files> = LazyLock::new(|| {
    let pieces = golden("marian", "source.spm");
    let ids = sentencepiece_names(&pieces).expect("a model of subwords").len();
    vec![("model.ende.bin", marian(ids)), ("lex.50.50.ende.bin", shortlist(ids)), ("vocab.ende.spm", pieces)]
});

fn golden(folder: &str, name: &str) -> Vec<u8> {
    fs::read(kept("runtime/tests/golden").join(folder).join(name)).expect("a file of the repository")
}

/// A model of zeros in Marian's format, with this many ids.
fn marian(ids: usize) -> Vec<u8> {
    const D: usize = 4;
    let options = "type: transformer\ndim-emb: 4\ntransformer-dim-ffn: 4\ntransformer-heads: 1\nenc-depth: 1\n\
                   dec-depth: 1\ntied-embeddings-all: true\ntransformer-postprocess: dan\n";
    let mut floats = vec![("Wemb".to_owned(), [ids, D]), ("decoder_ff_logit_out_b".to_owned(), [1, ids])];
    let (attention, ffn) = (["q", "k", "v", "o"], ["1", "2"]);
    for (path, maps, norm) in [
        ("encoder_l1_self", &attention[..], "_Wo"),
        ("decoder_l1_self", &attention, "_Wo"),
        ("decoder_l1_context", &attention, "_Wo"),
        ("encoder_l1_ffn", &ffn, "_ffn"),
        ("decoder_l1_ffn", &ffn, "_ffn"),
    ] {
        let maps = maps.iter().flat_map(|map| [(format!("{path}_W{map}"), [D, D]), (format!("{path}_b{map}"), [1, D])]);
        let norm = ["scale", "bias"].map(|kind| (format!("{path}{norm}_ln_{kind}"), [1, D]));
        floats.extend(maps.chain(norm));
    }
    let bytes = |[rows, columns]: [usize; 2]| 4 * rows * columns;
    let all = || {
        let text = ("special:model.yml", 0x101, [1, options.len()], options.len());
        let floats = floats.iter().map(|(name, shape)| (name.as_str(), 0x404, *shape, bytes(*shape)));
        [text].into_iter().chain(floats)
    };
    let mut file = [1, all().count() as u64].map(u64::to_le_bytes).concat();
    all().for_each(|(name, kind, _, size)| {
        file.extend([name.len() as u64, kind, 2, size as u64].map(u64::to_le_bytes).concat());
    });
    all().for_each(|(name, ..)| file.extend(name.as_bytes()));
    all().for_each(|(_, _, shape, _)| file.extend(shape.map(|size| (size as i32).to_le_bytes()).concat()));
    file.extend(0u64.to_le_bytes());
    file.extend(options.as_bytes());
    file.resize(file.len() + floats.iter().map(|(_, shape)| bytes(*shape)).sum::<usize>(), 0);
    file
}

/// A shortlist that lets each of this many ids become one of the two most frequent.
fn shortlist(ids: usize) -> Vec<u8> {
    let head = [0xF11A_48D5_0134_17F5, 0, 2, 2, ids as u64 + 1, 0];
    head.into_iter().chain(std::iter::repeat_n(0, ids + 1)).flat_map(u64::to_le_bytes).collect()
}

/// The files, each behind its number.
fn seeds(files: &Files) -> Vec<Vec<u8>> {
    files.iter().zip(0..).map(|((_, content), number)| [&[number], &content[..]].concat()).collect()
}

fn imports(files: &Files, bytes: &[u8]) -> bool {
    let Some((choice, other)) = bytes.split_first() else { return false };
    let choice = usize::from(*choice) % files.len();
    let work = tempfile::tempdir().expect("a folder to work in");
    let source = work.path().join("source");
    fs::create_dir(&source).expect("a folder");
    for (number, (name, content)) in files.iter().enumerate() {
        fs::write(source.join(name), if number == choice { other } else { content }).expect("a file");
    }
    let options = Options { from: Some("en".into()), to: Some("de".into()) };
    import(&source, &work.path().join("model"), &options, Existing::Refuse).is_ok()
}
