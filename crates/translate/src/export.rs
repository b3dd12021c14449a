//! A model folder in other forms, of which each must be a model that loads.

use std::path::{Path, PathBuf};

use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_runtime::{Precision, write_ctranslate2, write_packed};
use strata_store::model_folder::TOKENIZER_FILE;
use strata_store::{Existing, ModelFolder};

use crate::{Error, VOCABULARY_MAP_FILE, VocabularyMap};

/// Writes the model of `folder` as a packed folder with weights in `precision`. Of the vocabulary map in
/// the file `map` it gets the languages where that is harmless, whose translations then use it unasked.
///
/// # Errors
/// A map of another subword model, or one that is harmless for no language; a folder that is no model; an output that
/// cannot be written.
pub fn export_packed(
    folder: &ModelFolder,
    precision: Precision,
    map: Option<&Path>,
    output: &Path,
    existing: Existing,
) -> Result<PathBuf, Error> {
    let subwords = subwords_of(folder)?;
    let map = map.map(|path| harmless(path, &subwords)).transpose()?.map(|map| map.to_json());
    let extra: Vec<(&str, &[u8])> = map.iter().map(|map| (VOCABULARY_MAP_FILE, map.as_bytes())).collect();
    Ok(write_packed(folder, precision, output, existing, &extra)?)
}

/// Writes the model of `folder`, a dense one, as a folder for CTranslate2.
///
/// # Errors
/// A folder that is no model; a model that CTranslate2 does not have; an output that cannot be written.
pub fn export_ctranslate2(folder: &ModelFolder, output: &Path, existing: Existing) -> Result<PathBuf, Error> {
    let subwords = subwords_of(folder)?;
    let vocabulary: Vec<String> = (0..subwords.vocab_size() as u32).map(|id| subwords.piece(id)).collect();
    Ok(write_ctranslate2(folder, &vocabulary, output, existing)?)
}

/// The subword model of `folder`, whose languages can be read too.
fn subwords_of(folder: &ModelFolder) -> Result<Subwords, Error> {
    Languages::load(&folder.file(LANGUAGES_FILE))?;
    Ok(Subwords::load(&folder.file(TOKENIZER_FILE))?)
}

/// The part of the vocabulary map in the file `path` that translations lose nothing by.
fn harmless(path: &Path, subwords: &Subwords) -> Result<VocabularyMap, Error> {
    let map = VocabularyMap::read(path)?;
    map.check(subwords)?;
    let map = map.harmless();
    if map.languages().len() == 0 {
        let what =
            "it covers the held-out text of no language to 99.9 %; make one from more text, or export without it";
        return Err(Error::Text { path: path.to_path_buf(), what: what.to_owned() });
    }
    Ok(map)
}
