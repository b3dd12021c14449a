//! Marian's own files: Firefox and Bergamot folders (`model.*.bin`, `vocab.*.spm`), and `.npz` models with
//! SentencePiece vocabularies. Post-norm, positions from 0, self-attention or SSRU in the decoder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strata_corpus::subword::{EOS, sentencepiece_names};
use strata_files::regular;
use strata_formats::marian::OPTIONS;
use strata_formats::{Marian, Npz, Shortlist as Lexical, Tensors, yaml};
use strata_recipe::{
    Activation, Decoder, Frequencies, LayerNorm, Mark, Mixer, ModelConfig, NormPlace, Prompts, Side, Tables,
};
use strata_store::Shortlist;

use crate::Options as Wanted;
use crate::error::Error;
use crate::plan::{self, Between, Plan};
use crate::vocabulary::{Ours, Theirs};
use crate::weights::Weights;

/// Marian's layer norm adds this to the variance.
const EPSILON: f64 = 1e-6;
/// Marian has no longest sentence.
const MAX_LENGTH: usize = 1024;
/// Bytes of the options at most; they have a few thousand.
const MOST_OPTIONS: usize = 1 << 20;

/// The model file of a folder, or a model file itself.
pub(crate) fn find(source: &Path) -> Option<PathBuf> {
    if source.is_file() {
        let is_model = source.extension().is_some_and(|ending| ending == "npz" || ending == "bin");
        return is_model.then(|| source.to_path_buf());
    }
    let fits = |name: &str| {
        (name.starts_with("model") && name.ends_with(".bin") && name.matches('.').count() > 1) || name.ends_with(".npz")
    };
    one(source, &fits)
}

/// The file of a folder whose name fits; the first by name.
fn one(folder: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| fits(name)).min().map(|name| folder.join(name))
}

/// Options of the model with the file that they come from.
struct Options {
    path: PathBuf,
    values: yaml::Options,
}

impl Options {
    fn unsupported(&self, key: &str, supported: &str) -> Error {
        let value = match self.values.get(key) {
            None => "(missing)".to_owned(),
            Some(yaml::Value::Scalar(text)) => format!("{text:?}"),
            Some(yaml::Value::List(list)) => format!("{list:?}"),
        };
        Error::Option { path: self.path.clone(), option: key.to_owned(), value, supported: supported.to_owned() }
    }

    fn number(&self, key: &str) -> Result<usize, Error> {
        let number = self.values.scalar(key).and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.unsupported(key, "a whole number"))
    }

    /// Checks an option that may be missing.
    fn must_be(&self, key: &str, allowed: &[&str]) -> Result<(), Error> {
        let fits = match self.values.get(key) {
            None => true,
            Some(yaml::Value::Scalar(text)) => allowed.contains(&text.as_str()),
            Some(yaml::Value::List(list)) => list.is_empty(),
        };
        if fits { Ok(()) } else { Err(self.unsupported(key, &allowed.join(", "))) }
    }

    fn is_true(&self, key: &str) -> bool {
        self.values.scalar(key) == Some("true")
    }
}

