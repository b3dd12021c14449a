//! The run's logs: one JSON object a line, and TensorBoard event files.

use std::path::Path;

use strata_records::{TrainRecord, TrainState, ValidRecord};
use strata_store::checkpoint::{LOG_FILE, TENSORBOARD_DIR};

use crate::error::Error;
use crate::event_log::EventLog;
use crate::tensorboard::TensorBoard;
use crate::validate::Validation;

/// Both logs of a run.
pub(crate) struct Logs {
    events: EventLog,
    board: TensorBoard,
}

impl Logs {
    /// The logs of a run that starts, or resumes after `update`: later lines of an earlier session are cut off.
    pub fn open(run: &Path, update: u64) -> Result<Self, Error> {
        let (events, board) = (run.join(LOG_FILE), run.join(TENSORBOARD_DIR));
        if update == 0 {
            return Ok(Self { events: EventLog::create(events)?, board: TensorBoard::create(board)? });
        }
        let (events, _) = EventLog::resume(events, update)?;
        Ok(Self { events, board: TensorBoard::resume(board, update)? })
    }

    pub fn progress(&mut self, update: u64, means: &TrainRecord) -> Result<(), Error> {
        self.events.write(update, TrainRecord::EVENT, means)?;
        let mut points: Vec<(String, f64)> = vec![
            ("train/loss".into(), means.loss),
            ("train/nll".into(), means.nll),
            ("train/learning_rate".into(), means.learning_rate),
            ("train/gradient_norm".into(), means.gradient_norm),
            ("train/tokens_per_second".into(), means.tokens_per_second),
        ];
        points.extend(means.balance.map(|balance| ("train/balance_loss".into(), balance)));
        for block in &means.blocks {
            let name = |what: &str| format!("{}_{}/{what}", block.side, block.layer);
            points.push((name("requested_capacity"), block.requested_capacity));
            points.push((name("gate_entropy"), block.entropy));
            points.push((name("dropped_tokens"), block.dropped as f64));
            let shares = block.expert_share.iter().enumerate();
            points.extend(shares.map(|(e, share)| (name(&format!("expert_share/{e}")), *share)));
        }
        for traffic in &means.traffic {
            points.push((format!("traffic/{}_bytes", traffic.purpose), traffic.bytes));
            points.push((format!("traffic/{}_waited_ms", traffic.purpose), traffic.waited_ms));
        }
        self.scalars(update, &points)
    }

    pub fn validation(&mut self, state: &TrainState, validation: &Validation, bleu: Option<f64>) -> Result<(), Error> {
        let update = state.update;
        let by_direction = &validation.nll_by_direction;
        let record = ValidRecord {
            bleu,
            loss: validation.loss,
            nll: validation.nll,
            nll_by_direction: by_direction.iter().map(|(name, nll)| (name.clone(), Some(*nll))).collect(),
            perplexity: validation.nll.exp(),
            tokens: state.tokens,
            seconds: state.seconds,
        };
        self.events.write(update, ValidRecord::EVENT, &record)?;
        let mut points = vec![("valid/loss".to_string(), validation.loss), ("valid/nll".to_string(), validation.nll)];
        points.extend(bleu.map(|bleu| ("valid/bleu".to_string(), bleu)));
        points.extend(by_direction.iter().map(|(name, nll)| (format!("valid_nll/{name}"), *nll)));
        self.scalars(update, &points)
    }

    fn scalars(&mut self, update: u64, points: &[(String, f64)]) -> Result<(), Error> {
        let points: Vec<(&str, f32)> = points.iter().map(|(name, value)| (name.as_str(), *value as f32)).collect();
        Ok(self.board.scalars(update, &points)?)
    }

    /// Waits until the lines are on the disk. A checkpoint saved after that never knows more than the log.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.events.sync()?)
    }
}
