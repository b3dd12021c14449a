//! A model in memory: from sentences to their translations.

use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_runtime::Request;
use strata_translate::{Part, Shortfall, TranslateOptions, Translator};

use crate::engine::job::{Failure, Translations};
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
    /// 400 for a part that the model cannot take, 429 if there is no room, 500 if a fault ended the thread or the model
    /// has no finite scores for a part.
    pub async fn translate(
        &self,
        parts: Vec<String>,
        [source, target]: [&str; 2],
        options: &TranslateOptions,
        time: Duration,
    ) -> Answer<Vec<Part>> {
        let task = self.translator.task(Some(source), target, options);
        let task = Arc::new(task.map_err(|e| ApiError::invalid(e.to_string()))?);
        let deadline = Instant::now() + time;
        let (translator, of) = (self.translator.clone(), task.clone());
        let mut work = blocking(move || translator.begin(&parts, &of)).await?;
        let mut first = true;
        loop {
            let requests = work.requests();
            if requests.is_empty() {
                let parts = blocking(move || work.finish()).await?;
                return match parts.iter().filter_map(|part| part.shortfall).find(|s| *s == Shortfall::NotFinite) {
                    Some(fault) => Err(ApiError::internal(fault.to_string())),
                    None => Ok(parts),
                };
            }
            let found = self.decode(requests, deadline, first).await?;
            first = false;
            let (translator, of) = (self.translator.clone(), task.clone());
            work = blocking(move || {
                work.take(found, &translator, &of);
                work
            })
            .await?;
        }
    }

    /// Decodes a round of requests. Only the first may be turned away: what was admitted waits for room.
    async fn decode(&self, requests: Vec<Request>, deadline: Instant, first: bool) -> Answer<Translations> {
        loop {
            let time = deadline.saturating_duration_since(Instant::now());
            match self.engine.translate(requests.clone(), time).await {
                Ok(found) => return Ok(found),
                Err(Failure::Full(seconds)) if !first && Duration::from_secs(seconds) < time => {
                    tokio::time::sleep(Duration::from_secs(seconds.max(1))).await;
                }
                Err(Failure::Full(seconds)) => {
                    return Err(ApiError::busy("too many sentences are waiting; try again later", seconds));
                }
                Err(Failure::Broken) => {
                    let what = "the model stopped by a fault; it is loaded again at the next request";
                    return Err(ApiError::internal(what));
                }
                Err(Failure::Refused(why)) => return Err(ApiError::invalid(why)),
            }
        }
    }
}

/// Runs work that keeps a core busy for a while, where it does not hold up other requests.
///
/// # Errors
/// 500 if it panics.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal("this request could not be worked on"))
}
