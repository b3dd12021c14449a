//! A model in memory: from sentences to their translations.

use std::sync::Arc;
use std::time::Duration;

use strata_translate::{Part, SearchOptions, Translator};

use crate::engine::job::Failure;
use crate::engine::load::Load;
use crate::engine::thread::Engine;
use crate::error::{Answer, ApiError};

/// A model's weights with the thread that runs them.
#[derive(Clone)]
pub struct Loaded {
    translator: Arc<Translator>,
    engine: Arc<Engine>,
}

impl Loaded {
    /// A model that was just loaded.
    pub fn new(translator: Arc<Translator>, engine: Engine) -> Self {
        Self { translator, engine: Arc::new(engine) }
    }

    /// Whether nobody but its owner holds it.
    pub fn is_idle(&self) -> bool {
        Arc::strong_count(&self.engine) == 1 && self.engine.load().sentences() == 0
    }

    /// Frees it, and waits until it is gone.
    pub fn close(self) {
        let Self { translator, engine } = self;
        if let Some(engine) = Arc::into_inner(engine) {
            engine.close();
        }
        drop(translator);
    }

    /// How much its thread has to do.
    pub fn load(&self) -> &Arc<Load> {
        self.engine.load()
    }

    /// The model with its subwords.
    pub fn translator(&self) -> &Arc<Translator> {
        &self.translator
    }

    /// Translates parts from a language into another, in order, if that is possible in `time`.
    ///
    /// # Errors
    /// 400 for a part that the model cannot take, 429 if there is no room, 500 if a fault ended the thread.
    pub async fn translate(
        &self,
        parts: Vec<String>,
        [source, target]: [&str; 2],
        search: SearchOptions,
        time: Duration,
    ) -> Answer<Vec<Part>> {
        let task = self.translator.task(Some(source), target, &search.into());
        let task = task.map_err(|e| ApiError::invalid(e.to_string()))?;
        let translator = self.translator.clone();
        let requests = blocking(move || translator.requests(parts, &task)).await?;
        let found = self.engine.translate(requests.sent(), time).await.map_err(|failure| match failure {
            Failure::Broken => {
                ApiError::internal("the model stopped by a fault; it is loaded again at the next request")
            }
            Failure::Full(seconds) => ApiError::busy("too many sentences are waiting; try again later", seconds),
            Failure::Refused(why) => ApiError::invalid(why),
        })?;
        let translator = self.translator.clone();
        blocking(move || requests.read(&translator, found)).await
    }
}

/// Runs work that keeps a core busy for a while, where it does not hold up other requests.
///
/// # Errors
/// 500 if it panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal("this request could not be worked on"))
}
