//! Weights in several files with an index: `model.safetensors.index.json`, `pytorch_model.bin.index.json`.
//!
//! The index is `{"weight_map": {TENSOR: FILE}}`; the files lie beside it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use strata_files::regular;

use crate::error::Error;
use crate::pytorch::PyTorch;
use crate::safetensors::Safetensors;
use crate::tensors::{Info, Tensors};

/// Several files as one.
pub struct Sharded {
    index: PathBuf,
    shards: Vec<Box<dyn Tensors>>,
    /// The shard of each tensor.
    places: BTreeMap<String, usize>,
}

/// More shards than any published model has; each stays open.
const MOST_SHARDS: usize = 4096;

impl Sharded {
    /// Opens an index and all its shards.
    ///
    /// # Errors
    /// An index that is missing or no index, a shard that is missing or cut short, a tensor that its shard lacks.
    pub fn open(index: &Path) -> Result<Self, Error> {
        let text = regular::read(index)?;
        let json: Value = serde_json::from_slice(&text).map_err(|e| Error::damaged(index, e.to_string()))?;
        let map = json["weight_map"].as_object();
        let map = map.ok_or_else(|| Error::damaged(index, "it has no object `weight_map`"))?;
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        let mut shards = Vec::new();
        let mut places = BTreeMap::new();
        for (name, file) in map {
            let file = file.as_str().filter(|file| is_plain_name(file));
            let file = file.ok_or_else(|| Error::damaged(index, format!("`{name}` is in no file beside the index")))?;
            let shard = match files.get(file) {
                Some(shard) => *shard,
                None if shards.len() == MOST_SHARDS => {
                    return Err(Error::damaged(index, format!("more than {MOST_SHARDS} shards")));
                }
                None => {
                    shards.push(open_file(&index.with_file_name(file))?);
                    files.insert(file, shards.len() - 1);
                    shards.len() - 1
                }
            };
            if shards[shard].info(name).is_none() {
                return Err(Error::NoTensor { path: shards[shard].path().to_path_buf(), name: name.clone() });
            }
            places.insert(name.clone(), shard);
        }
        Ok(Self { index: index.to_path_buf(), shards, places })
    }

    fn shard(&self, name: &str) -> Option<&dyn Tensors> {
        self.places.get(name).map(|shard| &*self.shards[*shard])
    }
}

/// Opens one file by its ending.
fn open_file(path: &Path) -> Result<Box<dyn Tensors>, Error> {
    Ok(match path.extension().and_then(|ending| ending.to_str()) {
        Some("safetensors") => Box::new(Safetensors::open(path)?),
        _ => Box::new(PyTorch::open(path)?),
    })
}

/// Whether a name stays in its folder.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

impl Tensors for Sharded {
    fn path(&self) -> &Path {
        &self.index
    }

    fn names(&self) -> Vec<&str> {
        self.places.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<Info> {
        self.shard(name)?.info(name)
    }

    fn bytes(&self, name: &str) -> Result<Cow<'_, [u8]>, Error> {
        let missing = || Error::NoTensor { path: self.index.clone(), name: name.to_owned() };
        self.shard(name).ok_or_else(missing)?.bytes(name)
    }
}

/// Names of weight files in a Hugging Face folder, the preferred first.
const WEIGHT_FILES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The weights of a Hugging Face folder: one file or several, safetensors or PyTorch.
///
/// # Errors
/// A folder without any, or what its files report.
pub fn open_weights(folder: &Path) -> Result<Box<dyn Tensors>, Error> {
    let found = WEIGHT_FILES.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let Some(path) = found else {
        let what = format!("no weights here; looked for {}", WEIGHT_FILES.join(", "));
        return Err(Error::unsupported(folder, what));
    };
    if path.extension().is_some_and(|ending| ending == "json") {
        Ok(Box::new(Sharded::open(&path)?))
    } else {
        open_file(&path)
    }
}
