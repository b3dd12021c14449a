//! The models that are served: their languages are read at the start, their weights when first asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_corpus::language::{Identifier, english_name};
use strata_corpus::languages::Languages;
use strata_runtime::{Limits, Request};
use strata_translate::{Candidate, Part, Placement, Translator, Wanted};
use tokio::sync::Mutex;

use crate::engine::{Engine, Failure};
use crate::error::{Answer, ApiError, Error};
use crate::load::Load;
use crate::log::{Entry, Logger};
use crate::settings::{ModelSource, Released, Settings};

/// All models of a server.
pub struct Models {
    models: Vec<Arc<Served>>,
    /// Among all languages that any model translates from or into.
    identifier: Identifier,
    /// Tags of all languages, sorted.
    tags: Vec<String>,
    /// Models in memory at a time; 0 is all.
    most_loaded: usize,
    /// Held while one is loaded, so that it is known how many there are.
    loading: Mutex<()>,
}

/// A model, loaded or not.
pub struct Served {
    source: ModelSource,
    languages: Languages,
    placement: Placement,
    queue: usize,
    log: Logger,
    released: Released,
    loaded: Mutex<Option<Loaded>>,
    /// When it was last asked for.
    used: std::sync::Mutex<Instant>,
    /// The last engine's load, for metrics, which must not wait for loading.
    load: std::sync::Mutex<Option<Arc<Load>>>,
}

/// A model's weights with the thread that runs them.
#[derive(Clone)]
pub struct Loaded {
    translator: Arc<Translator>,
    engine: Arc<Engine>,
}

