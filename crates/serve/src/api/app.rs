//! What all handlers share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::api::cors;
use crate::api::deepl::{Documents, Glossaries};
use crate::api::downloads::Downloads;
use crate::api::files::MEMORY;
use crate::engine::Models;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// A server's state.
pub struct App {
    /// How it is set up.
    pub settings: Settings,
    /// What it serves.
    pub(crate) models: Arc<Models>,
    /// What it has counted.
    pub(crate) metrics: Metrics,
    /// Translated files that wait to be fetched.
    pub(crate) downloads: Downloads,
    /// Files of DeepL's clients.
    pub(crate) documents: Documents,
    /// Glossaries of DeepL's clients.
    pub(crate) glossaries: Glossaries,
    /// Memory for files that are being translated, in KiB.
    pub(crate) files: Arc<Semaphore>,
    /// Speaks TLS, where a certificate is given.
    pub(crate) tls: Option<TlsAcceptor>,
}

impl App {
    /// The state of a server with these settings.
    ///
    /// # Errors
    /// A model that is missing or damaged, an invalid origin, a certificate that cannot be used.
    pub fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        if settings.models.is_empty() {
            return Err(Error::Settings("name at least one model".into()));
        }
        let models = Arc::new(Models::open(&settings)?);
        let tls = settings.certificate.as_ref().map(crate::tls::acceptor).transpose()?;
        cors::layer(&settings.origins)?;
        let files = Arc::new(Semaphore::new(MEMORY >> 10));
        let (metrics, downloads) = (Metrics::new(), Downloads::default());
        let (documents, glossaries) = (Documents::default(), Glossaries::default());
        Ok(Arc::new(Self { settings, models, metrics, downloads, documents, glossaries, files, tls }))
    }

    /// Loads the models now, as many as may be in memory at a time.
    ///
    /// # Errors
    /// The first model that cannot be loaded.
    pub async fn preload(&self) -> Result<(), Error> {
        let most = if self.settings.most_loaded == 0 { usize::MAX } else { self.settings.most_loaded };
        for model in self.models.all().iter().take(most) {
            self.models.get(model).await.map_err(|error| Error::Settings(error.message))?;
        }
        Ok(())
    }
}
