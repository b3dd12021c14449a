//! CTranslate2 folders (`model.bin` with vocabularies) and Argos packages (`.argosmodel`: such a folder with a
//! SentencePiece model, zipped), which LibreTranslate's users have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strata_corpus::subword::SPECIALS;
use strata_files::regular;
use strata_formats::ctranslate2::vocabulary;
use strata_formats::{CTranslate2, Element, Tensors, unpack};
use strata_recipe::{
    Activation, EmbeddingScale, Frequencies, Mark, ModelConfig, NormPlace, PositionLayout, Positions, Prompts, Side,
    Tables, sinusoidal,
};

use crate::Options as Wanted;
use crate::error::Error;
use crate::options::Options;
use crate::plan::{self, Between, Plan};
use crate::vocabulary::{Ours, Theirs};
use crate::weights::Weights;

/// The longest sentence of models that compute their positions.
const MAX_LENGTH: usize = 512;

/// The folder with the model: the path itself, or `model` in an unpacked Argos package.
pub(crate) fn find(source: &Path) -> Option<PathBuf> {
    let folders = [source.to_path_buf(), source.join("model")];
    folders.into_iter().find(|folder| {
        let lists = ["shared_vocabulary", "source_vocabulary"];
        let has_list = |name: &str| ["json", "txt"].iter().any(|end| folder.join(format!("{name}.{end}")).exists());
        folder.join("model.bin").exists() && lists.iter().any(|name| has_list(name))
    })
}

/// The model of an `.argosmodel`.
///
/// # Errors
/// As [`plan`], and an archive that is none or holds no such model.
pub(crate) fn plan_package(package: &Path, wanted: &Wanted) -> Result<Plan, Error> {
    let unpacked =
        tempfile::tempdir().map_err(|e| strata_files::Error::io("make a folder", std::env::temp_dir(), e))?;
    let needed = |name: &str| name.starts_with("model/") || ["metadata.json", "sentencepiece.model"].contains(&name);
    unpack(package, unpacked.path(), needed)?;
    let what = "no CTranslate2 model in the package; packages that only join others have none";
    let folder = find(unpacked.path()).ok_or_else(|| Error::mismatch(package, what))?;
    Ok(Plan { _unpacked: Some(unpacked), ..plan(&folder, folder.parent().unwrap_or(&folder), wanted)? })
}

pub(crate) fn plan(folder: &Path, package: &Path, wanted: &Wanted) -> Result<Plan, Error> {
    let path = folder.join("model.bin");
    let model = CTranslate2::open(&path)?;
    if !["TransformerSpec", ""].contains(&model.specification()) {
        let option = "specification".to_owned();
        let (value, supported) = (model.specification().to_owned(), "TransformerSpec".to_owned());
        return Err(Error::Option { path, option, value, supported });
    }
    let options = Options::read_if_there(&folder.join("config.json"))?;
    let end = text(options.as_ref(), "eos_token", "</s>").unwrap_or_else(|| "</s>".into());
    let unknown = text(options.as_ref(), "unk_token", "<unk>").unwrap_or_else(|| "<unk>".into());
    let (source, target) = vocabularies(folder, &end, &unknown)?;
    let mut config = config(&model, options.as_ref())?;
    config.vocab_size = target.rows.len();
    config.network.embeddings.source_vocab_size =
        source.as_ref().map(|source| source.rows.len()).filter(|rows| *rows != target.rows.len());
    config.prompts = prompts(&model, folder, options.as_ref(), &end, &target)?;
    let [source_pieces, target_pieces] = pieces(folder, package)?;
    let subwords = target.subwords(source.as_ref(), [&source_pieces, &target_pieces])?;
    let languages = languages(package, wanted)?;
    let source_rows = source.map_or(target.rows.clone(), |source| source.rows);
    let weights = weights(model, &config, &source_rows, &target.rows)?;
    Ok(Plan {
        origin: "CTranslate2".to_owned(),
        config,
        subwords,
        languages,
        weights,
        shortlist: None,
        _unpacked: None,
    })
}

