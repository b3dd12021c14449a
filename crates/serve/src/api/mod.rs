//! HTTP: every path with its handler, and what happens around each request.
//!
//! A request passes `hosts` (is the server called by its own name?) and `observe` (count, time, log), is read into a
//! `Call` (parameters in whatever form, and the client's key), and goes to a handler: `libretranslate`, `deepl`,
//! `route`, `files`, `suggest` or `page`. Handlers that translate share `work`.

mod app;
mod call;
mod cors;
mod deepl;
mod downloads;
mod files;
mod hosts;
mod libretranslate;
mod observe;
mod page;
mod params;
mod prefix;
mod random;
mod route;
mod suggest;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::{ApiError, Error};

pub use app::App;
pub use hosts::Hosts;
pub use observe::Peer;
pub use prefix::without as without_prefix;

/// All routes, for clients that call the server by one of the names.
///
/// # Errors
/// An invalid origin.
pub fn router(app: &Arc<App>, hosts: Hosts) -> Result<Router, Error> {
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
        .route("/v2/languages", get(deepl::languages).post(deepl::languages))
        .route("/v2/usage", get(deepl::usage).post(deepl::usage))
        .route("/v2/document", post(deepl::upload_document))
        .route("/v2/document/{id}", post(deepl::document_status))
        .route("/v2/document/{id}/result", post(deepl::document_result))
        .route("/v2/glossary-language-pairs", get(deepl::glossary_languages))
        .route("/v2/glossaries", get(deepl::list_glossaries).post(deepl::create_glossary))
        .route("/v2/glossaries/{id}", get(deepl::glossary).delete(deepl::delete_glossary))
        .route("/v2/glossaries/{id}/entries", get(deepl::glossary_entries))
        .route("/suggest", post(suggest::suggest))
        .route("/metrics", get(metrics))
        .route("/spec", get(page::spec))
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::script))
        .fallback(async || ApiError::not_found("there is no such path; /spec says what there is"))
        .method_not_allowed_fallback(async || ApiError {
            status: StatusCode::METHOD_NOT_ALLOWED,
            ..ApiError::invalid("this path is asked by another method; /spec says which")
        })
        // `Params::read` limits bodies by the settings.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(|_| {
            ApiError::internal("this request met a fault of the server").into_response()
        }));
    let router = match cors::layer(&app.settings.origins)? {
        Some(cors) => router.layer(cors),
        None => router,
    };
    let router = router.layer(from_fn_with_state(Arc::new(hosts), Hosts::check));
    Ok(router.layer(from_fn_with_state(app.clone(), observe::observe)).with_state(app.clone()))
}

/// `GET /metrics`
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text(&app.models)).into_response()
}

#[cfg(test)]
mod tests;
