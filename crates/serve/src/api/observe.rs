//! What happens around each request: it is counted, timed and logged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::app::App;
use crate::error::Reason;
use crate::lock::lock;
use crate::log::{Entry, Telling, Told};
use crate::metrics::During;

/// The client's address.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Headers of every answer.
const SAFETY: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Runs a request and logs it, also where the client goes away before the answer.
pub async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let guard = app.metrics.during(During::Request);
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_string();
    let method = request.method().to_string();
    let client = request.extensions().get::<Peer>().map_or(String::new(), |peer| peer.0.ip().to_string());
    let telling = Telling::new(Told { route, client, ..Told::default() }.into());
    request.extensions_mut().insert(telling.clone());
    // If the client goes away, this future is dropped, and `pending` with it, which logs the request then.
    let mut pending = Pending { app: app.clone(), logged: false, method, telling, start };
    let mut response = next.run(request).await;
    for (name, value) in SAFETY {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    let reason = response.extensions().get::<Reason>().map_or("", |reason| &reason.0);
    pending.log(response.status().as_u16(), reason);
    drop(guard);
    response
}

/// A request that is not logged yet. If it is dropped without an answer its status is 499, as nginx has it.
struct Pending {
    app: Arc<App>,
    logged: bool,
    method: String,
    telling: Telling,
    start: Instant,
}

impl Pending {
    fn log(&mut self, status: u16, reason: &str) {
        if std::mem::replace(&mut self.logged, true) {
            return;
        }
        let took = self.start.elapsed();
        let told = lock(&self.telling).clone();
        self.app.metrics.answered(&told.route, status, took);
        let method = std::mem::take(&mut self.method);
        let message = beginning(reason);
        (self.app.settings.log)(&Entry { method, message, ..told.entry("request", status, took) });
    }
}

/// What of a reason is logged: lists of languages can be long.
pub fn beginning(reason: &str) -> String {
    const MOST: usize = 200;
    match reason.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &reason[..end]),
        None => reason.to_string(),
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.log(499, "");
    }
}
