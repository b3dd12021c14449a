//! Documents in their formats: what is translated, and what stays around it.
//!
//! 1. [`open`] reads a file by its name, and [`Format::read`] a text, into a [`Document`]: segments to translate, with
//!    their inline markup, and a skeleton that stays as it is. [`Options`] say how, and how much is read.
//! 2. [`Parts`] splits the segments into the sentences that a model translates. From the translations it makes a list
//!    of pieces for each segment; where markup and placeholders go, `placement` decides by attention.
//! 3. [`Document::write`] writes the pieces into the skeleton.
//!
//! HTML, XML, OpenDocument and subtitles are markup with running text (`running`), each with rules of its own; Word
//! documents and slides are paragraphs of runs (`runs`). A new format is one file that implements [`Document`] and one
//! line in `format`.

#![forbid(unsafe_code)]

mod archive;
mod cues;
mod document;
mod encoding;
mod error;
mod events;
mod format;
mod html;
mod json;
mod language;
mod limits;
mod markdown;
mod markup;
mod opendocument;
mod options;
mod packed;
mod pairs;
mod parts;
mod placement;
mod po;
mod proofing;
mod running;
mod runs;
mod tags;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod translation;
mod xliff;
mod xml;

pub use document::{Document, Segment, Spelling};
pub use error::{Error, Result};
pub use format::{FLOWING, Format, HTML, TEXT, XML, download_type, extensions, memory, open};
pub use json::fault as json_fault;
pub use limits::Limits;
pub use markup::{Element, Kind, Piece};
pub use options::Options;
pub use parts::{Parts, Split, worded};
pub use tags::Tags;
pub use translation::chosen;