pub(crate) fn plan(path: &Path, wanted: &Wanted) -> Result<Plan, Error> {
    let (tensors, text): (Box<dyn Tensors>, String) = if path.extension().is_some_and(|ending| ending == "npz") {
        let file = Npz::open(path)?;
        // Packed, it can be a thousand times as long as the file.
        if file.info(OPTIONS).is_some_and(|info| info.shape.iter().product::<usize>() > MOST_OPTIONS) {
            return Err(Error::mismatch(path, format!("{OPTIONS} is longer than {MOST_OPTIONS} bytes")));
        }
        let bytes = file.bytes(OPTIONS)?.into_owned();
        let text = String::from_utf8(bytes).map_err(|_| Error::mismatch(path, format!("{OPTIONS} is not UTF-8")))?;
        (Box::new(file), text)
    } else {
        let file = Marian::open(path)?;
        let text = file.options()?.to_owned();
        (Box::new(file), text)
    };
    let values = yaml::Options::parse(path, text.trim_end_matches('\0'))?;
    let options = Options { path: path.to_path_buf(), values };
    let mut config = config(&options)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let [source_pieces, target_pieces] = vocabularies(folder)?;
    let ids = |pieces: &[u8]| -> Result<Ours, Error> {
        let names: Vec<Option<String>> = sentencepiece_names(pieces)?.into_iter().map(Some).collect();
        let place = |name: &str| names.iter().position(|other| other.as_deref() == Some(name));
        let special = |name: &str| place(name).ok_or_else(|| Error::mismatch(folder, format!("no `{name}` in it")));
        let (end, unknown) = (special("</s>")?, special("<unk>")?);
        let control = place("<s>").into_iter().collect();
        Theirs { pad: place("<pad>"), end, unknown, control, names, ..Theirs::default() }.renumber(folder)
    };
    let (source, target) = (ids(&source_pieces)?, ids(&target_pieces)?);
    config.vocab_size = target.rows.len();
    let same = source_pieces == target_pieces;
    if same && config.network.embeddings.tables.source_apart() {
        config.network.embeddings.source_vocab_size = None;
    } else if !same {
        if !config.network.embeddings.tables.source_apart() {
            return Err(options.unsupported("tied-embeddings-all", "false, where there are two vocabularies"));
        }
        config.network.embeddings.source_vocab_size =
            (source.rows.len() != target.rows.len()).then_some(source.rows.len());
    }
    let subwords = target.subwords((!same).then_some(&source), [&source_pieces, &target_pieces])?;
    let languages = languages(path, wanted)?;
    let weights = weights(tensors, &config, &source.rows, &target.rows)?;
    let origin = if config.network.decoder.mixer == Mixer::Ssru { "Firefox / Bergamot" } else { "Marian" };
    let shortlist = shortlist(folder, &source, &target, same)?;
    Ok(Plan { origin: origin.to_owned(), config, subwords, languages, weights, shortlist, _unpacked: None })
}

/// The configuration that the options describe, but for the size of the vocabulary.
fn config(options: &Options) -> Result<ModelConfig, Error> {
    for (key, allowed) in [
        ("type", &["transformer"][..]),
        ("transformer-preprocess", &[""]),
        ("transformer-postprocess", &["dan"]),
        ("transformer-postprocess-emb", &["d", ""]),
        ("transformer-postprocess-top", &[""]),
        ("transformer-ffn-depth", &["2"]),
        ("transformer-train-position-embeddings", &["false"]),
        ("transformer-no-projection", &["false"]),
        ("transformer-rnn-projection", &["false"]),
        ("transformer-tied-layers", &[]),
        ("transformer-pool", &["false"]),
        ("transformer-depth-scaling", &["false", "true"]),
        ("lemma-dim-emb", &["0"]),
        ("input-types", &[]),
        ("output-omit-bias", &["false"]),
        ("right-left", &["false"]),
        ("ulr", &["false"]),
    ] {
        options.must_be(key, allowed)?;
    }
    if options.values.scalar("transformer-postprocess") != Some("dan") {
        return Err(options.unsupported("transformer-postprocess", "dan"));
    }
    let mixer = match options.values.scalar("transformer-decoder-autoreg") {
        None | Some("self-attention") => Mixer::Attention,
        Some("rnn") => {
            options.must_be("dec-cell", &["ssru"])?;
            Mixer::Ssru
        }
        Some(_) => return Err(options.unsupported("transformer-decoder-autoreg", "self-attention, rnn (SSRU)")),
    };
    let activation = match options.values.scalar("transformer-ffn-activation") {
        Some("relu") => Activation::Relu,
        None | Some("swish") => Activation::Swish,
        Some("gelu") => Activation::GeluSigmoid,
        Some(_) => return Err(options.unsupported("transformer-ffn-activation", "relu, swish, gelu")),
    };
    let tables = match (options.is_true("tied-embeddings-all"), options.is_true("tied-embeddings")) {
        (true, _) => Tables::Shared,
        (false, true) => Tables::SourceApart,
        (false, false) if options.is_true("tied-embeddings-src") => Tables::OutputApart,
        (false, false) => Tables::Apart,
    };
    let d_ffn = options.number("transformer-dim-ffn")?;
    let of_decoder = options.number("transformer-decoder-dim-ffn").unwrap_or(0);
    let mut config = ModelConfig {
        encoder_layers: options.number("enc-depth")?,
        decoder_layers: options.number("dec-depth")?,
        d_model: options.number("dim-emb")?,
        d_ffn,
        heads: options.number("transformer-heads")?,
        max_length: MAX_LENGTH,
        prompts: Prompts { source_front: vec![], source_end: vec![Mark::End], decoder: vec![Mark::Zero] },
        ..ModelConfig::default()
    };
    let network = &mut config.network;
    network.positions.frequencies = Frequencies::Tensor2tensor;
    network.layer_norm = LayerNorm { place: NormPlace::Post, last: false, epsilon: EPSILON };
    network.activation = activation;
    network.embeddings.tables = tables;
    network.embeddings.output_bias = true;
    let decoder_ffn = (of_decoder != 0 && of_decoder != d_ffn).then_some(of_decoder);
    network.decoder = Decoder { mixer, d_ffn: decoder_ffn, heads: None };
    let names = [
        ("encoder_layers", "enc-depth"),
        ("decoder_layers", "dec-depth"),
        ("d_model", "dim-emb"),
        ("d_ffn", "transformer-dim-ffn"),
        ("network.decoder.d_ffn", "transformer-decoder-dim-ffn"),
        ("heads", "transformer-heads"),
    ];
    plan::check_sizes(&config, &options.path, &names)?;
    Ok(config)
}

