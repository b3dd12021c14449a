//! Packed model folders: a model as the engine holds it, in a file that is mapped and used where it lies. Loading reads
//! a header, and processes on one machine share the pages of the weights.
//!
//! The container is safetensors, which other programs read. It allows no gaps between tensors, so sizes must give the
//! alignment of [`ALIGNMENT`](crate::storage::ALIGNMENT) bytes: spaces pad the header, panels and their lines are
//! multiples of 64 bytes by their shape, and a vector of another size is followed by a tensor of zeros, `NAME.padding`.
//!
//! `packed.json` holds the version of the format, which `packed/format.rs` reads. `tests/packed-v2` keeps folders of
//! it, so that those of a release stay loadable. `docs/packed-format.md` describes the format.

mod format;
mod write;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use strata_files::checksums::SUMS_FILE;
use strata_files::{Error as FilesError, regular, verified};
use strata_recipe::ModelConfig;
use strata_store::model_folder::{CONFIG_FILE, LANGUAGES_FILE, TOKENIZER_FILE, WEIGHTS_FILE};
use strata_store::{Check, Checksums, TensorFile};

use crate::error::Error;
use crate::linear::Precision;
use crate::model::Model;

pub(crate) use write::keep_the_model;
pub use write::write_packed;

/// The format's version and the parts' precision.
const HEADER_FILE: &str = "packed.json";
/// The parts.
const PARTS_FILE: &str = "packed.safetensors";

/// A packed model folder, open.
pub struct PackedFolder {
    path: PathBuf,
    config: ModelConfig,
    header: format::Header,
    parts: TensorFile,
}

impl PackedFolder {
    /// Whether `path` looks like a packed folder, whole or not: to tell it from a model folder.
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        [HEADER_FILE, PARTS_FILE].iter().any(|name| path.as_ref().join(name).is_file())
    }

    /// Opens a packed folder after the given check and maps its parts. A check of contents also looks for numbers that
    /// are not finite.
    ///
    /// # Errors
    /// [`Error::Packed`] for a folder that is something else or of another version of the format; [`Error::Store`] for
    /// a file that is missing, cut short or damaged, or for parts with NaN or infinity.
    pub fn open(path: impl AsRef<Path>, check: Check) -> Result<Self, Error> {
        let path = path.as_ref();
        looks_packed(path)?;
        let sums = Checksums::read(path)?;
        for name in [HEADER_FILE, PARTS_FILE, CONFIG_FILE, TOKENIZER_FILE, LANGUAGES_FILE] {
            if !sums.contains(name) {
                let what = format!("it does not list {name}");
                return Err(FilesError::Damaged { path: path.join(SUMS_FILE), what }.into());
            }
        }
        // The version first: a folder of another version is named as such, and a large one is not read in vain.
        sums.verify(path, HEADER_FILE)?;
        let header = read_header(&path.join(HEADER_FILE))?;
        // Mapped before the check, so that no file can come in its place between the two. What keeps it from being
        // mapped waits, because the check says what is damaged in better words.
        let parts = TensorFile::open(path.join(PARTS_FILE));
        let sound = || -> Result<(), Error> {
            sums.verify_all(path)?;
            if let Ok(parts) = &parts {
                parts.check_finite()?;
            }
            Ok(())
        };
        match check {
            Check::Contents => sound()?,
            Check::Once => verified::once(path, &sums, sound)?,
            Check::Sizes => sums.names().try_for_each(|name| sums.verify_size(path, name))?,
        }
        let config = ModelConfig::read(&path.join(CONFIG_FILE)).map_err(strata_store::Error::from)?;
        Ok(Self { path: path.to_path_buf(), config, header, parts: parts? })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Precision of the packed products; some stay f32 in folders of other precisions.
    pub fn precision(&self) -> Precision {
        self.header.precision()
    }

    /// Content of `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Store`] for a file that cannot be read.
    pub fn tokenizer(&self) -> Result<Vec<u8>, Error> {
        read(&self.path.join(TOKENIZER_FILE))
    }

    /// Content of `languages.json`.
    ///
    /// # Errors
    /// [`Error::Store`] for a file that cannot be read.
    pub fn languages(&self) -> Result<Vec<u8>, Error> {
        read(&self.path.join(LANGUAGES_FILE))
    }
}

impl Model {
    /// The model of a packed folder. Its weights are views of the mapped file: nothing is copied, and the model keeps
    /// the file mapped when `folder` is gone.
    ///
    /// # Errors
    /// [`Error::Store`] for a part that is missing or has another shape, [`Error::Packed`] for parts that belong to no
    /// weight of the model.
    pub fn load_packed(folder: &PackedFolder) -> Result<Self, Error> {
        format::load(&folder.header, &folder.config, &folder.parts)
    }
}

/// Reads `packed.json`, its version before anything else: other versions may have other keys.
fn read_header(path: &Path) -> Result<format::Header, Error> {
    /// What the headers of all versions have.
    #[derive(Deserialize)]
    struct Common {
        format_version: u32,
        #[serde(default)]
        strata_version: String,
    }
    let bytes = read(path)?;
    let Common { format_version, strata_version } = json(path, &bytes)?;
    if format_version == format::VERSION {
        return json(path, &bytes);
    }
    let by = if strata_version.is_empty() { String::new() } else { format!(", written by strata {strata_version}") };
    let what = format!(
        "packed format version {format_version}{by}; this strata ({}) reads version {}. Export the model again with this \
         strata, or use the one that wrote it",
        env!("CARGO_PKG_VERSION"),
        format::VERSION
    );
    Err(Error::Packed { path: path.to_path_buf(), what })
}

/// Tells a packed folder from a model folder and from anything else.
fn looks_packed(path: &Path) -> Result<(), Error> {
    let what = match () {
        () if !path.exists() => "it does not exist",
        () if !path.is_dir() => "it is a file; name the folder that holds it",
        () if path.join(HEADER_FILE).exists() => return Ok(()),
        () if path.join(PARTS_FILE).exists() => "its packed.json is missing",
        () if path.join(WEIGHTS_FILE).exists() => "it is a model folder; load it as one, or pack it first",
        () => "it has no packed.json",
    };
    Err(Error::Packed { path: path.to_path_buf(), what: format!("not a packed model folder: {what}") })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    Ok(regular::read(path)?)
}

fn json<'a, T: Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| {
        FilesError::Damaged { path: path.to_path_buf(), what: format!("no header of a packed model: {e}") }.into()
    })
}
