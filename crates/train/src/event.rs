//! What training reports while it runs.

use std::path::PathBuf;

use strata_records::TrainRecord;

/// Something that happened during training.
#[derive(Clone, Debug)]
pub enum Event {
    /// Training starts or resumes.
    Started {
        /// The run's folder.
        run: PathBuf,
        /// The model's name, such as `SMoE-4-4`.
        model: String,
        /// Weights of the model.
        parameters: u64,
        /// Forward FLOPs per token under uniform routing.
        flops_per_token: u64,
        /// Updates already made.
        update: u64,
        /// Updates in all.
        updates: u64,
        /// Pairs that are learned from.
        pairs: u64,
        /// Pairs that are left out: a side is empty, or longer than `data.max_length`.
        left_out: u64,
        /// Subwords of the longest side that is learned from, tag and end mark included.
        max_length: usize,
    },
    /// `train.log_every` more updates.
    Progress(Progress),
    /// A validation.
    Validated {
        /// Updates made.
        update: u64,
        /// Label-smoothed loss per target subword, nats.
        loss: f64,
        /// The same without smoothing.
        nll: f64,
        /// BLEU over a sample of the validation sentences, where it was due.
        bleu: Option<f64>,
        /// Whether this is the best loss so far.
        best: bool,
    },
    /// A checkpoint is on the disk.
    Saved {
        /// Updates made.
        update: u64,
        /// The checkpoint's folder.
        path: PathBuf,
    },
}

/// `train.log_every` more updates are made.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Updates made.
    pub update: u64,
    /// Updates in all.
    pub updates: u64,
    /// Time to the end at this speed, in seconds.
    pub seconds_left: f64,
    /// Means over the updates since the last progress.
    pub means: TrainRecord,
}
