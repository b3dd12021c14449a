//! A model whose routing is recorded: sentence pairs in, the path of every token through the expert blocks out.

use std::path::Path;
use std::sync::Arc;

use strata_corpus::frame::{Frame, MissingTag};
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::subword::EOS;
use strata_corpus::{Subwords, codes};
use strata_recipe::{Kind, ModelConfig};
use strata_runtime::{Engine, Limits, Model, PackedFolder, Precision, Request, Routing};
use strata_store::{Check, ModelFolder, resolve_model};

use crate::error::Error;

/// Pairs routed together: enough to keep the processor busy, few enough that their traces take little memory.
pub(crate) const CHUNK: usize = 128;

/// A model with experts, ready to route sentences on the CPU.
pub struct RoutedModel {
    engine: Engine,
    subwords: Subwords,
    languages: Languages,
    threads: usize,
}

/// A sentence and its translation in subwords.
pub struct RoutedPair {
    /// The target language's tag, the source's subwords, the end mark: what the encoder reads.
    pub source: Vec<u32>,
    /// The target language's tag and the translation's subwords: what the decoder reads.
    pub target: Vec<u32>,
    /// The path of each of these tokens.
    pub routing: Routing,
}

impl RoutedModel {
    /// Loads a model folder, a checkpoint, a run's best checkpoint, or a packed folder; `threads` work on each step.
    ///
    /// # Errors
    /// A missing or damaged file; a model without experts, which has no routing.
    pub fn open(path: &Path, threads: usize) -> Result<Self, Error> {
        let (model, folder) = if PackedFolder::is_at(path) {
            (Model::load_packed(&PackedFolder::open(path, Check::Once)?)?, path.to_path_buf())
        } else {
            let folder = ModelFolder::open(resolve_model(path)?)?;
            (Model::load(&folder, Precision::F32)?, folder.path().to_path_buf())
        };
        if model.config().kind == Kind::Dense {
            let what = "a dense model has no experts, so there is no routing to look at";
            return Err(Error::Invalid(format!("{}: {what}", path.display())));
        }
        Self::with(model, &folder, threads)
    }

    /// A model with the subwords and languages of a model folder or packed folder.
    ///
    /// # Errors
    /// A missing or damaged file.
    pub(crate) fn with(model: Model, folder: &Path, threads: usize) -> Result<Self, Error> {
        Ok(Self {
            engine: Engine::new(Arc::new(model)),
            subwords: Subwords::load(&folder.join(TOKENIZER_FILE))?,
            languages: Languages::load(&folder.join(LANGUAGES_FILE))?,
            threads: threads.max(1),
        })
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        self.engine.model().config()
    }

    /// Its subword model.
    pub fn subwords(&self) -> &Subwords {
        &self.subwords
    }

    /// The languages that it was trained on.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The model's tag for the language that `said` means ([`codes::find`]).
    pub fn language(&self, said: &str) -> Option<&str> {
        codes::find(said, self.languages.languages.iter().map(|language| language.tag.as_str()))
    }

    /// Routes sentences with their given translations into `to` (teacher forcing). Pairs with a side that is longer
    /// than the model takes are left out, so that the result may be shorter than the input; each has the index of its
    /// pair in front.
    ///
    /// # Errors
    /// A language that the model has no tag for; what the engine reports.
    pub fn route(
        &self,
        sources: &[String],
        targets: &[String],
        [from, to]: [&str; 2],
    ) -> Result<Vec<(usize, RoutedPair)>, Error> {
        let tag = |said| self.subwords.tag(self.language(said).unwrap_or(said));
        let [source_tag, target_tag] = [from, to].map(tag);
        let frame = Frame::new(&self.config().prompts, source_tag, target_tag).map_err(|missing| {
            let language = if missing == MissingTag::Source { from } else { to };
            let known = codes::listed(self.subwords.languages());
            Error::Invalid(format!("this model has no language `{language}`; it knows: {known}"))
        })?;
        let around = frame.source([]).count();
        let most = self.config().max_length;
        let (mut requests, mut pairs) = (Vec::new(), Vec::new());
        let encoded = self.subwords.encode_batch(sources).into_iter().zip(self.subwords.encode_batch(targets));
        for (i, (source, target)) in encoded.enumerate() {
            if source.len() + around > most || target.len() + 1 > most || source.is_empty() || target.is_empty() {
                continue;
            }
            let source: Vec<u32> = frame.source(source).collect();
            let mut request = Request::score(source.clone(), frame.prompt(), EOS, target.clone());
            request.options.routing = true;
            requests.push(request);
            pairs.push((i, source, frame.prompt().last().copied().into_iter().chain(target).collect::<Vec<u32>>()));
        }
        let limits = Limits { threads: self.threads, hypotheses: 4096, ..Limits::default() };
        let found = self.engine.translate(&requests, &limits)?;
        let with_routing = pairs.into_iter().zip(found).map(|((i, source, target), hypotheses)| {
            let routing = hypotheses.into_iter().next().and_then(|h| h.routing).unwrap_or_default();
            (i, RoutedPair { source, target, routing })
        });
        Ok(with_routing.collect())
    }
}
