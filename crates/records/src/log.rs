//! The lines of a run's `log.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// A line as it is read back. What a person added to the log does not parse as one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LogLine {
    /// Updates made.
    pub update: u64,
    /// Seconds since 1970.
    pub time: f64,
    /// What happened.
    #[serde(flatten)]
    pub record: LogRecord,
}

/// What a line is about; its key `event` says which.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LogRecord {
    /// `train.log_every` more updates.
    Train(TrainRecord),
    /// A validation.
    Valid(ValidRecord),
}

/// Means over the updates since the last line of this kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainRecord {
    /// Label-smoothed loss per target subword, in nats.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// The same without smoothing.
    #[serde(deserialize_with = "number")]
    pub nll: f64,
    /// Source and target subwords per second.
    #[serde(deserialize_with = "number")]
    pub tokens_per_second: f64,
    /// Learning rate of the last update.
    #[serde(deserialize_with = "number")]
    pub learning_rate: f64,
    /// Mean norm of the gradient, before clipping.
    #[serde(deserialize_with = "number")]
    pub gradient_norm: f64,
    /// Balance loss, 1 for perfectly even experts; `None` without experts.
    pub balance: Option<f64>,
    /// Mean requested capacity of the encoder's blocks.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks.
    pub rc_decoder: Option<f64>,
    /// Choices that found their expert full.
    pub dropped: u64,
    /// Each block's routing, encoder blocks first.
    pub blocks: Vec<LoggedBlock>,
    /// What rank 0 exchanged with other ranks, by purpose; empty for a process alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<LoggedTraffic>,
}

/// What a rank exchanged with others for one purpose, per update.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct LoggedTraffic {
    /// `gradients`, `weights`, `experts` (tokens to experts of other ranks and back), `gates` (what the balance loss
    /// needs of other ranks' tokens), `checkpoints`, or `agreement` (figures of the log, validation, and all else).
    pub purpose: String,
    /// Bytes sent to other ranks.
    #[serde(deserialize_with = "number")]
    pub bytes: f64,
    /// Milliseconds spent waiting for other ranks.
    #[serde(deserialize_with = "number")]
    pub waited_ms: f64,
}

/// The routing of one expert block.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct LoggedBlock {
    /// `encoder` or `decoder`.
    pub side: String,
    /// The block's layer, from 0.
    pub layer: usize,
    /// Mean requested capacity: strata visited by a token.
    #[serde(deserialize_with = "number")]
    pub requested_capacity: f64,
    /// Share of all choices that fell on each expert.
    pub expert_share: Vec<f64>,
    /// Mean entropy of the gates' probabilities, in nats.
    #[serde(deserialize_with = "number")]
    pub entropy: f64,
    /// Choices that found their expert full.
    pub dropped: u64,
}

/// A validation, over all directions unless it says otherwise. Losses are per target subword, in nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidRecord {
    /// BLEU over a sample of the validation sentences, where it was due.
    pub bleu: Option<f64>,
    /// Label-smoothed loss: what `best` is judged by.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Loss without smoothing.
    #[serde(deserialize_with = "number")]
    pub nll: f64,
    /// Loss without smoothing of each direction; `None` where it was not finite.
    pub nll_by_direction: BTreeMap<String, Option<f64>>,
    /// `exp(nll)`.
    #[serde(deserialize_with = "number")]
    pub perplexity: f64,
    /// Source and target subwords trained on so far; 0 in logs of earlier programs.
    #[serde(default)]
    pub tokens: u64,
    /// Time spent training so far, in seconds, all sessions together; 0 in logs of earlier programs.
    #[serde(default)]
    pub seconds: f64,
}

impl TrainRecord {
    /// The key `event` of such a line.
    pub const EVENT: &str = "train";
}

impl ValidRecord {
    /// The key `event` of such a line.
    pub const EVENT: &str = "valid";
}

/// JSON has no NaN or infinity: such a number was written as `null`, and reads as NaN.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_what_was_written() {
        let block = LoggedBlock {
            side: "encoder".to_string(),
            layer: 1,
            requested_capacity: 1.5,
            expert_share: vec![0.25, 0.75],
            entropy: 0.5,
            dropped: 2,
        };
        let train = TrainRecord {
            loss: 4.25,
            nll: 4.0,
            tokens_per_second: 100.0,
            learning_rate: 1e-4,
            gradient_norm: 2.0,
            balance: Some(1.0),
            rc_encoder: Some(1.5),
            rc_decoder: None,
            dropped: 2,
            blocks: vec![block],
            traffic: vec![LoggedTraffic { purpose: "gradients".to_string(), bytes: 4096.0, waited_ms: 0.5 }],
        };
        let valid = ValidRecord {
            bleu: None,
            loss: 4.5,
            nll: f64::INFINITY,
            nll_by_direction: BTreeMap::from([("en-de".to_string(), Some(4.0))]),
            perplexity: 1.0,
            tokens: 4000,
            seconds: 2.5,
        };
        let line = |event: &str, mut fields: serde_json::Value| -> LogLine {
            fields["update"] = 7.into();
            fields["event"] = event.into();
            fields["time"] = 1.5.into();
            serde_json::from_value(fields).unwrap()
        };
        let read = line(TrainRecord::EVENT, serde_json::to_value(&train).unwrap());
        assert_eq!(read, LogLine { update: 7, time: 1.5, record: LogRecord::Train(train) });
        let read = line(ValidRecord::EVENT, serde_json::to_value(&valid).unwrap());
        let LogRecord::Valid(read) = read.record else { panic!("{read:?}") };
        assert!(read.nll.is_nan(), "{read:?}");
        assert_eq!(ValidRecord { nll: 4.0, ..read }, ValidRecord { nll: 4.0, ..valid });
        assert!(serde_json::from_str::<LogLine>(r#"{"update":1,"event":"note","time":1.0}"#).is_err());
    }
}
