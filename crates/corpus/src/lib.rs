//! From raw bitext to batches of subword ids: reading, cleaning, subword models, token shards, sampling, batching.
//!
//! [`prepare::prepare`] turns a folder of `train.SRC-TGT.SRC` / `train.SRC-TGT.TGT` files into a prepared folder;
//! [`TrainStream`] and [`HeldOut`] read its batches; [`Subwords`] is the text-to-ids model that training, translation
//! and evaluation share.

#![forbid(unsafe_code)]

mod alphabet;
mod batches;
pub mod bitext;
mod charsmap;
pub mod codes;
mod compressor;
mod decoded;
pub mod dedup;
mod discover;
pub mod error;
pub mod filter;
mod foreign;
pub mod frame;
pub mod frequency;
mod gunzip;
mod held_out;
mod lanes;
pub mod language;
pub mod languages;
pub mod leak;
mod mapped;
pub mod normalize;
mod pieces;
pub mod prepare;
pub mod report;
pub mod sample;
pub mod sampling;
mod sentencepiece;
pub mod shards;
mod short;
mod specials;
mod stream;
pub mod subword;
pub mod synthetic;
pub mod text;
mod tokenizer_json;
pub mod trainer;
mod viterbi;

pub use batches::{Batch, ExampleId, Ragged};
pub use error::{Error, Remedy, Result};
pub use held_out::HeldOut;
pub use stream::{StreamOptions, StreamPosition, TrainStream};
pub use subword::{ImportedVocabulary, Subwords};
