//! A model folder: everything from text to text. `config.json`, `model.safetensors`, `tokenizer.json`,
//! `languages.json` and `SHA256SUMS`, which vouches for the others.

use std::fs;
use std::path::{Path, PathBuf};

use strata_files::checksums::SUMS_FILE;
pub use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_files::{Checksums, Error as FilesError, Existing, FolderWriter, IoContext, verified};
use strata_recipe::ModelConfig;

use crate::error::Error;
use crate::tensors::{TensorFile, TensorSource, write_tensors};

/// The model's shape and kind.
pub const CONFIG_FILE: &str = "config.json";
/// The weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";

const MODEL_FILES: [&str; 4] = [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, LANGUAGES_FILE];

/// How closely to look at a folder before using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Read every byte and compare checksums (about 1 GB/s per core).
    Contents,
    /// The same, unless it was done before and no file was touched since ([`strata_files::verified`]).
    Once,
    /// Compare file sizes only: finds missing and truncated files, not flipped bits.
    Sizes,
}

/// What a model folder is made of.
#[derive(Clone, Copy)]
pub struct ModelParts<'a> {
    /// Content of `config.json`.
    pub config: &'a [u8],
    /// Content of `tokenizer.json`.
    pub tokenizer: &'a [u8],
    /// Content of `languages.json`.
    pub languages: &'a [u8],
    /// The weights by parameter name.
    pub weights: &'a dyn TensorSource,
    /// Further files by name, such as the recipe.
    pub extra: &'a [(&'a str, &'a [u8])],
}

/// A model folder that was found whole.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    path: PathBuf,
    sums: Checksums,
}

impl ModelFolder {
    /// Opens a model or checkpoint folder after checking the content of every file.
    ///
    /// # Errors
    /// [`Error::NotAModel`] for anything else, or the file that is missing, cut short or damaged
    /// ([`Error::is_damage`]).
    pub fn open(path: impl AsRef<Path>) -> Result<ModelFolder, Error> {
        ModelFolder::open_with(path, Check::Contents)
    }

    /// Opens a model or checkpoint folder after the given check.
    ///
    /// # Errors
    /// As [`ModelFolder::open`].
    pub fn open_with(path: impl AsRef<Path>, check: Check) -> Result<ModelFolder, Error> {
        let path = path.as_ref();
        looks_like_model(path)?;
        let sums = Checksums::read(path)?;
        for name in MODEL_FILES {
            sums.listed(path, name)?;
        }
        match check {
            Check::Contents => sums.verify_all(path)?,
            Check::Once => verified::once(path, &sums, || sums.verify_all(path))?,
            Check::Sizes => sums.names().try_for_each(|name| sums.verify_size(path, name))?,
        }
        Ok(ModelFolder { path: path.to_path_buf(), sums })
    }

    /// Writes a model folder; it appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::BadTensor`] for weights that are not as announced, [`strata_files::Error::Exists`] for a folder that is
    /// not to be replaced, else the I/O error.
    pub fn write(path: impl AsRef<Path>, parts: &ModelParts<'_>, existing: Existing) -> Result<ModelFolder, Error> {
        let mut folder = FolderWriter::new(path)?;
        parts.write_into(&mut folder)?;
        let path = folder.commit(existing)?;
        let sums = Checksums::read(&path)?;
        Ok(ModelFolder { path, sums })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `path` is this folder, by whatever name: what is exported from it must not replace it.
    pub fn is_at(&self, path: &Path) -> bool {
        matches!((self.path.canonicalize(), path.canonicalize()), (Ok(a), Ok(b)) if a == b)
    }

    /// What `SHA256SUMS` lists.
    pub fn checksums(&self) -> &Checksums {
        &self.sums
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Reads one of its files whole.
    ///
    /// # Errors
    /// The I/O error.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.file(name);
        Ok(fs::read(&path).io_context("read", &path)?)
    }

    /// Content of `config.json`.
    ///
    /// # Errors
    /// The I/O error.
    pub fn config(&self) -> Result<Vec<u8>, Error> {
        self.read(CONFIG_FILE)
    }

    /// The parsed and checked `config.json`.
    ///
    /// # Errors
    /// [`Error::Config`] for one that this program cannot use.
    pub fn model_config(&self) -> Result<ModelConfig, Error> {
        Ok(ModelConfig::read(&self.file(CONFIG_FILE))?)
    }

    /// Content of `tokenizer.json`.
    ///
    /// # Errors
    /// The I/O error.
    pub fn tokenizer(&self) -> Result<Vec<u8>, Error> {
        self.read(TOKENIZER_FILE)
    }

    /// Content of `languages.json`.
    ///
    /// # Errors
    /// The I/O error.
    pub fn languages(&self) -> Result<Vec<u8>, Error> {
        self.read(LANGUAGES_FILE)
    }

    /// The weights, mapped.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn weights(&self) -> Result<TensorFile, Error> {
        TensorFile::open(self.file(WEIGHTS_FILE))
    }

    /// Reads one of its files as JSON.
    ///
    /// # Errors
    /// [`strata_files::Error::Damaged`] for one that is not JSON, else the I/O error.
    pub fn json(&self, name: &str) -> Result<serde_json::Value, Error> {
        let bytes = self.read(name)?;
        let damaged = |e| FilesError::Damaged { path: self.file(name), what: format!("not valid JSON: {e}") };
        Ok(serde_json::from_slice(&bytes).map_err(damaged)?)
    }
}

