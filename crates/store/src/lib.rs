//! What Strata keeps on disk, durable and checked: model folders, checkpoints and run folders.
//!
//! | module | idea |
//! |---|---|
//! | [`durable`] | a file or folder is either wholly there or not at all, whatever moment the process dies |
//! | [`checksums`] | a `SHA256SUMS` in every folder, which `sha256sum -c` can check too |
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
//! moments.push_f32("m.embedding", &[2, 2], vec![0.0; 4]);
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
//! drop(run); // gives the lock back
//!
//! let run = Run::open(&path)?;
//! let newest = run.latest_good()?.expect("one was saved above");
//! assert_eq!(newest.state()["update"], 500);
//! assert_eq!(newest.model().weights()?.f32("embedding", &[2, 2])?[3], 3.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here depends on a tensor library, so the CPU runtime uses it as well as training does.

pub mod average;
pub mod checkpoint;
pub mod checksums;
pub mod durable;
mod error;
mod guard;
mod mapped;
pub mod model_folder;
mod run;
pub mod tensors;

pub use average::{AveragedWeights, average_last};
pub use checkpoint::{Checkpoint, CheckpointParts, RunFolder, parse_step, resolve_model, step_name};
pub use checksums::Checksums;
pub use durable::{Existing, FileWriter, FolderWriter, clean_leftovers, clean_leftovers_of, write_file};
pub use error::Error;
pub use guard::keep_alive;
pub use mapped::MappedFile;
pub use model_folder::{Check, ModelFolder, ModelParts};
pub use run::Run;
pub use tensors::{
    Dtype, TensorFile, TensorList, TensorSource, TensorSpec, TensorView, first_non_finite, write_aligned_tensors,
    write_tensors,
};
