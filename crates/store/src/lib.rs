//! What Strata keeps on disk: model folders, checkpoints and run folders, written with `strata-files` and so whole or
//! not there at all.
//!
//! | module | idea |
//! |---|---|
//! | [`tensors`] | safetensors files: memory-mapped reading, streamed writing |
//! | [`model_folder`] | config, weights, subword model and languages together |
//! | [`checkpoint`] | a run folder with its checkpoints, `best`, `last` and lock |
//! | [`average`] | the mean of several checkpoints' weights |
//!
//! Saving and finding a checkpoint again:
//!
//! ```
//! use strata_store::{CheckpointParts, ModelParts, Run, TensorList};
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("m");
//! let mut run = Run::create(&path, "model.d = 2\n")?;
//! let mut weights = TensorList::new();
//! weights.push_f32("embedding", &[2, 2], vec![0.0, 1.0, 2.0, 3.0]);
//! let mut moments = TensorList::new();
//! moments.push_f32("first.embedding", &[2, 2], vec![0.0; 4]);
//! run.save_checkpoint(
//!     500,
//!     &CheckpointParts {
//!         model: ModelParts {
//!             config: b"{}",
//!             tokenizer: b"{}",
//!             languages: b"[\"de\", \"en\"]",
//!             weights: &weights,
//!             extra: &[],
//!         },
//!         optimizer: &moments,
//!         state: &serde_json::json!({"update": 500}),
//!     },
//! )?;
//! run.set_best(500)?;
//! drop(run); // releases the lock
//!
//! let run = Run::open(&path)?;
//! let newest = run.latest_good()?.expect("one was saved above");
//! assert_eq!(newest.state()["update"], 500);
//! assert_eq!(newest.model().weights()?.f32("embedding", &[2, 2])?[3], 3.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here depends on a tensor library, so the CPU runtime uses it as well as training does.

#![forbid(unsafe_code)]

pub mod average;
pub mod checkpoint;
mod error;
mod finite;
pub mod model_folder;
mod run;
pub mod shortlist;
pub mod tensors;

pub use average::{AveragedWeights, Averaging, average_last};
pub use checkpoint::{Checkpoint, CheckpointParts, RunFolder, parse_step, resolve_model, step_name};
pub use error::Error;
pub use model_folder::{Check, ModelFolder, ModelParts};
pub use run::Run;
pub use shortlist::{SHORTLIST_FILE, Shortlist};
/// The types of `strata-files` in this crate's signatures, so that its callers need not name both crates.
pub use strata_files::{Checksums, Existing, FileWriter, FolderWriter, MappedFile};
pub use tensors::{
    Dtype, TensorFile, TensorList, TensorSource, TensorSpec, TensorView, write_aligned_tensors, write_tensors,
};
