//! The ids of M2M100 and NLLB.
//!
//! M2M100 lists its pieces in `vocab.json`, and its languages have the ids behind them. NLLB has the ids of fairseq:
//! `<s>`, `<pad>`, `</s>`, `<unk>`, then SentencePiece's pieces by their own ids plus 1, the languages, `<mask>`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;
use strata_corpus::subword::sentencepiece_names;
use strata_files::regular;

use crate::error::Error;
use crate::options::Options;
use crate::vocabulary::Theirs;
use crate::weights::{Origin, Weights};

/// What decides the ids.
pub(super) struct Tokenizer {
    pub ids: Theirs,
    /// The SentencePiece model.
    pub pieces: Vec<u8>,
    pub is_nllb: bool,
}

const PIECES: [&str; 2] = ["sentencepiece.bpe.model", "spm.128k.model"];

impl Tokenizer {
    /// Reads the files of a folder whose table has `rows` rows.
    ///
    /// # Errors
    /// Files that are missing, more ids than rows, no languages.
    pub fn read(folder: &Path, rows: usize) -> Result<Self, Error> {
        let found = PIECES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        let path = found.unwrap_or_else(|| folder.join(PIECES[0]));
        let pieces = regular::read(&path)?;
        let listed = folder.join("vocab.json");
        let is_nllb = !listed.exists();
        let named = if is_nllb { fairseq(sentencepiece_names(&pieces)?) } else { vocabulary(&listed)? };
        let languages = languages(folder, named.len(), rows)?;
        if named.len() > rows {
            let what = format!("{} ids, but the table has {rows} rows; they belong to different models", named.len());
            return Err(Error::mismatch(&path, what));
        }
        let mut names = named;
        names.resize(rows, None);
        let place = |name: &str| names.iter().position(|other| other.as_deref() == Some(name));
        let special = |name: &str| place(name).ok_or_else(|| Error::mismatch(&path, format!("it has no `{name}`")));
        let (pad, end, unknown) = (special("<pad>")?, special("</s>")?, special("<unk>")?);
        let control = ["<s>", "<mask>"].iter().filter_map(|name| place(name)).collect();
        Ok(Self { ids: Theirs { pad: Some(pad), end, unknown, tags: languages, control, names }, pieces, is_nllb })
    }
}

/// The names of NLLB's ids.
fn fairseq(pieces: Vec<String>) -> Vec<Option<String>> {
    let special = ["<s>", "<pad>", "</s>", "<unk>"].map(str::to_owned);
    // SentencePiece's first three are <unk>, <s>, </s>.
    special.into_iter().chain(pieces.into_iter().skip(3)).map(Some).collect()
}

/// The names of a `vocab.json`, `{NAME: ID}`; ids without a name are none.
///
/// # Errors
/// A file that is no such object, an id twice.
pub(super) fn vocabulary(path: &Path) -> Result<Vec<Option<String>>, Error> {
    let bytes = regular::read(path)?;
    let ids: HashMap<String, u32> = serde_json::from_slice(&bytes)
        .map_err(|e| Error::mismatch(path, format!("no object of names and ids: {e}")))?;
    let size = ids.values().max().map_or(0, |id| *id as usize + 1);
    // Each entry has a few bytes, so a file cannot name an id far beyond its own length for long.
    if size > 2 * bytes.len() {
        return Err(Error::mismatch(path, format!("it has {} names, but ids up to {}", ids.len(), size - 1)));
    }
    let mut names = vec![None; size];
    for (name, id) in ids {
        if let Some(other) = names[id as usize].replace(name) {
            return Err(Error::mismatch(path, format!("the id {id} has two names, one of them {other:?}")));
        }
    }
    Ok(names)
}