/// The SentencePiece models of source and target; one may be both.
fn vocabularies(folder: &Path) -> Result<[Vec<u8>; 2], Error> {
    let spm = |start: &'static str| {
        move |name: &str| name.starts_with(start) && (name.ends_with(".spm") || name.ends_with(".model"))
    };
    if let (Some(source), Some(target)) = (one(folder, &spm("srcvocab")), one(folder, &spm("trgvocab"))) {
        return Ok([regular::read(source)?, regular::read(target)?]);
    }
    if let (Some(source), Some(target)) = (one(folder, &spm("source")), one(folder, &spm("target"))) {
        return Ok([regular::read(source)?, regular::read(target)?]);
    }
    let what = "no vocabulary beside the model: vocab.*.spm, or srcvocab.*.spm and trgvocab.*.spm";
    let shared = regular::read(one(folder, &spm("vocab")).ok_or_else(|| Error::mismatch(folder, what))?)?;
    Ok([shared.clone(), shared])
}

/// The shortlist of a folder, `lex.*.bin`, in this program's ids. Where both sides have one vocabulary, `same`, each
/// source subword may be copied.
fn shortlist(folder: &Path, source: &Ours, target: &Ours, same: bool) -> Result<Option<Shortlist>, Error> {
    let Some(path) = one(folder, &|name| name.starts_with("lex.") && name.ends_with(".bin")) else { return Ok(None) };
    let lexical = Lexical::open(&path)?;
    let of = |ours: &Ours| ours.rows.iter().flatten().count();
    lexical.check(of(source), of(target))?;
    let mut ours = vec![0; of(target)];
    for (id, row) in target.rows.iter().enumerate() {
        row.iter().for_each(|row| ours[*row] = id as u32);
    }
    let frequent = ours.iter().take(usize::try_from(lexical.frequent).unwrap_or(usize::MAX)).copied();
    let list = |(id, row): (usize, &Option<usize>)| -> Vec<u32> {
        let Some(row) = *row else { return Vec::new() };
        let listed = lexical.list(row).iter().map(|theirs| ours[*theirs as usize]);
        let mut ids: Vec<u32> = listed.chain(same.then_some(id as u32)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let lists: Vec<Vec<u32>> = source.rows.iter().enumerate().map(list).collect();
    Ok(Some(Shortlist::new(frequent.chain([EOS]).collect(), &lists)?))
}

/// The languages of `model.enpt.intgemm.bin`, or what the user says.
fn languages(path: &Path, wanted: &Wanted) -> Result<Between, Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let pair = name.split('.').nth(1).filter(|pair| pair.len() == 4 && pair.chars().all(|c| c.is_ascii_lowercase()));
    let missing = |what| Error::NoLanguage { path: path.to_path_buf(), what };
    let from = wanted.from.as_deref().or(pair.map(|pair| &pair[..2])).ok_or_else(|| missing("from"))?;
    let to = wanted.to.as_deref().or(pair.map(|pair| &pair[2..])).ok_or_else(|| missing("into"))?;
    Ok(Between::Into(from.to_owned(), vec![to.to_owned()]))
}

fn weights(
    tensors: Box<dyn Tensors>,
    config: &ModelConfig,
    source: &Arc<[Option<usize>]>,
    target: &Arc<[Option<usize>]>,
) -> Result<Weights, Error> {
    let d = config.d_model;
    let tables = config.network.embeddings.tables;
    let known = tensors.names().into_iter().filter(|name| name.ends_with("_QuantMultA") || *name == OPTIONS);
    let known = known.map(str::to_owned).collect();
    let mut weights = Weights { known, ..Weights::new(tensors, config)? };
    let of = |rows: &Arc<[Option<usize>]>| rows.iter().flatten().count();
    let own = if tables.source_apart() { "decoder_Wemb" } else { "Wemb" };
    weights.table("embedding.weight", own, of(target), d, target);
    if tables.source_apart() {
        weights.table("source_embedding.weight", "encoder_Wemb", of(source), d, source);
    }
    let map = if tables.output_apart() { "output" } else { "embedding" };
    if tables.output_apart() {
        weights.turned_table("output.weight", "decoder_ff_logit_out_W", of(target), d, target);
    }
    weights.output_bias(format!("{map}.bias"), "decoder_ff_logit_out_b", of(target), target);
    for (side, path) in [(Side::Encoder, "encoder"), (Side::Decoder, "decoder")] {
        for layer in 0..config.layers(side) {
            let (ours, theirs) = (format!("{path}.layers.{layer}"), format!("{path}_l{}", layer + 1));
            match (side, config.network.decoder.mixer) {
                (Side::Decoder, Mixer::Ssru) => ssru(&mut weights, d, &ours, &theirs),
                _ => attention(&mut weights, d, &format!("{ours}.self_attention"), &format!("{theirs}_self")),
            }
            if side == Side::Decoder {
                attention(&mut weights, d, &format!("{ours}.cross_attention"), &format!("{theirs}_context"));
            }
            let inner = config.d_ffn_of(side);
            linear(&mut weights, &format!("{ours}.ffn.fc1"), &format!("{theirs}_ffn_"), "1", [inner, d]);
            linear(&mut weights, &format!("{ours}.ffn.fc2"), &format!("{theirs}_ffn_"), "2", [d, inner]);
            norm(&mut weights, d, &format!("{ours}.ffn.norm"), &format!("{theirs}_ffn_ffn"));
        }
    }
    Ok(weights)
}

fn linear(weights: &mut Weights, ours: &str, theirs: &str, which: &str, [outputs, inputs]: [usize; 2]) {
    weights.transposed(format!("{ours}.weight"), format!("{theirs}W{which}"), outputs, inputs);
    weights.row(format!("{ours}.bias"), format!("{theirs}b{which}"), outputs);
}

fn norm(weights: &mut Weights, d: usize, ours: &str, theirs: &str) {
    weights.row(format!("{ours}.weight"), format!("{theirs}_ln_scale"), d);
    weights.row(format!("{ours}.bias"), format!("{theirs}_ln_bias"), d);
}

fn attention(weights: &mut Weights, d: usize, ours: &str, theirs: &str) {
    for (map, which) in [("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")] {
        linear(weights, &format!("{ours}.{map}"), &format!("{theirs}_"), which, [d, d]);
    }
    norm(weights, d, &format!("{ours}.norm"), &format!("{theirs}_Wo"));
}

fn ssru(weights: &mut Weights, d: usize, ours: &str, theirs: &str) {
    linear(weights, &format!("{ours}.ssru.forget"), &format!("{theirs}_rnn_"), "f", [d, d]);
    weights.transposed(format!("{ours}.ssru.input.weight"), format!("{theirs}_rnn_W"), d, d);
    weights.zeros(format!("{ours}.ssru.input.bias"), &[d]);
    norm(weights, d, &format!("{ours}.ssru.norm"), &format!("{theirs}_rnn_ffn"));
}
