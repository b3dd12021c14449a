//! Which pages of other origins may call the server.

use std::time::Duration;

use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::Error;

/// Tells browsers that pages of these origins may call; none if there are none.
///
/// # Errors
/// An invalid origin.
pub fn layer(origins: &[String]) -> Result<Option<CorsLayer>, Error> {
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
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST, Method::DELETE]);
    Ok(Some(layer.allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION]).max_age(Duration::from_secs(3600))))
}
