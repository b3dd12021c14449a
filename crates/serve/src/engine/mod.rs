//! The models: chosen by direction, loaded when they are asked for, and run by a thread each.
//!
//! `models` chooses one ([`Models::choose`]) and loads it ([`Models::get`]); `served` is one model, in memory or not;
//! `loaded` makes the requests of its thread (`thread`, `worker`, `job`) from sentences, and translations from their
//! results.

mod job;
mod load;
mod loaded;
mod models;
mod served;
mod thread;
mod worker;

pub use loaded::{Loaded, blocking};
pub use models::{Models, name_of};
