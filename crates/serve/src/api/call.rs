//! A request that was read, from a client that is admitted.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};

use crate::api::app::App;
use crate::api::params::Params;
use crate::error::{Answer, ApiError};
use crate::keys::Client;
use crate::lock::lock;
use crate::log::{Telling, Told};

/// A request to a handler.
pub struct Call {
    /// The server's state.
    pub app: Arc<App>,
    /// What the client says.
    pub params: Params,
    /// Who the client is, where keys are required.
    pub client: Option<Client>,
    telling: Telling,
}

impl Call {
    /// Adds to the request's log entry.
    pub fn tell(&self, add: impl FnOnce(&mut Told)) {
        add(&mut lock(&self.telling));
    }

    /// Counts characters that are admitted: for metrics, the log and the client's key.
    pub fn count(&self, characters: usize) {
        self.app.metrics.took(characters);
        self.tell(|told| told.characters = Some(characters));
        if let (Some(keys), Some(client)) = (&self.app.settings.keys, &self.client) {
            keys.count(client, characters);
        }
    }

    /// The language that a client names: its tag among those of the model that the request names, or of all.
    ///
    /// # Errors
    /// 400 with the tags that there are.
    pub fn language(&self, said: &str) -> Answer<String> {
        let models = &self.app.models;
        let model = self.params.text("model")?.filter(|name| models.all().iter().any(|model| model.name() == *name));
        models.tag(said, model).ok_or_else(|| {
            let known = models.tags_of(model).join(", ");
            // What a client says here may be anything, so it is not repeated unless it looks like a tag.
            let fits = said.len() <= 20 && said.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            let shown = if fits { said } else { "this" };
            ApiError::invalid(format!("{shown} is not supported; languages: {known}"))
        })
    }

    /// The language that a client names as the source; none for `auto`.
    ///
    /// # Errors
    /// As [`Call::language`].
    pub fn source_language(&self, said: &str) -> Answer<Option<String>> {
        if said.eq_ignore_ascii_case("auto") { Ok(None) } else { self.language(said).map(Some) }
    }
}

impl FromRequest<Arc<App>> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Answer<Self> {
        let telling = request.extensions().get::<Telling>().cloned().unwrap_or_default();
        let most = app.settings.request.body_bytes;
        let params = Params::read(request, most, app.settings.connection.body_time).await?;
        let key = params.key()?;
        let client = app.settings.keys.as_ref().map(|keys| keys.client(key)).transpose()?;
        let call = Self { app: app.clone(), params, client, telling };
        if let (Some(keys), Some(client)) = (&app.settings.keys, &call.client) {
            // Before it may be refused: the log names whoever sends too much.
            call.tell(|told| told.key.clone_from(&client.name));
            keys.admit(client)?;
        }
        Ok(call)
    }
}
