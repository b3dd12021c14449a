//! Models of commands: folders with original weights, and what there is to say about directions.

use std::path::Path;

use strata_runtime::PackedFolder;
use strata_store::{Check, ModelFolder, resolve_model};
use strata_translate::Translator;

use crate::terminal::Terminal;

/// Opens a model folder, a checkpoint, or a run's best checkpoint.
///
/// # Errors
/// A packed folder, which has packed weights only; anything else that is no model, or a damaged one.
pub fn open(path: &Path, check: Check) -> anyhow::Result<ModelFolder> {
    anyhow::ensure!(
        !PackedFolder::is_at(path),
        "{} is a packed folder, made for translation alone; name the model, checkpoint or run that it was exported from",
        path.display()
    );
    Ok(ModelFolder::open_with(resolve_model(path)?, check)?)
}

/// Warns of a direction that the model has not learned, where it says which it has: some can do it all the same.
pub fn warn_of_direction(translator: &Translator, from: Option<&str>, to: &str, terminal: &Terminal) {
    let Some(from) = from else { return };
    let [source, target] = [from, to].map(|said| translator.language(said));
    let learned = &translator.languages().directions;
    if !learned.is_empty() && !learned.iter().any(|d| d.source == source && d.target == target) {
        terminal.warn(&format!("the model has not learned to translate from {source} into {target}"));
    }
}
