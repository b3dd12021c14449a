//! A translation server: LibreTranslate's API, DeepL's for text, the routing of every token, metrics, and a web page.
//!
//! [`serve`] runs an [`App`] made from [`Settings`] on a listener. Requests are cut into sentences (`document`, `html`, `srt`,
//! `po`) that join one batch with everybody else's in the thread of the model (`engine`). Nothing is printed here: what
//! happens goes to [`Settings::log`], never with the users' text.

mod app;
mod archive;
mod deepl;
mod document;
mod docx;
mod downloads;
mod engine;
mod error;
mod files;
mod hosts;
mod html;
mod html_events;
pub mod keys;
mod libretranslate;
mod load;
pub mod log;
mod markup;
mod metrics;
mod models;
mod page;
mod params;
mod placeholders;
mod po;
mod route;
mod server;
mod settings;
mod srt;
mod tls;
mod wordml;
mod work;
mod worker;
mod xml_events;

pub use app::App;
pub use error::{ApiError, Error};
pub use server::serve;
pub use settings::{Certificate, ConnectionLimits, ModelSource, RequestLimits, Settings};
