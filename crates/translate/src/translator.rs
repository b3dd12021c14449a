//! A model with its subwords and languages, ready to translate.

use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::codes;
use strata_corpus::frame::{Frame, MissingTag};
use strata_corpus::languages::{Direction, LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_recipe::{ModelConfig, Prompts, is_cpu};
use strata_runtime::{Model, PackedFolder, Precision, Weights};
use strata_store::{Check, ModelFolder, Shortlist, resolve_model};

use crate::backend::Backend;
use crate::error::Error;
use crate::vocabulary::VocabularyMap;

/// Where and how a model is run.
#[derive(Clone, Debug)]
pub struct Placement {
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// What weights are held in (CPU); f32 if `None`. A packed folder has its precision already, and refuses another.
    pub precision: Option<Precision>,
    /// Batches to work on side by side, each with its share of the threads; 0 = automatic (CPU).
    pub workers: usize,
    /// How closely to look at the files first.
    pub check: Check,
}

/// On the CPU, in f32, files that were verified once.
impl Default for Placement {
    fn default() -> Self {
        Self { device: "cpu".to_string(), precision: None, workers: 0, check: Check::Once }
    }
}

impl Placement {
    /// Whether it is on the CPU.
    pub fn is_cpu(&self) -> bool {
        is_cpu(&self.device)
    }
}

/// A model with its subwords and languages.
pub struct Translator {
    pub(crate) backend: Backend,
    subwords: Subwords,
    languages: Languages,
    shortlist: Option<Shortlist>,
    vocabulary_map: Option<VocabularyMap>,
}

impl Translator {
    pub(crate) fn new(backend: Backend, subwords: Subwords, languages: Languages) -> Self {
        Self { backend, subwords, languages, shortlist: None, vocabulary_map: None }
    }

    /// Loads a model folder, a checkpoint, a run's best checkpoint, or a packed folder.
    ///
    /// # Errors
    /// A missing or damaged file, a device that is not there.
    pub fn open(path: &Path, placement: &Placement) -> Result<Self, Error> {
        let (backend, folder) = if PackedFolder::is_at(path) {
            if !placement.is_cpu() {
                let what = "a packed folder runs on the CPU only; name the model folder that it was exported from";
                return Err(Error::Unsupported(format!("{}: {what}", path.display())));
            }
            let packed = PackedFolder::open(path, placement.check)?;
            let found = packed.precision();
            if let Some(asked) = placement.precision.filter(|asked| *asked != found) {
                let (asked, found) = (asked.name(), found.name());
                return Err(Error::Unsupported(format!(
                    "{}: this folder is packed in {found}; export its model again in {asked}, or ask for no precision",
                    path.display()
                )));
            }
            (Backend::engine(Model::load_packed(&packed)?, placement.workers), path.to_path_buf())
        } else {
            let folder = ModelFolder::open_with(resolve_model(path)?, placement.check)?;
            (Backend::load(&folder, placement)?, folder.path().to_path_buf())
        };
        let subwords = Subwords::load(&folder.join(TOKENIZER_FILE))?;
        let languages = Languages::load(&folder.join(LANGUAGES_FILE))?;
        let config = backend.config();
        let shortlist = Shortlist::read(&folder, config.source_vocab_size(), config.vocab_size)?;
        let vocabulary_map = VocabularyMap::of_folder(&folder, &subwords)?;
        Ok(Self { shortlist, vocabulary_map, ..Self::new(backend, subwords, languages) })
    }

    /// A translator with the CPU engine for weights in memory.
    ///
    /// # Errors
    /// Weights that do not fit `config`.
    pub fn from_weights(
        config: &ModelConfig,
        weights: &dyn Weights,
        subwords: Subwords,
        languages: Languages,
    ) -> Result<Self, Error> {
        let model = Model::pack(config, weights, Precision::F32)?;
        Ok(Self::new(Backend::engine(model, 0), subwords, languages))
    }

    /// The languages of the model at `path`, without loading its weights.
    ///
    /// # Errors
    /// No model there, or a damaged file.
    pub fn languages_at(path: &Path) -> Result<Languages, Error> {
        let folder = if PackedFolder::is_at(path) { path.to_path_buf() } else { resolve_model(path)? };
        Ok(Languages::load(&folder.join(LANGUAGES_FILE))?)
    }

    /// What another program has done to the mapped file that holds the weights, if it has: what is computed with them
    /// is then worth nothing.
    pub fn change(&self) -> Option<String> {
        self.backend.cpu("").ok().and_then(|cpu| cpu.engine.model().change())
    }

    /// The languages that the model was trained on.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The subword model.
    pub fn subwords(&self) -> &Subwords {
        &self.subwords
    }

    /// What translations of a sentence may have, where the model says it.
    pub fn shortlist(&self) -> Option<&Shortlist> {
        self.shortlist.as_ref()
    }

    /// What translations into a language may have, where the folder was packed with it.
    pub fn vocabulary_map(&self) -> Option<&VocabularyMap> {
        self.vocabulary_map.as_ref()
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        self.backend.config()
    }

    /// The model's tag for the language that `said` means ([`codes::find`]); `said` itself where it has none.
    pub fn language<'a>(&'a self, said: &'a str) -> &'a str {
        codes::find(said, self.languages.languages.iter().map(|language| language.tag.as_str())).unwrap_or(said)
    }

    /// Whether the model was trained to translate into `to` (and from `from`). Most were not from a language into
    /// itself.
    ///
    /// # Errors
    /// [`Error::Language`] with the known languages and the nearest one, [`Error::OneLanguage`] for one under two of
    /// its codes.
    pub fn check_direction(&self, from: Option<&str>, to: &str) -> Result<(), Error> {
        let of = |name: fn(&Direction) -> &String| {
            let mut known: Vec<&str> = self.languages.directions.iter().map(|d| name(d).as_str()).collect();
            known.sort_unstable();
            known.dedup();
            known
        };
        let check = |way: &'static str, language: &str, known: Vec<&str>| {
            if known.contains(&self.language(language)) {
                return Ok(());
            }
            let hint = strata_recipe::nearest(language, known.iter().copied())
                .map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
            Err(Error::Language { way, language: language.to_string(), known: codes::listed(&known), hint })
        };
        check("into", to, of(|d| &d.target))?;
        let Some(from) = from else { return Ok(()) };
        check("from", from, of(|d| &d.source))?;
        let [source, target] = [from, to].map(|said| self.language(said));
        let learned = || self.languages.directions.iter().any(|d| d.source == source && d.target == target);
        if source == target && !learned() {
            return Err(Error::OneLanguage { from: from.to_string(), to: to.to_string() });
        }
        Ok(())
    }

    /// What the model wants around sentences of a direction. `from` only counts for models that read it from a tag.
    ///
    /// # Errors
    /// [`Error::Language`] for a language that the model does not know, [`Error::NoSource`] where it wants to know that
    /// of the source and `from` is none.
    pub fn frame(&self, from: Option<&str>, to: &str) -> Result<Frame, Error> {
        self.check_direction(None, to)?;
        let prompts = &self.config().prompts;
        let unknown = |way, language: &str| Error::Language {
            way,
            language: language.to_string(),
            known: codes::listed(self.subwords.languages()),
            hint: String::new(),
        };
        let tag = |language: &str| self.subwords.tag(self.language(language));
        Frame::new(prompts, from.and_then(tag), tag(to)).map_err(|missing| match (missing, from) {
            (MissingTag::Target, _) => unknown("into", to),
            (MissingTag::Source, Some(from)) => unknown("from", from),
            (MissingTag::Source, None) => Error::NoSource { known: codes::listed(self.subwords.languages()) },
        })
    }

    /// Tokens beside a sentence: what stands around a source, or the tag and the end mark of a translation.
    fn framing(&self) -> usize {
        let Prompts { source_front, source_end, .. } = &self.config().prompts;
        (source_front.len() + source_end.len()).max(2)
    }

    /// Subwords of a source at most, without what stands around it.
    pub(crate) fn most(&self) -> usize {
        self.config().max_length - self.framing()
    }

    /// Subwords of the longest source that the model has learned from, without what stands around it. Longer ones it
    /// takes, but translates only in part.
    pub(crate) fn longest(&self) -> usize {
        let learned = self.languages.max_length.unwrap_or(usize::MAX);
        learned.min(self.config().max_length).saturating_sub(self.framing()).max(1)
    }
}
