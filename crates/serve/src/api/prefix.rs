//! A server behind a proxy that gives it only the paths below a prefix: `/translator/languages`.

use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// A request with its path below `prefix`, which begins with `/` and does not end in one. A path that is not below it
/// stays as it is, for proxies that take the prefix away by themselves.
///
/// # Errors
/// The answer to a request for the prefix itself, whose page needs a `/` at its end.
pub fn without(mut request: Request<Body>, prefix: &str) -> Result<Request<Body>, Box<Response>> {
    let path = request.uri().path();
    if prefix.is_empty() || !path.starts_with(prefix) {
        return Ok(request);
    }
    let rest = &path[prefix.len()..];
    if rest.is_empty() {
        let location = [(header::LOCATION, format!("{prefix}/"))];
        return Err(Box::new((StatusCode::PERMANENT_REDIRECT, location).into_response()));
    }
    if !rest.starts_with('/') {
        return Ok(request);
    }
    let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
    if let Ok(rest) = format!("{rest}{query}").parse::<PathAndQuery>() {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(rest);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_taken_away_once() {
        let path = |uri: &str| {
            let request = Request::get(uri).body(Body::empty()).unwrap();
            without(request, "/mt").map(|request| request.uri().to_string()).map_err(|answer| answer.status().as_u16())
        };
        assert_eq!(path("/mt/languages?a=b"), Ok("/languages?a=b".into()));
        assert_eq!(path("/mt/"), Ok("/".into()));
        assert_eq!(path("/languages"), Ok("/languages".into()));
        assert_eq!(path("/mtx/a"), Ok("/mtx/a".into()));
        assert_eq!(path("/mt/mt/a"), Ok("/mt/a".into()));
        assert_eq!(path("/mt"), Err(308));
    }
}
