//! The model that training starts from, where a recipe names one (`train.init`).

use std::ops::Range;
use std::path::{Path, PathBuf};

use strata_corpus::Subwords;
use strata_corpus::languages::Languages;
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_model::{Origin, Transformer};
use strata_recipe::{Mark, ModelConfig, Recipe};
use strata_store::{ModelFolder, resolve_model};

use crate::error::Error;

/// A model whose weights another one takes over.
pub(crate) struct Init {
    folder: ModelFolder,
    /// Of the new model, whose vocabulary may be larger.
    pub config: ModelConfig,
    /// The id that each of the new model's subwords has in this one; none for tags of further languages.
    ids: Vec<Option<u32>>,
    /// The rows of this model's table, and which of them are tags.
    vocabulary: (usize, Range<usize>),
}

impl Init {
    /// The model that `recipe` starts from, checked against the recipe and the `subwords` of its prepared folder.
    ///
    /// # Errors
    /// [`Error::Store`] for what is no model, [`Error::InitInOutput`], [`Error::Config`] for a recipe that does not fit
    /// or an architecture that is not supported, [`Error::OtherSubwords`].
    pub fn open(recipe: &Recipe, subwords: &Subwords) -> Result<Self, Error> {
        let path = resolve_model(&recipe.train.init)?;
        let output = PathBuf::from(&recipe.train.output);
        if is_inside(&path, &output) {
            return Err(Error::InitInOutput { model: path, output });
        }
        let folder = ModelFolder::open(path)?;
        let old = folder.model_config()?;
        recipe.check_init(&old)?;
        let own = Subwords::load(&folder.file(TOKENIZER_FILE))?;
        let tags = own.languages().iter().filter_map(|language| own.tag(language)).map(|tag| tag as usize);
        let tags = tags.clone().min().unwrap_or(0)..tags.max().map_or(0, |last| last + 1);
        let other = |difference| Error::OtherSubwords {
            prepared: PathBuf::from(&recipe.data.prepared),
            model: folder.path().to_path_buf(),
            difference,
        };
        let ids = subwords.ids_in(own).map_err(other)?;
        let mut config = recipe.model_config_like(&old, ids.len())?;
        let prompts = &mut config.prompts;
        for mark in prompts.source_front.iter_mut().chain(&mut prompts.source_end).chain(&mut prompts.decoder) {
            if let Mark::Subword(id) = mark {
                *id = ids.iter().position(|old| *old == Some(*id)).map_or(*id, |new| new as u32);
            }
        }
        strata_model::check_supported(&config)?;
        Ok(Self { folder, config, ids, vocabulary: (old.vocab_size, tags) })
    }

    /// The languages of a model that was trained on this one's text and that of `corpus`.
    ///
    /// # Errors
    /// [`Error::Corpus`] for a `languages.json` that cannot be read.
    pub fn languages(&self, corpus: Languages) -> Result<Languages, Error> {
        Ok(corpus.after(Languages::load(&self.folder.file(LANGUAGES_FILE))?))
    }

    /// Tells this model from others, for ranks that must have the same.
    pub fn digest(&self) -> Result<String, Error> {
        Ok(strata_files::Digest::of(&self.folder.read(strata_files::checksums::SUMS_FILE)?).hex())
    }

    /// Gives `model`, which is new, the weights.
    ///
    /// # Errors
    /// [`Error::Model`] for weights that do not fit `config.json`.
    pub fn give(&self, model: &mut Transformer, recipe: &Recipe) -> Result<(), Error> {
        let train = &recipe.train;
        let upcycle = train.upcycle.then_some(train.upcycle_noise as f32);
        let (file, vocabulary) = (self.folder.weights()?, self.vocabulary.clone());
        let origin = Origin { file: &file, rows: &self.ids, vocabulary, upcycle, seed: train.seed };
        Ok(model.take_over(&origin)?)
    }
}

/// Whether a path is a folder or in it, whatever links lead there.
fn is_inside(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}
