//! What a study takes from a run's `log.jsonl`: validations, speed and dropped choices.

use std::path::Path;

use strata_records::{LogLine, LogRecord, ValidRecord};
use strata_store::checkpoint::LOG_FILE;

use super::results::CurvePoint;
use crate::error::Error;

/// The figures of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunLog {
    pub curve: Vec<CurvePoint>,
    /// Median over the lines.
    pub tokens_per_second: Option<f64>,
    pub dropped: u64,
}

/// Reads a run's log; a missing one is empty. A line that is not a record is left out: a note, or the torn last line of
/// a run that was killed.
pub(crate) fn read(run: &Path) -> Result<RunLog, Error> {
    let path = run.join(LOG_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(RunLog::default()),
        Err(error) => Err(strata_files::Error::io("read", &path, error).into()),
    }
}

fn parse(text: &str) -> RunLog {
    let (mut log, mut speeds) = (RunLog::default(), Vec::new());
    for LogLine { update, record, .. } in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match record {
            // A loss that is not finite ends the run; a curve cannot show it.
            LogRecord::Valid(valid) if valid.loss.is_finite() => {
                let ValidRecord { loss, bleu, tokens, seconds, .. } = valid;
                log.curve.push(CurvePoint { update, loss, bleu, tokens, seconds });
            }
            LogRecord::Valid(_) => {}
            LogRecord::Train(train) => {
                speeds.push(train.tokens_per_second);
                log.dropped += train.dropped;
            }
        }
    }
    speeds.sort_by(f64::total_cmp);
    log.tokens_per_second = speeds.get(speeds.len() / 2).copied();
    log
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use strata_records::TrainRecord;

    use super::*;

    fn train(update: u64, tokens_per_second: f64, dropped: u64) -> Value {
        let (rc_encoder, rc_decoder, balance) = (None, None, None);
        let record = TrainRecord {
            loss: 9.0,
            nll: 8.0,
            tokens_per_second,
            learning_rate: 0.001,
            gradient_norm: 1.0,
            balance,
            rc_encoder,
            rc_decoder,
            dropped,
            blocks: Vec::new(),
            traffic: Vec::new(),
        };
        line(update, TrainRecord::EVENT, serde_json::to_value(record).unwrap())
    }

    fn valid(update: u64, loss: f64, bleu: Option<f64>) -> Value {
        let record = ValidRecord {
            bleu,
            loss,
            nll: loss,
            nll_by_direction: BTreeMap::new(),
            perplexity: loss.exp(),
            tokens: 1000 * update,
            seconds: 0.5 * update as f64,
        };
        line(update, ValidRecord::EVENT, serde_json::to_value(record).unwrap())
    }

    fn line(update: u64, event: &str, mut record: Value) -> Value {
        record["update"] = json!(update);
        record["event"] = json!(event);
        record["time"] = json!(1.5e9);
        record
    }

    #[test]
    fn curves_and_speeds_are_found_and_a_torn_line_is_not() {
        let lines = [
            train(1, 100.0, 2),
            train(2, 300.0, 1),
            valid(2, 7.5, None),
            train(3, 200.0, 0),
            valid(4, 7.0, Some(1.5)),
            valid(5, f64::NAN, None),
        ];
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let log = parse(&(text + "a note\n{\"update\":5,\"eve"));
        let point =
            |update, loss, bleu| CurvePoint { update, loss, bleu, tokens: 1000 * update, seconds: 0.5 * update as f64 };
        assert_eq!(log.curve, [point(2, 7.5, None), point(4, 7.0, Some(1.5))]);
        assert_eq!((log.tokens_per_second, log.dropped), (Some(200.0), 3));
        assert_eq!(parse(""), RunLog::default());
    }
}