/// An option that is text; `default` where there are no options.
fn text(options: Option<&Options>, key: &str, default: &str) -> Option<String> {
    options.map_or(Some(default), |options| options.text(key)).map(str::to_owned)
}

/// The ids of the source, where it has its own, and of the target.
fn vocabularies(folder: &Path, end: &str, unknown: &str) -> Result<(Option<Ours>, Ours), Error> {
    let ids = |names: Vec<String>| -> Result<Ours, Error> {
        let place = |name: &str| names.iter().position(|other| other == name);
        let special =
            |name: &str| place(name).ok_or_else(|| Error::mismatch(folder, format!("no token `{name}` in it")));
        let (end, unknown) = (special(end)?, special(unknown)?);
        let pad = place("<pad>").or_else(|| place("<blank>"));
        let control = place("<s>").into_iter().filter(|id| *id != end).collect();
        Theirs { names: names.into_iter().map(Some).collect(), pad, end, unknown, control, ..Theirs::default() }
            .renumber(folder)
    };
    if let Some(names) = vocabulary(folder, "shared_vocabulary")? {
        return Ok((None, ids(names)?));
    }
    let list = |name: &str| -> Result<Ours, Error> {
        let names = vocabulary(folder, name)?;
        ids(names.ok_or_else(|| Error::mismatch(folder, format!("it has no {name}")))?)
    };
    Ok((Some(list("source_vocabulary")?), list("target_vocabulary")?))
}

/// What stands around the source and before the target.
fn prompts(
    model: &CTranslate2,
    folder: &Path,
    options: Option<&Options>,
    end: &str,
    target: &Ours,
) -> Result<Prompts, Error> {
    let start = text(options, "decoder_start_token", "<s>");
    let first = match start.as_deref() {
        _ if model.integer("decoder/start_from_zero_embedding")? == Some(1) => Mark::Zero,
        Some(token) if token == end => Mark::End,
        Some("<pad>" | "<blank>") => Mark::Padding,
        Some(token) => {
            let place = target.names.iter().position(|name| name == token);
            let place = place.ok_or_else(|| Error::mismatch(folder, format!("no token `{token}` to start with")))?;
            // No language has a tag, so names begin behind the special tokens.
            Mark::Subword((SPECIALS.len() + place) as u32)
        }
        None => {
            let what =
                "the decoder's first token is left to the caller; import the model that this one was converted from";
            return Err(Error::mismatch(folder, what));
        }
    };
    let mut ends = start.as_deref() == Some(end);
    if let Some(options) = options {
        options.must_be("add_source_bos", false, false)?;
        // What was converted from Hugging Face's models is called with the end mark in the text, and begins with it.
        ends |= options.switch("add_source_eos", false)?;
    }
    let source_end = if ends { vec![Mark::End] } else { vec![] };
    Ok(Prompts { source_front: vec![], source_end, decoder: vec![first] })
}

