//! A translation server: LibreTranslate's API, DeepL's, the routing of every token, metrics, and a web page.
//!
//! # A request, from bytes to answer
//! 1. `server` accepts the connection, within limits of number, size and time, and hyper reads the request's head.
//! 2. `api::router` finds the handler; before it, `hosts` checks the server's name and `observe` starts the log entry.
//! 3. `api::call` reads the body into parameters (JSON or a form) and admits the client by its key ([`keys`]).
//! 4. The handler (`api::libretranslate` for `POST /translate`) checks the parameters and hands them to `api::work`.
//! 5. `work` checks the limits, identifies the language, and gets a model from `engine::models`, which may load it.
//! 6. `strata_documents` reads each text (plain or HTML) into segments and splits these into sentences.
//! 7. `engine::loaded` encodes the sentences as subwords and puts them into the queue of the model's thread.
//! 8. The thread (`engine::worker`) decodes them in one batch with everybody else's, and sends back the hypotheses.
//! 9. `strata_documents` puts the translations into their segments, markup around words that attend to what it marked.
//! 10. The handler makes JSON of the result, `observe` counts and logs the request, and hyper sends the answer.
//!
//! Dependencies go one way: `server` uses `api`, `api` uses `engine`, which does not use `api`. [`serve`] runs an
//! [`App`] made from [`Settings`] on a listener. Nothing is printed here: what happens goes to [`Settings::log`], never
//! with the users' text.

#![forbid(unsafe_code)]

mod api;
mod engine;
mod error;
mod idle;
pub mod keys;
mod lock;
pub mod log;
mod metrics;
mod server;
mod settings;
mod tls;

pub use api::App;
pub use error::{ApiError, Error, KeyFault};
pub use server::serve;
pub use settings::{Certificate, ConnectionLimits, ModelSource, RequestLimits, Settings};
