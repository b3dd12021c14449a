//! Readers of other programs' model files. All are read-only and stream: a file is mapped, its header checked against
//! its length, and each tensor read when it is asked for, so that memory is no more than the largest tensor. No length
//! in a file is believed, and nothing in a file is run.
//!
//! | module | reads |
//! |---|---|
//! | [`safetensors`] | `.safetensors` in f32, f16, bf16 |
//! | [`pytorch`] | `.bin` and `.pt`, by a pickle interpreter that knows tensors only |
//! | [`sharded`] | several of either, with an index |
//! | [`npz`] | NumPy's `.npz` of Marian |
//! | [`marian`] | Marian's `.bin`, f32 and int8 |
//! | [`yaml`] | the few keys of Marian's configuration |
//! | [`shortlist`] | Marian's binary lexical shortlists |
//! | [`ctranslate2`] | CTranslate2's `model.bin`, with its vocabularies |
//!
//! All weights come through one trait, [`Tensors`].

#![forbid(unsafe_code)]

mod archive;
pub mod ctranslate2;
mod cursor;
mod error;
pub mod marian;
mod npy;
pub mod npz;
mod package;
mod pickle;
pub mod pytorch;
pub mod safetensors;
pub mod sharded;
pub mod shortlist;
mod tensors;
pub mod yaml;

pub use ctranslate2::CTranslate2;
pub use error::Error;
pub use marian::Marian;
pub use npz::Npz;
pub use package::unpack;
pub use pytorch::PyTorch;
pub use safetensors::Safetensors;
pub use sharded::{Sharded, open_weights};
pub use shortlist::Shortlist;
pub use tensors::{Element, Info, Tensors};