/// The shape that the variables describe.
fn config(model: &CTranslate2, options: Option<&Options>) -> Result<ModelConfig, Error> {
    let path = model.path();
    let wrong = |what: String| Error::mismatch(path, what);
    let shape =
        |name: &str| model.info(name).map(|info| info.shape).ok_or_else(|| wrong(format!("no variable `{name}`")));
    let rows_of = |name: &str| shape(name).map(|shape| shape.first().copied().unwrap_or(0));
    let layers = |side: &str| {
        (0..).take_while(|n| model.info(&format!("{side}/layer_{n}/ffn/linear_0/weight")).is_some()).count()
    };
    for side in ["encoder", "decoder"] {
        let refused = [
            "layernorm_embedding/gamma",
            "layer_0/self_attention/relative_position_keys",
            "layer_0/self_attention/relative_attention_bias",
            "layer_0/self_attention/rotary_dim",
            "layer_0/ffn/linear_0_noact/weight",
            "layer_0/self_attention/num_heads_kv",
        ];
        if let Some(name) = refused.iter().find(|name| model.info(&format!("{side}/{name}")).is_some()) {
            return Err(Error::Option {
                path: path.to_path_buf(),
                option: format!("{side}/{name}"),
                value: "(there)".to_owned(),
                supported: "models without it".to_owned(),
            });
        }
    }
    let table = "decoder/embeddings/weight";
    let d_model = match shape(table)?[..] {
        [_, d_model] => d_model,
        ref other => return Err(wrong(format!("the table `{table}` is {other:?}, not [tokens, width]"))),
    };
    let d_ffn = rows_of("encoder/layer_0/ffn/linear_0/weight")?;
    let of_decoder = rows_of("decoder/layer_0/ffn/linear_0/weight")?;
    let integer = |name: &str, default: i64| model.integer(name).map(|found| found.unwrap_or(default));
    let heads = |side: &str| -> Result<usize, Error> {
        usize::try_from(integer(&format!("{side}/num_heads"), 8)?)
            .map_err(|_| wrong("a negative number of heads".into()))
    };
    let (heads, decoder_heads) = (heads("encoder")?, heads("decoder")?);
    let mut config = ModelConfig {
        encoder_layers: layers("encoder"),
        decoder_layers: layers("decoder"),
        d_model,
        d_ffn,
        heads,
        max_length: MAX_LENGTH,
        ..ModelConfig::default()
    };
    config.network.decoder.d_ffn = (of_decoder != d_ffn).then_some(of_decoder);
    config.network.decoder.heads = (decoder_heads != heads).then_some(decoder_heads);
    let names = [
        ("d_model", table),
        ("d_ffn", "encoder/layer_0/ffn/linear_0/weight"),
        ("network.decoder.d_ffn", "decoder/layer_0/ffn/linear_0/weight"),
        ("heads", "encoder/num_heads"),
        ("network.decoder.heads", "decoder/num_heads"),
    ];
    plan::check_sizes(&config, path, &names)?;
    let network = &mut config.network;
    network.layer_norm.place = if integer("encoder/pre_norm", 1)? == 1 { NormPlace::Pre } else { NormPlace::Post };
    network.layer_norm.last = model.info("encoder/layer_norm/gamma").is_some();
    if let Some(options) = options {
        network.layer_norm.epsilon = options.real("layer_norm_epsilon", 1e-5)?;
    }
    network.activation = match integer("encoder/activation", 0)? {
        0 => Activation::Relu,
        1 => Activation::GeluTanh,
        2 => Activation::Swish,
        3 => Activation::Gelu,
        4 => Activation::GeluSigmoid,
        other => {
            return Err(Error::Option {
                path: path.to_path_buf(),
                option: "encoder/activation".to_owned(),
                value: other.to_string(),
                supported: "0 to 4 (ReLU, GELU of tanh, swish, GELU, GELU of sigmoid)".to_owned(),
            });
        }
    };
    let embeddings = &mut network.embeddings;
    embeddings.output_bias = true;
    embeddings.scale = scale(model, d_model)?;
    let same = |a: &str, b: &str| matches!((model.bytes(a), model.bytes(b)), (Ok(a), Ok(b)) if a == b);
    let source_apart = !same("encoder/embeddings_0/weight", table);
    let output_apart = !same("decoder/projection/weight", table);
    embeddings.tables = match (source_apart, output_apart) {
        (false, false) => Tables::Shared,
        (true, false) => Tables::SourceApart,
        (false, true) => Tables::OutputApart,
        (true, true) => Tables::Apart,
    };
    (network.positions, config.max_length) = positions(model, d_model)?;
    Ok(config)
}

