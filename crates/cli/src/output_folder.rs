//! Where commands write a model folder.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use strata_store::Existing;
use strata_store::model_folder::CONFIG_FILE;

/// The options of a command that writes a model folder.
#[derive(Debug, Args)]
pub struct OutputFolder {
    /// Folder to write
    #[arg(short = 'o', long = "output", value_name = "PATH")]
    pub path: PathBuf,
    /// Replace an existing model folder
    #[arg(long)]
    overwrite: bool,
}

/// Checks that a model folder can be written at `path`, before any work is done.
///
/// # Errors
/// Something is there and may not be replaced, or is no model folder.
pub fn check(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let shown = path.display();
    ensure!(overwrite, "{shown} exists; choose another folder, or pass --overwrite to replace it");
    let is_empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    // Every form of a model has one.
    let is_model = path.join(CONFIG_FILE).is_file();
    ensure!(is_empty || is_model, "{shown}: it is no model folder, so it is not replaced; name another");
    Ok(())
}

impl OutputFolder {
    /// [`check`] for this folder.
    ///
    /// # Errors
    /// The same.
    pub fn check(&self) -> anyhow::Result<()> {
        check(&self.path, self.overwrite)
    }

    /// What happens to a folder that is there.
    pub fn existing(&self) -> Existing {
        if self.overwrite { Existing::Replace } else { Existing::Refuse }
    }
}
