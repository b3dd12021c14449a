//! Whether every file of a model is sound.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strata_files::{Checksums, with_causes};
use strata_recipe::Cost;
use strata_runtime::PackedFolder;
use strata_store::{Check, TensorFile, resolve_model};
use strata_translate::{Placement, Translator};

use crate::terminal::{Terminal, labeled, short};

/// A model that was looked at.
#[derive(Serialize)]
pub struct Examined {
    /// Its folder.
    pub path: PathBuf,
    /// What it is, if it opens.
    pub about: Option<String>,
    /// The files that its checksums list.
    pub files: Vec<File>,
    /// What is wrong with it as a whole.
    pub fault: Option<String>,
    /// Whether nothing is wrong.
    pub sound: bool,
}

/// A file of it.
#[derive(Serialize)]
pub struct File {
    pub name: String,
    /// Its length, if it is there.
    pub bytes: Option<u64>,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// Reads every file of a model, and opens it if they are sound.
///
/// # Errors
/// Anything that is no model.
pub fn examine(path: &Path, terminal: &Terminal) -> anyhow::Result<Examined> {
    let folder = if PackedFolder::is_at(path) { path.to_path_buf() } else { resolve_model(path)? };
    let mut found = Examined { path: folder.clone(), about: None, files: Vec::new(), fault: None, sound: false };
    let sums = match Checksums::read(&folder) {
        Ok(sums) => sums,
        Err(error) => {
            found.fault = Some(with_causes(&error));
            return Ok(found);
        }
    };
    for name in sums.names() {
        terminal.progress(&labeled("reading", name));
        let file = folder.join(name);
        let bytes = std::fs::metadata(&file).ok().map(|metadata| metadata.len());
        let fault = sums.verify(&folder, name).err().map(|error| with_causes(&error)).or_else(|| not_finite(&file));
        found.files.push(File { name: name.to_string(), bytes, fault });
    }
    if found.files.iter().any(|file| file.fault.is_some()) {
        return Ok(found);
    }
    terminal.progress(&labeled("opening", &folder.display().to_string()));
    match Translator::open(&folder, &Placement { check: Check::Sizes, ..Placement::default() }) {
        Ok(translator) => {
            found.about = Some(about(&translator));
            found.sound = true;
        }
        Err(error) => found.fault = Some(with_causes(&error)),
    }
    Ok(found)
}

/// What is wrong with the numbers of a file of tensors; nothing for other files.
fn not_finite(file: &Path) -> Option<String> {
    let is_tensors = file.extension().is_some_and(|extension| extension == "safetensors");
    let check = || TensorFile::open(file)?.check_finite();
    if is_tensors { check().err().map(|error| with_causes(&error)) } else { None }
}

fn about(translator: &Translator) -> String {
    let config = translator.config();
    let cost = Cost::of(config, None).map_or_else(
        |_| config.name(),
        |cost| format!("{}, {} parameters", cost.name, short(cost.parameters as f64, "")),
    );
    let languages = translator.languages();
    let (of, directions) = (languages.languages.len(), languages.directions.len());
    format!("{cost}; {of} languages, {directions} directions, {} subwords", config.vocab_size)
}
