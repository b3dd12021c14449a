//! The log: what happened, never the users' text.

use std::sync::{Arc, Mutex};

use serde::Serialize;

/// Takes entries; the command line prints them.
pub type Logger = Arc<dyn Fn(&Entry) + Send + Sync>;

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: f64,
    /// `info`, `warning` or `error`.
    pub level: &'static str,
    /// `request`, `model`, `engine` or `server`.
    pub event: &'static str,
    /// What happened; of requests that failed: why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Of requests: the method.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The route, such as `/translate`; `other` for unknown paths.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// The status answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<f64>,
    /// The client's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// The name of the client's key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// `en-de`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub direction: String,
    /// Characters of the texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<usize>,
    /// Sentences translated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentences: Option<usize>,
}

impl Entry {
    /// An entry with the present time.
    pub fn new(level: &'static str, event: &'static str, message: impl Into<String>) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let time = (since.as_secs_f64() * 1e3).round() / 1e3;
        Self { time, level, event, message: message.into(), ..Self::default() }
    }
}

/// A request's entry while a handler may add to it.
pub type Telling = Arc<Mutex<Told>>;

/// What a handler adds to its request's entry.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// See [`Entry`].
    pub key: String,
    /// See [`Entry`].
    pub model: String,
    /// See [`Entry`].
    pub direction: String,
    /// See [`Entry`].
    pub characters: Option<usize>,
    /// See [`Entry`].
    pub sentences: Option<usize>,
}