/// The languages with the ids of their tags. Most folders list them with their ids; others list them in the order of
/// their ids, from `first` on, and those of M2M100 may rely on the list in its program.
fn languages(folder: &Path, first: usize, rows: usize) -> Result<BTreeMap<String, usize>, Error> {
    let read = |name: &str| Options::read_if_there(&folder.join(name));
    let (added, config) = (read("added_tokens.json")?, read("tokenizer_config.json")?);
    let special = read("special_tokens_map.json")?;
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    if let Some(added) = &added {
        let entry = |(tag, id): (&str, &Value)| Some((language(tag)?, usize::try_from(id.as_u64()?).ok()?));
        found.extend(added.entries().filter_map(entry));
    }
    if let Some(decoder) = config.as_ref().and_then(|config| config.get("added_tokens_decoder").as_object()) {
        let entry = |(id, token): (&String, &Value)| Some((language(content(token)?)?, id.parse().ok()?));
        found.extend(decoder.iter().filter_map(entry));
    }
    if found.is_empty()
        && let Some(whole) = read("tokenizer.json")?
    {
        let id = |token: &Value| usize::try_from(token["id"].as_u64()?).ok();
        let entry = |token: &Value| Some((language(content(token)?)?, id(token)?));
        found.extend(whole.get("added_tokens").as_array().into_iter().flatten().filter_map(entry));
    }
    for listed in [&special, &config].into_iter().flatten() {
        if found.is_empty() {
            let listed = listed.get("additional_special_tokens").as_array().into_iter().flatten();
            let tags = listed.filter_map(|token| language(content(token)?)).enumerate();
            found.extend(tags.map(|(place, tag)| (tag, first + place)));
        }
    }
    let is_m2m100 = || config.as_ref().is_some_and(|config| config.text("language_codes") == Some("m2m100"));
    if found.is_empty() && is_m2m100() {
        found.extend(M2M100.split_whitespace().enumerate().map(|(place, tag)| (tag.to_owned(), first + place)));
    }
    if let Some((name, id)) = found.iter().find(|(_, id)| **id >= rows) {
        let what = format!("the language {name} has the id {id}, but the table has {rows} rows");
        return Err(Error::mismatch(folder, what));
    }
    if found.is_empty() {
        let what = "no list of languages; tokenizer_config.json or special_tokens_map.json have it, as downloaded";
        return Err(Error::mismatch(folder, what));
    }
    Ok(found)
}

/// M2M100's languages in the order of their ids.
pub(super) const M2M100: &str = "
    af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu hy id ig
    ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so
    sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu
    ";

/// A token as text, or as an object with its text.
fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// The language of a tag: `__de__` of M2M100, `deu_Latn` of NLLB.
fn language(tag: &str) -> Option<String> {
    if let Some(code) = tag.strip_prefix("__").and_then(|tag| tag.strip_suffix("__")) {
        return Some(code.to_owned());
    }
    let (code, script) = tag.split_once('_')?;
    let is_flores = code.len() == 3 && script.len() == 4 && script.starts_with(|c: char| c.is_ascii_uppercase());
    is_flores.then(|| tag.to_owned())
}

/// The names that a table may have that is shared: the first that is there is taken.
pub(super) const TABLES: [&str; 4] = ["model.shared.weight", ENCODER_TABLE, DECODER_TABLE, OUTPUT_TABLE];
pub(super) const ENCODER_TABLE: &str = "model.encoder.embed_tokens.weight";
pub(super) const DECODER_TABLE: &str = "model.decoder.embed_tokens.weight";
pub(super) const OUTPUT_TABLE: &str = "lm_head.weight";

/// Checks that a table, under any of its names, has `rows` rows of `d` values, or more: ids are made for as many rows
/// as the configuration says, so it must not say more than there are.
///
/// # Errors
/// A table that is missing or smaller.
pub(super) fn check_table(weights: &Weights, names: &[&str], [rows, d]: [usize; 2]) -> Result<(), Error> {
    let tensors = &weights.tensors;
    let name = names.iter().find(|name| tensors.info(name).is_some()).unwrap_or(&names[0]);
    match tensors.info(name).map(|info| info.shape).as_deref() {
        Some([more, width]) if *more >= rows && *width == d => Ok(()),
        _ => Ok(tensors.expect(name, &[rows, d]).map(drop)?),
    }
}

/// Gives weights made of the shared table the name that it has in this file.
pub(super) fn name_the_table(weights: &mut Weights) {
    for weight in &mut weights.list {
        if let Origin::Rows { name, .. } = &mut weight.origin
            && weights.tensors.info(name).is_none()
            && let Some(other) = TABLES.iter().find(|other| weights.tensors.info(other).is_some())
        {
            *name = (*other).to_owned();
        }
    }
}