/// What embeddings are multiplied by: a switch, or in newer files the factor.
fn scale(model: &CTranslate2, d_model: usize) -> Result<EmbeddingScale, Error> {
    let name = "encoder/scale_embeddings";
    let factor = match model.info(name).map(|info| info.element) {
        Some(Element::I8 | Element::I16 | Element::I32) => {
            let on = model.integer(name)? != Some(0);
            return Ok(if on { EmbeddingScale::SqrtD } else { EmbeddingScale::One });
        }
        Some(_) => model.f32(name, &[])?[0],
        None => return Ok(EmbeddingScale::SqrtD),
    };
    match factor {
        1.0 => Ok(EmbeddingScale::One),
        factor if (factor - (d_model as f32).sqrt()).abs() < 1e-2 * factor => Ok(EmbeddingScale::SqrtD),
        _ => Err(Error::Option {
            path: model.path().to_path_buf(),
            option: name.to_owned(),
            value: factor.to_string(),
            supported: "1, or the root of the width".to_owned(),
        }),
    }
}

/// The formula that gives the stored table of positions, and its length.
fn positions(model: &CTranslate2, d: usize) -> Result<(Positions, usize), Error> {
    let name = "encoder/position_encodings/encodings";
    let Some(info) = model.info(name) else {
        let computed = Positions { layout: PositionLayout::Halves, frequencies: Frequencies::Tensor2tensor, first: 1 };
        return Ok((computed, MAX_LENGTH));
    };
    let wrong = |what: &str| Error::mismatch(model.path(), format!("the positions of `{name}` {what}"));
    let rows = match info.shape[..] {
        // There are as many bytes, so the tables below are no larger.
        [rows, width] if width == d => rows,
        ref other => return Err(wrong(&format!("are {other:?}, not [tokens, {d}]"))),
    };
    let stored = model.f32(name, &info.shape)?;
    for layout in [PositionLayout::Interleaved, PositionLayout::Halves] {
        for frequencies in [Frequencies::Paper, Frequencies::Tensor2tensor] {
            for first in 0..=2 {
                let positions = Positions { layout, frequencies, first };
                let table = sinusoidal(positions, rows, d);
                // Half precision, and sines of large arguments in f32.
                if table.iter().zip(&stored).all(|(a, b)| (a - b).abs() < 3e-3) {
                    return Ok((positions, rows.saturating_sub(1)));
                }
            }
        }
    }
    Err(wrong("are no sines and cosines; trained ones are not supported"))
}

/// The SentencePiece models of source and target.
fn pieces(folder: &Path, package: &Path) -> Result<[Vec<u8>; 2], Error> {
    let found = |names: &[&str]| {
        let paths = [folder, package].into_iter().flat_map(|place| names.iter().map(move |name| place.join(name)));
        paths.into_iter().find(|path| path.exists())
    };
    if let (Some(source), Some(target)) = (found(&["source.spm"]), found(&["target.spm"])) {
        return Ok([regular::read(source)?, regular::read(target)?]);
    }
    let shared = found(&["sentencepiece.model", "sentencepiece.bpe.model", "spm.model"]);
    let what = "no SentencePiece model in the folder: sentencepiece.model, or source.spm and target.spm of the model that \
                was converted";
    let shared = regular::read(shared.ok_or_else(|| Error::mismatch(package, what))?)?;
    Ok([shared.clone(), shared])
}

/// The languages: what the user or the metadata of an Argos package says.
fn languages(package: &Path, wanted: &Wanted) -> Result<Between, Error> {
    let metadata = Options::read_if_there(&package.join("metadata.json"))?;
    let of = |key: &str| metadata.as_ref().and_then(|metadata| metadata.text(key)).map(str::to_owned);
    let missing = |what| Error::NoLanguage { path: package.to_path_buf(), what };
    let from = wanted.from.clone().or_else(|| of("from_code")).ok_or_else(|| missing("from"))?;
    let to = wanted.to.clone().or_else(|| of("to_code")).ok_or_else(|| missing("into"))?;
    Ok(Between::Into(from, vec![to]))
}

