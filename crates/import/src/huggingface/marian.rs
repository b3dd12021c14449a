//! Marian as Hugging Face keeps it (`MarianMTModel`), the form of OPUS-MT: post-norm, two SentencePiece models over one
//! vocabulary or one each, a bias of the output, `>>xxx<<` tags where there are several target languages.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use strata_files::regular;
use strata_formats::open_weights;
use strata_recipe::{EmbeddingScale, Mark, ModelConfig, NormPlace, Prompts, Tables};

use super::layers::{self, BART};
use super::tokenizer::{self, DECODER_TABLE, ENCODER_TABLE, OUTPUT_TABLE, TABLES, vocabulary};
use crate::Options as Wanted;
use crate::error::Error;
use crate::options::Options;
use crate::plan::{Between, Plan};
use crate::vocabulary::{Ours, Theirs};
use crate::weights::Weights;

pub(super) fn plan(folder: &Path, options: &Options, wanted: &Wanted) -> Result<Plan, Error> {
    let mut config = super::sizes(options)?;
    options.must_be("normalize_before", false, false)?;
    options.must_be("normalize_embedding", false, false)?;
    options.must_be("static_position_embeddings", true, true)?;
    config.network.layer_norm.place = NormPlace::Post;
    config.network.layer_norm.last = options.switch("add_final_layer_norm", false)?;
    if !options.switch("scale_embedding", false)? {
        config.network.embeddings.scale = EmbeddingScale::One;
    }
    config.network.embeddings.output_bias = true;
    let shared = options.switch("share_encoder_decoder_embeddings", true)?;
    let tied = options.switch("tie_word_embeddings", true)?;
    config.network.embeddings.tables = match (shared, tied) {
        (true, true) => Tables::Shared,
        (false, true) => Tables::SourceApart,
        (true, false) => Tables::OutputApart,
        (false, false) => Tables::Apart,
    };

    let pieces = |name: &str| regular::read(folder.join(name));
    let (source_pieces, target_pieces) = (pieces("source.spm")?, pieces("target.spm")?);
    let source_rows = config.vocab_size;
    let target_rows = match options.get("decoder_vocab_size") {
        serde_json::Value::Null => source_rows,
        _ => options.number("decoder_vocab_size")?,
    };
    let weights = Weights::new(open_weights(folder)?, &config)?;
    let source_apart = config.network.embeddings.tables.source_apart();
    let [source_table, target_table] =
        if source_apart { [&[ENCODER_TABLE][..], &[DECODER_TABLE]] } else { [&TABLES[..]; 2] };
    tokenizer::check_table(&weights, source_table, [source_rows, config.d_model])?;
    tokenizer::check_table(&weights, target_table, [target_rows, config.d_model])?;
    let separate = folder.join("target_vocab.json");
    let source_path = folder.join("vocab.json");
    let mut source_ids = theirs(&source_path, source_rows)?;
    // Tags stand in the source, and tell the target language.
    let tags = std::mem::take(&mut source_ids.tags);
    let source_tags = tags.clone();
    let (target, source) = if separate.exists() {
        source_ids.tags = tags;
        let target = theirs(&separate, target_rows)?;
        (with_tag_slots(target, &source_ids)?.renumber(&separate)?, Some(source_ids.renumber(&source_path)?))
    } else if source_rows == target_rows {
        source_ids.tags = tags;
        (source_ids.renumber(&source_path)?, None)
    } else {
        return Err(options.unsupported("decoder_vocab_size", &format!("{source_rows}, without a target_vocab.json")));
    };
    if source.is_some() && shared {
        return Err(options.unsupported("share_encoder_decoder_embeddings", "false where there are two vocabularies"));
    }

    config.prompts = Prompts {
        source_front: if source_tags.is_empty() { vec![] } else { vec![Mark::Target] },
        source_end: vec![Mark::End],
        decoder: vec![Mark::Padding],
    };
    config.vocab_size = target.rows.len();
    let source_table = source.as_ref().map_or(&target.rows, |source| &source.rows).clone();
    config.network.embeddings.source_vocab_size =
        (source_table.len() != target.rows.len()).then_some(source_table.len());
    let subwords = target.subwords(source.as_ref(), [&source_pieces, &target_pieces])?;
    let languages = languages(folder, options, wanted, &target)?;
    let weights = add_weights(weights, &config, [source_rows, target_rows], &source_table, &target.rows);
    let origin = "Hugging Face Marian (OPUS-MT)".to_owned();
    Ok(Plan { origin, config, subwords, languages, weights, shortlist: None, _unpacked: None })
}

