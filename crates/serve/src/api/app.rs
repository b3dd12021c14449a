//! What all handlers share, and what happens around each request: it is counted, timed and told of.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::downloads::Downloads;
use crate::error::{Answer, ApiError, Error};
use crate::hosts::Hosts;
use crate::keys::Client;
use crate::log::{Entry, Told};
use crate::metrics::{During, Metrics};
use crate::models::Models;
use crate::params::Params;
use crate::settings::Settings;
use crate::{deepl, files, libretranslate, page, route};

/// A server's state.
pub struct App {
    /// How it is set up.
    pub settings: Settings,
    /// What it serves.
    pub models: Models,
    /// What it has counted.
    pub metrics: Metrics,
    /// Translated files that wait to be fetched.
    pub downloads: Downloads,
    /// Room for files that are being translated.
    pub files: Arc<Semaphore>,
    /// Speaks TLS, where a certificate is given.
    pub tls: Option<TlsAcceptor>,
}

/// Files that are translated at a time: each may be some 50 MB in memory.
const MOST_FILES: usize = 16;

/// The client's address.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What a handler tells of its request.
type Telling = Arc<Mutex<Told>>;

impl App {
    /// The state of a server with these settings.
    ///
    /// # Errors
    /// A model that is missing or damaged; an origin that is none; a certificate that cannot be used.
    pub fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        if settings.models.is_empty() {
            return Err(Error::Settings("name at least one model".into()));
        }
        let models = Models::open(&settings)?;
        let tls = settings.certificate.as_ref().map(crate::tls::acceptor).transpose()?;
        let files = Arc::new(Semaphore::new(MOST_FILES));
        let app = Self { models, settings, metrics: Metrics::new(), downloads: Downloads::default(), files, tls };
        app.cors()?;
        Ok(Arc::new(app))
    }

    /// Loads every model now, or as many as may be in memory at a time.
    ///
    /// # Errors
    /// The first that cannot be loaded.
    pub async fn preload(&self) -> Result<(), Error> {
        let most = if self.settings.most_loaded == 0 { usize::MAX } else { self.settings.most_loaded };
        for model in self.models.all().iter().take(most) {
            self.models.get(model).await.map_err(|error| Error::Settings(error.message))?;
        }
        Ok(())
    }

    /// All routes, for clients that call the server by one of the names.
    ///
    /// # Errors
    /// An origin that is none.
    pub fn router(self: &Arc<Self>, hosts: Hosts) -> Result<Router, Error> {
        let router = Router::new()
            .route("/translate", post(libretranslate::translate))
            .route("/detect", post(libretranslate::detect))
            .route("/languages", get(libretranslate::languages))
            .route("/frontend/settings", get(libretranslate::frontend_settings))
            .route("/health", get(libretranslate::health))
            .route("/translate_file", post(files::translate_file))
            .route("/download_file/{name}", get(files::download_file))
            .route("/v1/route", post(route::route))
            .route("/v2/translate", post(deepl::translate))
            .route("/v2/languages", get(deepl::languages))
            .route("/v2/usage", get(deepl::usage))
            .route("/metrics", get(metrics))
            .route("/spec", get(page::spec))
            .route("/", get(page::html))
            .route("/page.css", get(page::css))
            .route("/page.js", get(page::script))
            .fallback(async || ApiError::not_found("there is no such path; /spec says what there is"))
            .method_not_allowed_fallback(async || ApiError {
                status: axum::http::StatusCode::METHOD_NOT_ALLOWED,
                ..ApiError::invalid("this path is asked by another method; /spec says which")
            })
            // Bodies have the limits of the settings.
            .layer(DefaultBodyLimit::disable())
            .layer(CatchPanicLayer::custom(|_| {
                ApiError::internal("this request met a fault of the server").into_response()
            }));
        let router = match self.cors()? {
            Some(cors) => router.layer(cors),
            None => router,
        };
        let router = router.layer(from_fn_with_state(Arc::new(hosts), Hosts::check));
        Ok(router.layer(from_fn_with_state(self.clone(), observe)).with_state(self.clone()))
    }

    fn cors(&self) -> Result<Option<CorsLayer>, Error> {
        let origins = &self.settings.origins;
        if origins.is_empty() {
            return Ok(None);
        }
        let allowed = if origins.iter().any(|origin| origin == "*") {
            AllowOrigin::any()
        } else {
            let value = |origin: &String| {
                let fits = origin.contains("://") && !origin.ends_with('/');
                let value = fits.then(|| HeaderValue::from_str(origin).ok()).flatten();
                value.ok_or_else(|| Error::Settings(format!("`{origin}` is no origin such as https://example.org")))
            };
            AllowOrigin::list(origins.iter().map(value).collect::<Result<Vec<_>, _>>()?)
        };
        let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST]);
        Ok(Some(layer.allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION]).max_age(Duration::from_secs(3600))))
    }
}

/// What is sent with every answer.
const SAFETY: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let guard = app.metrics.during(During::Request);
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let method = request.method().to_string();
    let client = request.extensions().get::<Peer>().map_or(String::new(), |peer| peer.0.ip().to_string());
    let telling = Telling::default();
    request.extensions_mut().insert(telling.clone());
    // Where the client goes away this future is dropped, which is told of too.
    let mut gone = Gone { app: app.clone(), entry: Some((method, route, client, telling, start)) };
    let mut response = next.run(request).await;
    for (name, value) in SAFETY {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    gone.tell(response.status().as_u16());
    drop(guard);
    response
}

/// Tells of a request when it is answered, or dropped without an answer: then with status 499, as nginx does.
struct Gone {
    app: Arc<App>,
    entry: Option<(String, String, String, Telling, Instant)>,
}

impl Gone {
    fn tell(&mut self, status: u16) {
        let Some((method, route, client, telling, start)) = self.entry.take() else { return };
        let took = start.elapsed();
        self.app.metrics.answered(&route, status, took);
        let told = telling.lock().map(|told| told.clone()).unwrap_or_default();
        let level = if status >= 500 { "error" } else { "info" };
        (self.app.settings.log)(&Entry {
            method,
            route,
            client,
            status: Some(status),
            milliseconds: Some((took.as_secs_f64() * 1e5).round() / 1e2),
            key: told.key,
            model: told.model,
            direction: told.direction,
            characters: told.characters,
            sentences: told.sentences,
            ..Entry::new(level, "request", "")
        });
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.tell(499);
    }
}

/// A request that was read, of a client that is let in.
pub struct Call {
    /// The server's state.
    pub app: Arc<App>,
    /// What the client says.
    pub params: Params,
    /// Who it is, where keys are asked for.
    pub client: Option<Client>,
    telling: Telling,
}

impl Call {
    /// Adds to what is told of the request.
    pub fn tell(&self, add: impl FnOnce(&mut Told)) {
        if let Ok(mut told) = self.telling.lock() {
            add(&mut told);
        }
    }
}

impl FromRequest<Arc<App>> for Call {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Answer<Self> {
        let telling = request.extensions().get::<Telling>().cloned().unwrap_or_default();
        let most = app.settings.request.body_bytes;
        let params = Params::read(request, most, app.settings.connection.body_time).await?;
        let key = params.key()?;
        let client = app.settings.keys.as_ref().map(|keys| keys.admit(key)).transpose()?;
        let call = Self { app: app.clone(), params, client, telling };
        if let Some(client) = &call.client {
            call.tell(|told| told.key.clone_from(&client.name));
        }
        Ok(call)
    }
}

/// `GET /metrics`
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text(&app.models)).into_response()
}
