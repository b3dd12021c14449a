//! What is to be written, worked out before anything is.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strata_corpus::Subwords;
use strata_corpus::languages::{Languages, every_direction};
use strata_recipe::{ConfigError, Cost, ModelConfig};
use strata_store::{Existing, ModelFolder, ModelParts, SHORTLIST_FILE, Shortlist};

use crate::error::Error;
use crate::weights::Weights;

/// The languages that a model translates between.
#[derive(Clone, Debug)]
pub(crate) enum Between {
    /// Any two of these, sorted by tag.
    All(Vec<String>),
    /// From the first into each of the others.
    Into(String, Vec<String>),
}

/// A model that is understood.
pub(crate) struct Plan {
    /// What kind of model it is, for people.
    pub origin: String,
    pub config: ModelConfig,
    pub subwords: Subwords,
    pub languages: Between,
    pub weights: Weights,
    /// What translations may have, where the model says it, in this program's ids.
    pub shortlist: Option<Shortlist>,
    /// Where a package was unpacked, which must stay until the weights are written.
    pub _unpacked: Option<tempfile::TempDir>,
}

/// What was imported.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The new model folder.
    pub model: PathBuf,
    /// What kind of model it is made of.
    pub origin: String,
    /// Its short name here, such as `Dense` or `MoE-128`.
    pub name: String,
    /// Parameters.
    pub parameters: u64,
    /// Layers of the encoder and of the decoder.
    pub layers: [usize; 2],
    /// Width.
    pub d_model: usize,
    /// Subwords, special tokens and tags together.
    pub vocab_size: usize,
    /// Languages, sorted by tag.
    pub languages: Vec<String>,
    /// Directions of translation.
    pub directions: usize,
}

impl Between {
    fn tags(&self) -> Vec<String> {
        match self {
            Self::All(tags) => tags.clone(),
            Self::Into(source, targets) => {
                let mut tags: Vec<String> = [source].into_iter().chain(targets).cloned().collect();
                tags.sort();
                tags.dedup();
                tags
            }
        }
    }

    fn directions(&self) -> usize {
        match self {
            Self::All(tags) => tags.len() * tags.len().saturating_sub(1),
            Self::Into(_, targets) => targets.len(),
        }
    }

    /// The text of `languages.json`.
    fn to_json(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::All(tags) => Ok(every_direction(tags)),
            Self::Into(source, targets) => {
                let directions: Vec<_> = targets.iter().map(|target| (source.clone(), target.clone())).collect();
                let languages = Languages::without_text(&self.tags(), &directions);
                Ok(serde_json::to_string_pretty(&languages)? + "\n")
            }
        }
    }
}

/// Checks sizes as soon as they are read: vocabularies and lists of weights are made as long as they say. `names` pairs
/// names of sizes here with those in the file `path`, where they differ.
///
/// # Errors
/// A size that no model has.
pub(crate) fn check_sizes(config: &ModelConfig, path: &Path, names: &[(&str, &str)]) -> Result<(), Error> {
    config.check_sizes().map_err(|ConfigError { key, message }| {
        let message = match names.iter().find(|(ours, _)| *ours == key) {
            Some((_, theirs)) => format!("{theirs}: {message}"),
            None => message,
        };
        Error::Config { path: path.to_path_buf(), source: ConfigError { key, message } }
    })
}

impl Plan {
    /// Checks that everything fits together, then writes the model folder; it appears whole or not at all.
    ///
    /// # Errors
    /// What does not fit, or the I/O error.
    pub fn write(&self, source: &Path, destination: &Path, existing: Existing) -> Result<Summary, Error> {
        let config_error = |source_of| Error::Config { path: source.to_path_buf(), source: source_of };
        self.config.validate().map_err(config_error)?;
        if self.subwords.vocab_size() != self.config.vocab_size {
            let what = format!(
                "its subword models have {} ids, its table {} rows; they belong to different models",
                self.subwords.vocab_size(),
                self.config.vocab_size
            );
            return Err(Error::mismatch(source, what));
        }
        self.weights.check()?;
        let cost = Cost::of(&self.config, None).map_err(config_error)?;
        let languages = self.languages.to_json().map_err(|e| Error::mismatch(source, e.to_string()))?;
        let (config, tokenizer) = (self.config.to_json(), self.subwords.to_json());
        let shortlist = self.shortlist.as_ref().map(Shortlist::to_bytes).transpose()?;
        let extra: Vec<(&str, &[u8])> = shortlist.iter().map(|bytes| (SHORTLIST_FILE, &bytes[..])).collect();
        let parts = ModelParts {
            config: config.as_bytes(),
            tokenizer: tokenizer.as_bytes(),
            languages: languages.as_bytes(),
            weights: &self.weights,
            extra: &extra,
        };
        let folder = ModelFolder::write(destination, &parts, existing)?;
        Ok(Summary {
            model: folder.path().to_path_buf(),
            origin: self.origin.clone(),
            name: self.config.name(),
            parameters: cost.parameters,
            layers: [self.config.encoder_layers, self.config.decoder_layers],
            d_model: self.config.d_model,
            vocab_size: self.config.vocab_size,
            languages: self.languages.tags(),
            directions: self.languages.directions(),
        })
    }
}