/// The ids of a `vocab.json`.
fn theirs(path: &Path, rows: usize) -> Result<Theirs, Error> {
    let mut names = vocabulary(path)?;
    if names.len() > rows {
        let what = format!("{} ids, but the table has {rows} rows; they belong to different models", names.len());
        return Err(Error::mismatch(path, what));
    }
    names.resize(rows, None);
    let place = |name: &str| names.iter().position(|other| other.as_deref() == Some(name));
    let special = |name: &str| place(name).ok_or_else(|| Error::mismatch(path, format!("it has no `{name}`")));
    let (pad, end, unknown) = (special("<pad>")?, special("</s>")?, special("<unk>")?);
    let tag = |(id, name): (usize, &Option<String>)| {
        Some((name.as_deref()?.strip_prefix(">>")?.strip_suffix("<<")?.to_owned(), id))
    };
    let tags: BTreeMap<String, usize> =
        names.iter().enumerate().filter_map(tag).filter(|(tag, _)| !tag.is_empty()).collect();
    let control = place("<s>").into_iter().collect();
    Ok(Theirs { names, pad: Some(pad), end, unknown, tags, control })
}

/// Two vocabularies have the tags at the same ids here; the target's must have those of the source.
fn with_tag_slots(target: Theirs, source: &Theirs) -> Result<Theirs, Error> {
    if source.tags.keys().eq(target.tags.keys()) {
        return Ok(target);
    }
    let what = "tags of target languages in one of two vocabularies only, which is not supported".to_owned();
    Err(Error::mismatch(Path::new("target_vocab.json"), what))
}

/// The languages: the tags, or else what the user, the tokenizer's configuration or the model's name says.
fn languages(folder: &Path, options: &Options, wanted: &Wanted, target: &Ours) -> Result<Between, Error> {
    let config = Options::read_if_there(&folder.join("tokenizer_config.json"))?;
    let of_tokenizer = |key: &str| config.as_ref().and_then(|config| config.text(key)).map(str::to_owned);
    // `Helsinki-NLP/opus-mt-en-de`
    let named = options.text("_name_or_path").or_else(|| folder.file_name()?.to_str());
    let of_name = named.and_then(|name| name.rsplit('/').next()?.strip_prefix("opus-mt-")?.split_once('-'));
    let source = wanted.from.clone().or_else(|| of_tokenizer("source_lang"));
    let source = source.or_else(|| of_name.map(|(source, _)| source.to_owned()));
    let into = wanted.to.clone().or_else(|| of_tokenizer("target_lang"));
    let into = into.or_else(|| of_name.map(|(_, target)| target.to_owned()));
    let unknown = |what: &'static str| Error::NoLanguage { path: folder.to_path_buf(), what };
    let source = source.ok_or_else(|| unknown("from"))?;
    if !target.languages.is_empty() {
        return Ok(Between::Into(source, target.languages.clone()));
    }
    Ok(Between::Into(source, vec![into.ok_or_else(|| unknown("into"))?]))
}

/// The weights with all that a model has.
fn add_weights(
    mut weights: Weights,
    config: &ModelConfig,
    [source_rows, target_rows]: [usize; 2],
    source: &Arc<[Option<usize>]>,
    target: &Arc<[Option<usize>]>,
) -> Weights {
    let d = config.d_model;
    let tables = config.network.embeddings.tables;
    let own = if tables.source_apart() { DECODER_TABLE } else { TABLES[0] };
    weights.table("embedding.weight", own, target_rows, d, target);
    if !tables.source_apart() {
        tokenizer::name_the_table(&mut weights);
    }
    if tables.source_apart() {
        weights.table("source_embedding.weight", ENCODER_TABLE, source_rows, d, source);
    }
    let map = if tables.output_apart() { "output" } else { "embedding" };
    if tables.output_apart() {
        weights.table("output.weight", OUTPUT_TABLE, target_rows, d, target);
    }
    weights.output_bias(format!("{map}.bias"), "final_logits_bias", target_rows, target);
    layers::add(&mut weights, config, BART, 1.0);
    let positions = ["model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"];
    weights.known.extend(TABLES.into_iter().chain(positions).map(str::to_owned));
    weights
}