impl ModelParts<'_> {
    pub(crate) fn write_into(&self, folder: &mut FolderWriter) -> Result<(), Error> {
        for (name, bytes) in
            [(CONFIG_FILE, self.config), (TOKENIZER_FILE, self.tokenizer), (LANGUAGES_FILE, self.languages)]
                .iter()
                .chain(self.extra)
        {
            folder.write(name, bytes)?;
        }
        write_tensors(folder, WEIGHTS_FILE, self.weights)
    }
}

/// Tells a model folder that lacks a file from a folder that is something else.
fn looks_like_model(path: &Path) -> Result<(), Error> {
    if !path.is_dir() {
        let what = if path.exists() { "it is a file; name the folder that holds it" } else { "it does not exist" };
        return Err(Error::NotAModel { path: path.to_path_buf(), what: what.to_string() });
    }
    let wanted = [&MODEL_FILES[..], &[SUMS_FILE]].concat();
    let lacking: Vec<&str> = wanted.iter().copied().filter(|name| !path.join(name).exists()).collect();
    match lacking[..] {
        [] => Ok(()),
        [one] => Err(FilesError::Missing { path: path.join(one) }.into()),
        _ => {
            let what = format!("it has no {}", lacking.join(", "));
            Err(Error::NotAModel { path: path.to_path_buf(), what })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorList;

    fn write(path: &Path) -> ModelFolder {
        let mut weights = TensorList::new();
        weights.push_f32("w", &[4], vec![1.0, 2.0, 3.0, 4.0]);
        let parts = ModelParts {
            config: b"{\"d\": 4}",
            tokenizer: b"{}",
            languages: b"[\"de\"]",
            weights: &weights,
            extra: &[("recipe.toml", b"x = 1\n")],
        };
        ModelFolder::write(path, &parts, Existing::Refuse).unwrap()
    }

    #[test]
    fn a_model_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let written = write(&dir.path().join("m"));
        for check in [Check::Contents, Check::Sizes] {
            let model = ModelFolder::open_with(written.path(), check).unwrap();
            assert_eq!(model.json(CONFIG_FILE).unwrap()["d"], 4);
            assert_eq!(model.languages().unwrap(), b"[\"de\"]");
            assert_eq!(model.tokenizer().unwrap(), b"{}");
            assert_eq!(model.read("recipe.toml").unwrap(), b"x = 1\n");
            assert_eq!(*model.weights().unwrap().f32("w", &[4]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
            assert_eq!(model.checksums().names().count(), 5);
        }
    }

    #[test]
    fn the_configuration_is_parsed_or_refused_by_file_name() {
        let dir = tempfile::tempdir().unwrap();
        let config = ModelConfig { d_model: 32, heads: 2, ..ModelConfig::default() };
        let weights = TensorList::new();
        let text = config.to_json();
        let parts = |config| ModelParts { config, tokenizer: b"", languages: b"", weights: &weights, extra: &[] };
        let good = ModelFolder::write(dir.path().join("good"), &parts(text.as_bytes()), Existing::Refuse).unwrap();
        assert_eq!(good.model_config().unwrap(), config);
        let bad = ModelFolder::write(dir.path().join("bad"), &parts(b"{}"), Existing::Refuse).unwrap();
        let error = bad.model_config().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} is not a model configuration", bad.file(CONFIG_FILE).display())));
    }

    #[test]
    fn each_missing_file_is_named() {
        for name in MODEL_FILES.into_iter().chain([SUMS_FILE, "recipe.toml"]) {
            let dir = tempfile::tempdir().unwrap();
            let model = write(&dir.path().join("m"));
            fs::remove_file(model.file(name)).unwrap();
            let error = ModelFolder::open(model.path()).unwrap_err();
            assert_eq!(error.to_string(), format!("{} is missing", model.file(name).display()));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let model = write(&dir.path().join("m"));
        for name in MODEL_FILES.into_iter().chain(["recipe.toml"]) {
            let whole = model.read(name).unwrap();
            for at in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                fs::write(model.file(name), flipped).unwrap();
                let error = ModelFolder::open(model.path()).unwrap_err();
                let expected = format!("{} is damaged (checksum differs)", model.file(name).display());
                assert_eq!(error.to_string(), expected);
            }
            fs::write(model.file(name), &whole[..whole.len() / 2]).unwrap();
            for check in [Check::Contents, Check::Sizes] {
                let error = ModelFolder::open_with(model.path(), check).unwrap_err();
                assert!(matches!(error, Error::Files(FilesError::CutShort { .. })), "{error}");
            }
            fs::write(model.file(name), whole).unwrap();
        }
        ModelFolder::open(model.path()).unwrap();
    }

    #[test]
    fn sums_that_do_not_list_a_needed_file_do_not_vouch_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let model = write(&dir.path().join("m"));
        let text = String::from_utf8(model.read(SUMS_FILE).unwrap()).unwrap();
        let without: String = text.lines().filter(|l| !l.contains("tokenizer")).map(|l| format!("{l}\n")).collect();
        fs::write(model.file(SUMS_FILE), without).unwrap();
        let error = ModelFolder::open(model.path()).unwrap_err().to_string();
        assert!(error.ends_with("SHA256SUMS is damaged (it does not list tokenizer.json)"), "{error}");
    }

    #[test]
    fn other_paths_are_no_models() {
        let dir = tempfile::tempdir().unwrap();
        let says = |path: &Path| ModelFolder::open(path).unwrap_err().to_string();
        assert!(says(&dir.path().join("x")).ends_with("is not a model: it does not exist"));
        assert!(says(dir.path()).contains("it has no config.json, model.safetensors"));
        fs::write(dir.path().join("x"), "").unwrap();
        assert!(says(&dir.path().join("x")).ends_with("name the folder that holds it"));
    }
}
