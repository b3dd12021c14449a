//! A translation server: LibreTranslate's API, DeepL's for text, the routing of every token, metrics, and a web page.
//!
//! [`serve`] runs an [`App`] made from [`Settings`] on a listener. Requests are cut into sentences (`document`, `html`, `srt`,
//! `po`) that join one batch with everybody else's in the thread of the model (`engine`). Nothing is printed here: what
//! happens goes to [`Settings::log`], never with the users' text.

mod app;
mod deepl;
mod document;
mod downloads;
pub mod engine;
mod error;
mod files;
mod html;
pub mod keys;
mod libretranslate;
pub mod log;
mod markup;
mod metrics;
mod models;
mod page;
mod params;
mod po;
mod route;
mod server;
mod settings;
mod srt;
mod tls;
mod work;

pub use app::App;
pub use error::{ApiError, Error};
pub use server::serve;
pub use settings::{Certificate, ConnectionLimits, ModelSource, RequestLimits, Settings};