impl Models {
    /// Reads the languages of every model.
    ///
    /// # Errors
    /// A model that is missing or damaged; two of one name.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let mut models: Vec<Arc<Served>> = Vec::with_capacity(settings.models.len());
        for source in &settings.models {
            if models.iter().any(|other| other.source.name == source.name) {
                let text =
                    format!("two models are named `{0}`; name one by NAME={1}", source.name, source.path.display());
                return Err(Error::Settings(text));
            }
            models.push(Arc::new(Served {
                source: source.clone(),
                languages: Translator::languages_at(&source.path)?,
                placement: settings.placement.clone(),
                queue: settings.queue,
                log: settings.log.clone(),
                released: settings.released.clone(),
                loaded: Mutex::default(),
                used: std::sync::Mutex::new(Instant::now()),
                load: std::sync::Mutex::default(),
            }));
        }
        let tags: BTreeSet<String> = models.iter().flat_map(|model| model.languages.tags()).collect();
        let identifier = Identifier::new(tags.iter().map(String::as_str));
        let (tags, most_loaded) = (tags.into_iter().collect(), settings.most_loaded);
        Ok(Self { models, identifier, tags, most_loaded, loading: Mutex::default() })
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Served>] {
        &self.models
    }

    /// A model's weights and engine, loaded now if they are not there. Where too many are, the one that was asked for longest ago
    /// goes; those in use stay.
    ///
    /// # Errors
    /// As [`Served::get`].
    pub async fn get(&self, model: &Arc<Served>) -> Answer<Loaded> {
        if self.most_loaded == 0 || model.is_loaded() {
            return model.get().await;
        }
        let _loading = self.loading.lock().await;
        let mut others: Vec<&Arc<Served>> =
            self.models.iter().filter(|other| !Arc::ptr_eq(other, model) && other.is_loaded()).collect();
        others.sort_by_key(|other| other.used());
        let mut too_many = (others.len() + 1).saturating_sub(self.most_loaded);
        for other in others {
            if too_many > 0 && other.unload("to make room for another").await {
                too_many -= 1;
            }
        }
        model.get().await
    }

    /// Gives up the models that nobody asked for in a while.
    pub async fn unload_idle(&self, after: Duration) {
        for model in self.models.iter().filter(|model| model.is_loaded() && model.used().elapsed() >= after) {
            model.unload("nobody asked for it").await;
        }
    }

    /// Tags of all languages, sorted.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The tag that a client means: as it is written, or without regard to case and to what stands behind a hyphen.
    pub fn tag(&self, said: &str) -> Option<&str> {
        let base = |tag: &str| tag.split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
        let find = |fits: &dyn Fn(&str) -> bool| self.tags.iter().map(String::as_str).find(|tag| fits(tag));
        find(&|tag| tag == said)
            .or_else(|| find(&|tag| tag.replace('_', "-").eq_ignore_ascii_case(&said.replace('_', "-"))))
            .or_else(|| find(&|tag| base(tag) == base(said)))
    }

    /// Languages that some model translates `source` into, sorted, `source` itself among them.
    pub fn targets<'a>(&'a self, source: &'a str) -> Vec<&'a str> {
        let directions = self.models.iter().flat_map(|model| &model.languages.directions);
        let targets = directions.filter(|d| d.source == source).map(|d| d.target.as_str());
        targets.chain([source]).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Languages that some model translates from, sorted.
    pub fn sources(&self) -> Vec<&str> {
        let directions = self.models.iter().flat_map(|model| &model.languages.directions);
        directions.map(|d| d.source.as_str()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The language of a text among all, and how sure that is, from 0 to 1.
    pub fn identify(&self, text: &str) -> Option<(&str, f64)> {
        self.identifier.identify(text)
    }

    /// The language of a text that is to be translated into `target`: only what can be is looked for. With a single
    /// possibility nothing is looked at.
    pub fn identify_source(&self, text: &str, target: &str) -> Option<(String, f64)> {
        let directions = self.models.iter().flat_map(|model| &model.languages.directions);
        let sources: BTreeSet<&str> = directions.filter(|d| d.target == target).map(|d| d.source.as_str()).collect();
        let candidates: BTreeSet<&str> = sources.iter().copied().chain([target]).collect();
        let found =
            Identifier::new(candidates.iter().copied()).identify(text).map(|(tag, sure)| (tag.to_string(), sure));
        // Models do not see the source language, so any of them serves for a text that says nothing.
        found.or_else(|| sources.first().map(|tag| (tag.to_string(), 0.0)))
    }

    /// The model for a direction: the one named, or the first that has it.
    ///
    /// # Errors
    /// 400 with what there is.
    pub fn choose(&self, name: Option<&str>, source: &str, target: &str) -> Answer<Arc<Served>> {
        let named = |model: &&Arc<Served>| name.is_none_or(|name| model.source.name == name);
        if !self.models.iter().any(|model| named(&model)) {
            let names: Vec<&str> = self.models.iter().map(|model| model.source.name.as_str()).collect();
            return Err(ApiError::invalid(format!("there is no such model; there are: {}", names.join(", "))));
        }
        let has = |model: &&Arc<Served>| model.has(source, target);
        self.models.iter().filter(named).find(has).cloned().ok_or_else(|| {
            let targets: Vec<&str> = self.targets(source).into_iter().filter(|target| *target != source).collect();
            ApiError::invalid(format!(
                "{target} is not available as a target language from {source}; from there: {}",
                targets.join(", ")
            ))
        })
    }
}

/// A language's English name, or its tag where that is not known.
pub fn name_of(tag: &str) -> &str {
    english_name(tag).unwrap_or(tag)
}

impl Served {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// Whether it was trained to translate `source` into `target`.
    pub fn has(&self, source: &str, target: &str) -> bool {
        self.languages.directions.iter().any(|d| d.source == source && d.target == target)
    }

    /// What is known of its engine; none before the model is loaded.
    pub fn load(&self) -> Option<Arc<Load>> {
        self.load.lock().ok().and_then(|load| load.clone())
    }

    /// Whether its weights are in memory.
    pub fn is_loaded(&self) -> bool {
        self.load().is_some_and(|load| !load.is_broken())
    }

    /// When it was last asked for.
    pub fn used(&self) -> Instant {
        self.used.lock().map_or_else(|_| Instant::now(), |used| *used)
    }

    fn touch(&self) {
        if let Ok(mut used) = self.used.lock() {
            *used = Instant::now();
        }
    }

    /// Gives up its weights unless it is in use; whether it did. The next request loads them again.
    async fn unload(&self, why: &str) -> bool {
        // Who loads it just now uses it.
        let Ok(mut loaded) = self.loaded.try_lock() else { return false };
        if !loaded.as_ref().is_some_and(Loaded::is_idle) {
            return false;
        }
        let Some(old) = loaded.take() else { return false };
        if let Ok(mut load) = self.load.lock() {
            *load = None;
        }
        let released = self.released.clone();
        let done = tokio::task::spawn_blocking(move || {
            old.close();
            released();
        });
        // A panic there is told by the thread itself.
        let _ = done.await;
        let entry = Entry::new("info", "model", format!("unloaded: {why}"));
        (self.log)(&Entry { model: self.source.name.clone(), ..entry });
        true
    }

    /// Its weights and engine, loaded now if they are not there, or if the engine has stopped by a fault.
    ///
    /// # Errors
    /// 500 where that fails; the reason is logged.
    async fn get(self: &Arc<Self>) -> Answer<Loaded> {
        let mut loaded = self.loaded.lock().await;
        self.touch();
        let changed = match loaded.as_ref() {
            Some(loaded) if !loaded.engine.load().is_broken() => match loaded.translator.change() {
                None => return Ok(loaded.clone()),
                changed => changed,
            },
            _ => None,
        };
        if let Some(what) = changed {
            (self.log)(&Entry { model: self.source.name.clone(), ..Entry::new("error", "model", what) });
        }
        // Gone before the new one is there, so that there are never two in memory.
        let old = loaded.take();
        if let Ok(mut load) = self.load.lock() {
            *load = None;
        }
        let model = self.clone();
        let opened = tokio::task::spawn_blocking(move || {
            drop(old);
            model.open()
        });
        let opened = opened.await.unwrap_or_else(|panic| Err(panic.to_string())).map_err(|why| {
            (self.log)(&Entry { model: self.source.name.clone(), ..Entry::new("error", "model", why) });
            ApiError::internal(format!("the model {} cannot be loaded; its operator's log says why", self.source.name))
        })?;
        if let Ok(mut load) = self.load.lock() {
            *load = Some(opened.engine.load().clone());
        }
        *loaded = Some(opened.clone());
        Ok(opened)
    }

    fn open(&self) -> Result<Loaded, String> {
        let start = std::time::Instant::now();
        let translator = Translator::open(&self.source.path, &self.placement).map_err(|e| e.to_string())?;
        let limits = Limits { threads: rayon::current_num_threads(), ..Limits::default() };
        let session = translator.session(limits).map_err(|e| e.to_string())?;
        let (log, name) = (self.log.clone(), self.source.name.clone());
        let broken = move |said: String| {
            let entry =
                Entry::new("error", "engine", format!("stopped by a fault, loaded again at the next request: {said}"));
            log(&Entry { model: name, ..entry });
        };
        let name = &self.source.name;
        let translator = Arc::new(translator);
        let watched = translator.clone();
        let change = move || watched.change();
        let engine = Engine::start(name, session, self.queue, change, broken).map_err(|e| format!("no thread: {e}"))?;
        let message = format!("loaded in {:.2} s", start.elapsed().as_secs_f64());
        (self.log)(&Entry { model: name.clone(), ..Entry::new("info", "model", message) });
        Ok(Loaded { translator, engine: Arc::new(engine) })
    }
}

impl Loaded {
    /// Whether nobody but its owner holds it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.engine) == 1 && self.engine.load().sentences() == 0
    }

    /// Gives up all of it, and waits until it is gone.
    fn close(self) {
        let Self { translator, engine } = self;
        if let Some(engine) = Arc::into_inner(engine) {
            engine.close();
        }
        drop(translator);
    }

    /// The model with its subwords.
    pub fn translator(&self) -> &Arc<Translator> {
        &self.translator
    }

    /// Translates parts, in order. `time` is what is left for it.
    ///
    /// # Errors
    /// 400 for a part that the model cannot take, 429 where there is no room, 500 where the engine stopped.
    pub async fn translate(
        &self,
        parts: Vec<String>,
        target: &str,
        wanted: Wanted,
        time: Duration,
    ) -> Answer<Vec<Part>> {
        let search = self.translator.part_search(target, wanted).map_err(|e| ApiError::invalid(e.to_string()))?;
        let translator = self.translator.clone();
        let encode = move || -> Vec<(String, Option<Request>)> {
            let request = |part: String| {
                let request = translator.request(&part, &search);
                (part, request)
            };
            parts.into_iter().map(request).collect()
        };
        let requests = blocking(encode).await?;
        let sent: Vec<Request> = requests.iter().filter_map(|(_, request)| request.clone()).collect();
        let found = self.engine.translate(sent, time).await.map_err(|failure| match failure {
            Failure::Broken => {
                ApiError::internal("the model stopped by a fault; it is loaded again at the next request")
            }
            Failure::Full(seconds) => ApiError::busy("too many sentences are waiting; try again later", seconds),
            Failure::Refused(why) => ApiError::invalid(why),
        })?;
        let translator = self.translator.clone();
        blocking(move || {
            let mut found = found.into_iter();
            let read = |(part, request): (String, Option<Request>)| match request {
                Some(request) => translator.read(&request, found.next().unwrap_or_default()),
                // Nothing that the model could see, so it stays.
                None => Part { candidates: vec![Candidate { text: part, ..Candidate::default() }], ..Part::default() },
            };
            requests.into_iter().map(read).collect()
        })
        .await
    }
}

/// Runs work that takes the processor for a while.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal("this request could not be worked on"))
}
