//! One model of a server: its languages are read at the start, its weights when it is first asked for.

use std::sync::Arc;
use std::time::Instant;

use strata_corpus::languages::Languages;
use strata_runtime::Limits;
use strata_translate::{Placement, Translator};
use tokio::sync::Mutex;

use crate::engine::load::Load;
use crate::engine::loaded::Loaded;
use crate::engine::thread::Engine;
use crate::error::{Answer, ApiError, Error};
use crate::lock::lock;
use crate::log::{Entry, Logger};
use crate::settings::{ModelSource, Released, Settings};

/// A model, in memory or not.
pub struct Served {
    source: ModelSource,
    languages: Languages,
    placement: Placement,
    queue: usize,
    log: Logger,
    released: Released,
    slot: Mutex<Slot>,
    /// When it was last asked for.
    used: std::sync::Mutex<Instant>,
    /// The load of the last thread, for metrics, which must not wait while a model is loaded.
    load: std::sync::Mutex<Option<Arc<Load>>>,
}

/// What became of the last load.
#[derive(Default)]
struct Slot {
    loaded: Option<Loaded>,
    /// When it failed last.
    failed: Option<Instant>,
}

impl Served {
    /// A model that is not in memory yet; only its languages are read.
    ///
    /// # Errors
    /// A model that is missing or damaged.
    pub fn new(source: &ModelSource, settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            source: source.clone(),
            languages: Translator::languages_at(&source.path)?,
            placement: settings.placement.clone(),
            queue: settings.queue,
            log: settings.log.clone(),
            released: settings.released.clone(),
            slot: Mutex::default(),
            used: std::sync::Mutex::new(Instant::now()),
            load: std::sync::Mutex::default(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// Its languages and directions.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// Whether it was trained to translate `source` into `target`.
    pub fn has(&self, source: &str, target: &str) -> bool {
        self.languages.directions.iter().any(|d| d.source == source && d.target == target)
    }

    /// The load of its thread; none while the model is not in memory.
    pub fn load(&self) -> Option<Arc<Load>> {
        lock(&self.load).clone()
    }

    /// Whether its weights are in memory.
    pub fn is_loaded(&self) -> bool {
        self.load().is_some_and(|load| !load.is_broken())
    }

    /// When it was last asked for.
    pub fn used(&self) -> Instant {
        *lock(&self.used)
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    /// Unloads its weights unless it is in use, and says whether it did. The next request loads them again.
    pub async fn unload(&self, why: &str) -> bool {
        // Being loaded is being used.
        let Ok(mut slot) = self.slot.try_lock() else { return false };
        let Some(old) = slot.loaded.take_if(|loaded| loaded.is_idle()) else { return false };
        *lock(&self.load) = None;
        let released = self.released.clone();
        let done = tokio::task::spawn_blocking(move || {
            old.close();
            released();
        });
        // A panic there is logged by the thread itself.
        let _ = done.await;
        self.tell("info", format!("unloaded: {why}"));
        true
    }

    /// Its weights and thread, loaded now if they are not in memory, or if a fault has ended the thread. All who
    /// `asked` before a load ended wait for that one load, and share its failure. Must be polled to its end: a caller
    /// that may leave runs it as a task.
    ///
    /// # Errors
    /// 500 where that fails; the reason is logged.
    pub async fn get(self: &Arc<Self>, asked: Instant) -> Answer<Loaded> {
        let mut slot = self.slot.lock().await;
        self.touch();
        if slot.failed.is_some_and(|failed| failed > asked) {
            return Err(self.cannot_be_loaded());
        }
        let changed = match slot.loaded.as_ref() {
            Some(loaded) if !loaded.load().is_broken() => match loaded.translator().change() {
                None => return Ok(loaded.clone()),
                changed => changed,
            },
            _ => None,
        };
        if let Some(what) = changed {
            self.tell("error", what);
        }
        // The old one goes before the new one comes, so that there are never two in memory.
        let old = slot.loaded.take();
        *lock(&self.load) = None;
        let model = self.clone();
        let opened = tokio::task::spawn_blocking(move || {
            drop(old);
            model.open().map_err(|why| model.tell("error", why))
        });
        let opened = opened.await.unwrap_or_else(|panic| {
            self.tell("error", panic.to_string());
            Err(())
        });
        let Ok(opened) = opened else {
            slot.failed = Some(Instant::now());
            return Err(self.cannot_be_loaded());
        };
        *lock(&self.load) = Some(opened.load().clone());
        slot.loaded = Some(opened.clone());
        Ok(opened)
    }

    fn cannot_be_loaded(&self) -> ApiError {
        ApiError::internal(format!("the model {} cannot be loaded; its operator's log says why", self.source.name))
    }

    /// Logs what happened to the model.
    fn tell(&self, level: &'static str, message: String) {
        (self.log)(&Entry { model: self.source.name.clone(), ..Entry::new(level, "model", message) });
    }

    /// Loads the weights and starts the thread; why not, where that fails.
    fn open(&self) -> Result<Loaded, String> {
        let start = Instant::now();
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
        self.tell("info", format!("loaded in {:.2} s", start.elapsed().as_secs_f64()));
        Ok(Loaded::new(translator, engine))
    }
}
