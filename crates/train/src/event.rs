//! What training tells whoever watches it.

use std::path::PathBuf;

use serde::Serialize;

use crate::stats::BlockRouting;

/// Something that happened during training.
#[derive(Clone, Debug)]
pub enum Event {
    /// Training starts or goes on.
    Started {
        /// The run's folder.
        run: PathBuf,
        /// What people call the model.
        model: String,
        /// Weights of the model.
        parameters: u64,
        /// Forward FLOPs per token under uniform routing.
        flops_per_token: u64,
        /// Updates already made.
        update: u64,
        /// Updates in all.
        updates: u64,
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
        /// BLEU over a sample of the validation sentences, where asked for.
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

/// Means over the updates since the last progress.
#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// Updates made.
    #[serde(skip)]
    pub update: u64,
    /// Updates in all.
    #[serde(skip)]
    pub updates: u64,
    /// Label-smoothed loss per target subword, nats.
    pub loss: f64,
    /// The same without smoothing.
    pub nll: f64,
    /// Source and target subwords per second.
    pub tokens_per_second: f64,
    /// Time to the end at this speed.
    #[serde(skip)]
    pub seconds_left: f64,
    /// Learning rate of the last update.
    pub learning_rate: f64,
    /// Mean norm of the gradient, before clipping.
    pub gradient_norm: f64,
    /// Balance loss, 1 for perfectly even experts; none without experts.
    pub balance: Option<f64>,
    /// Mean requested capacity of the encoder's blocks.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks.
    pub rc_decoder: Option<f64>,
    /// Choices that found their expert full.
    pub dropped: u64,
    /// Each block's routing.
    pub blocks: Vec<BlockRouting>,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All updates are made.
    Finished,
    /// The stop flag was set.
    Interrupted,
    /// `train.patience` validations brought nothing better.
    EarlyStop,
}

/// How a run of training went.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The run's folder.
    pub run: PathBuf,
    /// Updates made.
    pub update: u64,
    /// Updates in all.
    pub updates: u64,
    /// Why it ended.
    pub stopped: Stopped,
    /// Best validation loss.
    pub best_loss: Option<f64>,
    /// The update it belongs to.
    pub best_update: Option<u64>,
    /// Time spent training, all sessions together.
    pub seconds: f64,
    /// Source and target subwords per second of this session's updates.
    pub tokens_per_second: f64,
    /// The folder of averaged weights, where asked for.
    pub averaged: Option<PathBuf>,
}
