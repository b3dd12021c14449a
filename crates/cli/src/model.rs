//! Models whose original weights a command needs.

use std::path::Path;

use strata_runtime::PackedFolder;
use strata_store::{Check, ModelFolder, resolve_model};

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
