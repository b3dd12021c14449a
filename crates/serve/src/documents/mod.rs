//! Texts and files in their formats: what is translated, and what stays around it.
//!
//! 1. [`Format`] finds the format of a file by its name and reads it into a [`Document`]: segments to translate, with
//!    their
//!    inline markup, and a skeleton that stays as it is.
//! 2. [`Parts`] splits the segments into the sentences that a model translates. From the translations it makes a list
//!    of
//!    [`Piece`]s for each segment; where markup and placeholders go, `placement` decides by attention.
//! 3. [`Document::write`] writes the pieces into the skeleton.
//!
//! A new format is one file that implements [`Document`] and one line in `format`.

mod archive;
mod document;
mod docx;
mod format;
mod html;
mod markup;
mod parts;
mod placeholders;
mod placement;
mod po;
mod srt;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod translation;
mod wordml;
mod xml_events;

pub use format::{File, Format, HTML, TEXT, download_type, extensions};
pub use parts::{Parts, worded};
pub use translation::chosen;
