//! From text to a request of the engine: what all requests of one call share, and the request of a part.

use std::collections::BTreeSet;
use std::sync::Arc;

use strata_corpus::frame::Frame;
use strata_corpus::subword::{EOS, SPECIALS, UNKNOWN};
use strata_recipe::SearchOptions;
use strata_runtime::{Request, Stop, Tally};

use crate::error::Error;
use crate::glossary::Glossary;
use crate::options::TranslateOptions;
use crate::translator::Translator;

/// Translation into one language with given options, as the engine takes it: made once by [`Translator::task`], then
/// used for any number of texts.
#[derive(Clone, Debug)]
pub struct Task {
    frame: Frame,
    pub(crate) search: SearchOptions,
    pub(crate) tokens_per_batch: usize,
    pub(crate) whole_lines: bool,
    /// Whether alignments and routing are wanted token by token, too.
    pub(crate) traced: bool,
    pub(crate) glossary: Option<Arc<Glossary>>,
    suppressed: Arc<[u32]>,
    vocabulary: Option<Arc<[u32]>>,
    /// Whether the model's shortlist says what a sentence's translation may have.
    shortlist: bool,
    pub(crate) stop: Stop,
    pub(crate) tally: Tally,
}

impl Translator {
    /// The task of translating into `to`. Most models need not know the language of the source, `from`.
    ///
    /// # Errors
    /// As [`Translator::frame`]; an option with a value that it does not take, or that this model or device cannot do.
    pub fn task(&self, from: Option<&str>, to: &str, options: &TranslateOptions) -> Result<Task, Error> {
        let frame = self.frame(from, to)?;
        options.search.check()?;
        self.backend.check(options)?;
        if options.tokens_per_batch == 0 {
            return Err(Error::Unsupported(
                "tokens_per_batch = 0 leaves no room for a sentence; choose 1 or more".into(),
            ));
        }
        let language = self.language(to);
        let vocabulary = match &options.vocabulary_map {
            Some(map) => Some(map.ids_asked_for(self.subwords(), language)?),
            None if options.whole_vocabulary => None,
            None => self.vocabulary_map().and_then(|map| map.ids(language)),
        };
        Ok(Task {
            frame,
            search: options.search,
            tokens_per_batch: options.tokens_per_batch,
            whole_lines: options.whole_lines,
            traced: true,
            glossary: options.glossary.clone(),
            shortlist: vocabulary.is_none() && !options.whole_vocabulary && self.backend.cpu("").is_ok(),
            vocabulary,
            suppressed: self.suppressed(&options.suppress)?.into(),
            stop: options.stop.clone().unwrap_or_default(),
            tally: options.tally.clone().unwrap_or_default(),
        })
    }

    /// The engine's request for a part whose subwords are `ids`, and whose translation begins with `prefix`; none for
    /// text without subwords, which needs no translation.
    pub(crate) fn request_for(&self, part: &str, ids: Vec<u32>, prefix: &str, task: &Task) -> Option<Request> {
        if ids.is_empty() {
            return None;
        }
        let subwords = self.subwords();
        let required = task.glossary.as_deref().map_or(Vec::new(), |glossary| glossary.required(part));
        let mut request = self.request_of(ids, task);
        request.prefix = if prefix.is_empty() { Vec::new() } else { subwords.encode_target(prefix) };
        // The others are put in where text is copied, which is nowhere in whole lines and behind prefixes.
        let is_put_in = |translation: &str| !task.whole_lines && prefix.is_empty() && !self.writes(translation);
        let required = required.into_iter().filter(|translation| !is_put_in(translation));
        request.constraints = required.map(|translation| subwords.encode_target(translation)).collect();
        let listed = || self.shortlist().filter(|_| task.shortlist).map(|list| list.of(&request.source).into());
        let allowed = task.vocabulary.clone().or_else(listed);
        request.vocabulary = allowed.map(|allowed| with_forced(&allowed, &request));
        Some(request)
    }

    /// Whether the vocabulary has pieces for a text as it is; a model that is made to write bytes loses its way.
    pub(crate) fn writes(&self, text: &str) -> bool {
        let subwords = self.subwords();
        let ids = subwords.encode_target(text);
        !ids.iter().any(|id| *id == UNKNOWN || subwords.is_byte(*id)) && subwords.decode(&ids) == text
    }

    /// The request for a sentence of these subwords, without prefix and limits of the vocabulary.
    pub(crate) fn request_of(&self, ids: Vec<u32>, task: &Task) -> Request {
        let mut request = Request::new(task.frame.source(ids).collect(), task.frame.prompt(), EOS, task.search);
        request.suppressed = task.suppressed.clone();
        request
    }

    /// Ids that no translation has: those of [`Subwords::control_ids`](strata_corpus::Subwords::control_ids) and
    /// `pieces`.
    fn suppressed(&self, pieces: &[String]) -> Result<Vec<u32>, Error> {
        let subwords = self.subwords();
        let reserved = (SPECIALS.len() + subwords.languages().len()) as u32;
        let mut ids = subwords.control_ids();
        for piece in pieces {
            let found = (reserved..subwords.vocab_size() as u32).find(|id| subwords.piece(*id) == *piece);
            ids.push(found.ok_or_else(|| {
                Error::Unsupported(format!(
                    "the subword model has no piece `{piece}` to suppress; write it as the subword model prints it, \
                     with \u{2581} in front where it begins a word"
                ))
            })?);
        }
        Ok(ids)
    }
}

/// `allowed`, and what `request` forces.
fn with_forced(allowed: &Arc<[u32]>, request: &Request) -> Arc<[u32]> {
    let forced = || request.prefix.iter().chain(request.constraints.iter().flatten()).copied();
    if forced().all(|id| allowed.binary_search(&id).is_ok()) {
        return allowed.clone();
    }
    let all: BTreeSet<u32> = allowed.iter().copied().chain(forced()).collect();
    all.into_iter().collect()
}