fn weights(
    model: CTranslate2,
    config: &ModelConfig,
    source: &Arc<[Option<usize>]>,
    target: &Arc<[Option<usize>]>,
) -> Result<Weights, Error> {
    let d = config.d_model;
    let tables = config.network.embeddings.tables;
    let has_bias = model.info("decoder/projection/bias").is_some();
    // Scales belong to their weights; numbers and tables of positions were taken over by now.
    let taken = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or("");
        name.ends_with("_scale") || !["weight", "bias", "gamma", "beta"].contains(&last)
    };
    let aliases = ["encoder/embeddings_0/weight", "decoder/projection/weight"];
    let known = model.names().into_iter().filter(|name| taken(name) || aliases.contains(name)).map(str::to_owned);
    let known = known.collect();
    let mut weights = Weights { known, ..Weights::new(Box::new(model), config)? };
    let of = |rows: &Arc<[Option<usize>]>| rows.iter().flatten().count();
    weights.table("embedding.weight", "decoder/embeddings/weight", of(target), d, target);
    if tables.source_apart() {
        weights.table("source_embedding.weight", "encoder/embeddings_0/weight", of(source), d, source);
    }
    let map = if tables.output_apart() { "output" } else { "embedding" };
    if tables.output_apart() {
        weights.table("output.weight", "decoder/projection/weight", of(target), d, target);
    }
    if has_bias {
        weights.output_bias(format!("{map}.bias"), "decoder/projection/bias", of(target), target);
    } else {
        weights.no_bias(format!("{map}.bias"), target);
    }
    for (side, path) in [(Side::Encoder, "encoder"), (Side::Decoder, "decoder")] {
        for layer in 0..config.layers(side) {
            let (ours, theirs) = (format!("{path}.layers.{layer}"), format!("{path}/layer_{layer}"));
            let own = format!("{ours}.self_attention");
            let attention = format!("{theirs}/self_attention");
            stacked(&mut weights, d, &own, &["query", "key", "value"], &format!("{attention}/linear_0"));
            stacked(&mut weights, d, &own, &["output"], &format!("{attention}/linear_1"));
            norm(&mut weights, d, &format!("{own}.norm"), &attention);
            if side == Side::Decoder {
                let (cross, attention) = (format!("{ours}.cross_attention"), format!("{theirs}/attention"));
                stacked(&mut weights, d, &cross, &["query"], &format!("{attention}/linear_0"));
                stacked(&mut weights, d, &cross, &["key", "value"], &format!("{attention}/linear_1"));
                stacked(&mut weights, d, &cross, &["output"], &format!("{attention}/linear_2"));
                norm(&mut weights, d, &format!("{cross}.norm"), &attention);
            }
            let inner = config.d_ffn_of(side);
            for (map, part, [outputs, inputs]) in [("fc1", "linear_0", [inner, d]), ("fc2", "linear_1", [d, inner])] {
                let (ours, theirs) = (format!("{ours}.ffn.{map}"), format!("{theirs}/ffn/{part}"));
                weights.copy(format!("{ours}.weight"), format!("{theirs}/weight"), &[outputs, inputs]);
                weights.copy(format!("{ours}.bias"), format!("{theirs}/bias"), &[outputs]);
            }
            norm(&mut weights, d, &format!("{ours}.ffn.norm"), &format!("{theirs}/ffn"));
        }
        if config.network.layer_norm.last {
            norm(&mut weights, d, &format!("{path}.norm"), path);
        }
    }
    Ok(weights)
}

/// Maps `[d, d]` that lie one under another in one variable.
fn stacked(weights: &mut Weights, d: usize, ours: &str, maps: &[&str], theirs: &str) {
    for (place, map) in maps.iter().enumerate() {
        let (of, first) = (maps.len() * d, place * d);
        weights.part(format!("{ours}.{map}.weight"), format!("{theirs}/weight"), &[d, d], of, first);
        weights.part(format!("{ours}.{map}.bias"), format!("{theirs}/bias"), &[d], of, first);
    }
}

fn norm(weights: &mut Weights, d: usize, ours: &str, theirs: &str) {
    weights.copy(format!("{ours}.weight"), format!("{theirs}/layer_norm/gamma"), &[d]);
    weights.copy(format!("{ours}.bias"), format!("{theirs}/layer_norm/beta"), &[d]);
}
