//! How a server is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use strata_translate::Placement;

use crate::keys::Keys;
use crate::log::Logger;

/// A model to serve.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSource {
    /// Its name in requests, answers, logs and metrics.
    pub name: String,
    /// A model folder, packed folder, checkpoint or run folder.
    pub path: PathBuf,
}

/// What one request may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestLimits {
    /// Characters of all texts of a request together.
    pub characters: usize,
    /// Sentences of a request.
    pub sentences: usize,
    /// Texts of a request.
    pub texts: usize,
    /// Alternative translations of a text.
    pub alternatives: usize,
    /// Characters of a file.
    pub file_characters: usize,
    /// Bytes of a body, whatever is in it.
    pub body_bytes: usize,
    /// How long a request may take from its last byte to its answer.
    pub time: Duration,
    /// The same for a file.
    pub file_time: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            characters: 20_000,
            sentences: 500,
            texts: 128,
            alternatives: 10,
            file_characters: 200_000,
            body_bytes: 2 << 20,
            time: Duration::from_secs(60),
            file_time: Duration::from_secs(600),
        }
    }
}

/// What one client, and all of them together, may take.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionLimits {
    /// Connections at a time. For a further one, the connection that has waited longest for a request is closed; while
    /// all have requests, it waits.
    pub connections: usize,
    /// How long a client may take to send a request's headers; idle connections are closed after the same time.
    pub header_time: Duration,
    /// How long a client may take to send a request's body, and to receive a piece of the answer.
    pub body_time: Duration,
    /// Headers of a request.
    pub headers: usize,
    /// Bytes of a request's headers.
    pub header_bytes: usize,
    /// How long pending requests may take after the server was told to stop.
    pub drain_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            headers: 64,
            header_bytes: 16 << 10,
            drain_time: Duration::from_secs(30),
        }
    }
}

/// A server's TLS certificate; both files are PEM.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// The certificate with its chain.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// See [`Settings::released`].
pub type Released = Arc<dyn Fn() + Send + Sync>;

/// A server's settings.
pub struct Settings {
    /// The models. Of several for one direction the first is used, unless a request names another.
    pub models: Vec<ModelSource>,
    /// How models run: the device must be `cpu`.
    pub placement: Placement,
    /// Hypotheses kept by beam search.
    pub beam: usize,
    /// Models in memory at a time; 0 for all. The least recently used one makes room, unless it is in use.
    pub most_loaded: usize,
    /// How long an unused model stays in memory; none = forever.
    pub unload_after: Option<Duration>,
    /// Called after a model was unloaded, to return its memory to the system.
    pub released: Released,
    /// Host names by which clients may call the server, besides those of this machine; `*` for any. If there are none
    /// and the server does not listen on loopback, any name will do.
    pub hosts: Vec<String>,
    /// What is in front of all paths behind a proxy: `/translator`, or nothing.
    pub url_prefix: String,
    /// A file for translations that people suggest; none to take none.
    pub suggestions: Option<PathBuf>,
    /// Sentences that may wait or be in progress in a model; beyond that requests are answered 429.
    pub queue: usize,
    /// What one request may ask for.
    pub request: RequestLimits,
    /// What clients may take.
    pub connection: ConnectionLimits,
    /// API keys; none to admit everybody.
    pub keys: Option<Keys>,
    /// The certificate; none for plain HTTP.
    pub certificate: Option<Certificate>,
    /// Origins whose pages may call the server; `*` for any.
    pub origins: Vec<String>,
    /// Receives log entries.
    pub log: Logger,
}
