//! What a run's `log.jsonl` tells: the validations, the speed, the choices that were dropped.

use std::path::Path;

use serde_json::Value;

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

/// Reads `RUN/log.jsonl`; a missing one is empty. A last line that is cut short is left out, as of a run that was killed.
pub(crate) fn read(run: &Path) -> Result<RunLog, Error> {
    let path = run.join("log.jsonl");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(RunLog::default()),
        Err(error) => Err(Error::io("read", &path, error)),
    }
}

fn parse(text: &str) -> RunLog {
    let (mut log, mut speeds) = (RunLog::default(), Vec::new());
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match (line["event"].as_str(), line["update"].as_u64(), line["loss"].as_f64()) {
            (Some("valid"), Some(update), Some(loss)) => {
                log.curve.push(CurvePoint { update, loss, bleu: line["bleu"].as_f64() });
            }
            (Some("train"), ..) => {
                speeds.extend(line["tokens_per_second"].as_f64());
                log.dropped += line["dropped"].as_u64().unwrap_or(0);
            }
            _ => {}
        }
    }
    speeds.sort_by(f64::total_cmp);
    log.tokens_per_second = speeds.get(speeds.len() / 2).copied();
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_and_speeds_are_found_and_a_torn_line_is_not() {
        let log = parse(
            "{\"update\":1,\"event\":\"train\",\"loss\":9.0,\"tokens_per_second\":100.0,\"dropped\":2}\n\
             {\"update\":2,\"event\":\"train\",\"loss\":8.0,\"tokens_per_second\":300.0,\"dropped\":1}\n\
             {\"update\":2,\"event\":\"valid\",\"loss\":7.5,\"bleu\":null}\n\
             {\"update\":3,\"event\":\"train\",\"loss\":7.0,\"tokens_per_second\":200.0}\n\
             {\"update\":4,\"event\":\"valid\",\"loss\":7.0,\"bleu\":1.5}\n{\"update\":5,\"eve",
        );
        let point = |update, loss, bleu| CurvePoint { update, loss, bleu };
        assert_eq!(log.curve, [point(2, 7.5, None), point(4, 7.0, Some(1.5))]);
        assert_eq!((log.tokens_per_second, log.dropped), (Some(200.0), 3));
        assert_eq!(parse(""), RunLog::default());
    }
}
