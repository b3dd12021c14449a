//! By which host names the server may be called. A web site can make its own name resolve to 127.0.0.1, and its page
//! then call a server on the reader's machine as if it were the site's (DNS rebinding); but only by the site's name.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// The names that are allowed.
#[derive(Debug)]
pub struct Hosts {
    /// In lower case; `None` allows every name.
    names: Option<Vec<String>>,
}

impl Hosts {
    /// The names of a server. On `loopback` these are the machine's own and `more`. Elsewhere the server cannot know
    /// its names, so all are allowed unless `more` has some.
    pub fn new(loopback: bool, more: &[String]) -> Self {
        let every = more.iter().any(|name| name == "*") || (!loopback && more.is_empty());
        let names = more.iter().map(|name| bare(name).to_ascii_lowercase()).collect();
        Self { names: (!every).then_some(names) }
    }

    /// Whether a `Host` header's value names this server: a configured name, `localhost`, or a loopback address.
    fn takes(&self, said: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let name = bare(said).trim_end_matches('.').to_ascii_lowercase();
        let is_local = name == "localhost" || name.ends_with(".localhost");
        is_local || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) || names.contains(&name)
    }

    /// Turns away requests for other names, before anything else happens to them.
    pub async fn check(State(hosts): State<Arc<Self>>, request: Request, next: Next) -> Response {
        let mut said = request.headers().get_all(header::HOST).iter();
        let (first, second) = (said.next(), said.next());
        if second.is_some() || (first.is_none() && request.version() >= Version::HTTP_11) {
            return ApiError::invalid("a request names one Host").into_response();
        }
        // The request line may hold a host too; both must be allowed.
        let whole = request.uri().authority().map(|authority| authority.as_str());
        let header = first.map(|value| value.to_str().unwrap_or(""));
        if whole.into_iter().chain(header).all(|name| hosts.takes(name)) {
            return next.run(request).await;
        }
        let text = "this server is not called by that name; its operator can allow the name";
        ApiError { status: StatusCode::MISDIRECTED_REQUEST, ..ApiError::forbidden(text) }.into_response()
    }
}

/// A host without its port, and an IPv6 address without its brackets.
fn bare(said: &str) -> &str {
    let said = said.trim();
    if let Some(rest) = said.strip_prefix('[') {
        return rest.split(']').next().unwrap_or("");
    }
    match said.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_names_of_this_machine_and_allowed_ones_are_taken() {
        let hosts = Hosts::new(true, &["Translate.example.org".into(), "[fd00::1]".into()]);
        for name in ["localhost", "LOCALHOST:5000", "a.localhost", "127.0.0.1:80", "127.1.2.3", "[::1]:5000", "[::1]"] {
            assert!(hosts.takes(name), "{name}");
        }
        for name in ["translate.example.org", "translate.example.org:443", "translate.example.org.", "[FD00::1]:1"] {
            assert!(hosts.takes(name), "{name}");
        }
        for name in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "a@localhost", ":5000"]
        {
            assert!(!hosts.takes(name), "{name}");
        }
    }

    #[test]
    fn elsewhere_every_name_is_taken_unless_some_are_named() {
        assert!(Hosts::new(false, &[]).takes("anything"));
        assert!(Hosts::new(true, &["*".into()]).takes("anything"));
        assert!(!Hosts::new(false, &["example.org".into()]).takes("anything"));
    }
}
