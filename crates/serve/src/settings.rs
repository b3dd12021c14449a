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
    /// What it is called in requests, answers and metrics.
    pub name: String,
    /// Model folder, packed folder, checkpoint, or run.
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
    /// Alternatives to a translation.
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

/// How clients and their connections are dealt with.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionLimits {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// How long a client may take for a request's headers; also how long an idle connection is kept.
    pub header_time: Duration,
    /// How long a client may take for a request's body, and to take a piece of the answer.
    pub body_time: Duration,
    /// Headers of a request.
    pub headers: usize,
    /// Bytes of a request's headers.
    pub header_bytes: usize,
    /// How long requests under way may go on once the server is told to stop.
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

/// What a server shows who it is by; both files are PEM.
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
    /// What is served; of several models for one direction the first.
    pub models: Vec<ModelSource>,
    /// How models are run: the device must be `cpu`.
    pub placement: Placement,
    /// Hypotheses kept by beam search.
    pub beam: usize,
    /// Models in memory at a time: the one that was asked for longest ago makes room, unless it is in use; 0 is all.
    pub most_loaded: usize,
    /// How long a model that nobody asks for stays in memory; none is for ever.
    pub unload_after: Option<Duration>,
    /// Called when a model was given up, to give its memory back to the system.
    pub released: Released,
    /// Names by which clients may call the server, besides those of this machine; `*` is every name. Where there are none and
    /// it can be reached from elsewhere, every name is taken.
    pub hosts: Vec<String>,
    /// Sentences that may wait or be under way in a model; beyond them requests are answered 429.
    pub queue: usize,
    /// What one request may ask for.
    pub request: RequestLimits,
    /// How connections are dealt with.
    pub connection: ConnectionLimits,
    /// API keys; none lets everybody in.
    pub keys: Option<Keys>,
    /// Speak TLS with this certificate.
    pub certificate: Option<Certificate>,
    /// Origins whose pages may call the server; `*` is every one.
    pub origins: Vec<String>,
    /// What is told of every request.
    pub log: Logger,
}
