//! The run's logs: one JSON object a line, and TensorBoard event files.

use std::path::Path;

use serde_json::json;

use crate::error::Error;
use crate::event::Progress;
use crate::event_log::EventLog;
use crate::tensorboard::TensorBoard;
use crate::validate::Validation;

/// Both logs of a run.
pub(crate) struct Logs {
    events: EventLog,
    board: TensorBoard,
}

impl Logs {
    /// The logs of a run that starts, or goes on after `update`: later lines of an earlier session are cut off.
    pub fn open(run: &Path, update: u64) -> Result<Self, Error> {
        let (events, board) = (run.join("log.jsonl"), run.join("tensorboard"));
        if update == 0 {
            return Ok(Self { events: EventLog::create(events)?, board: TensorBoard::create(board)? });
        }
        let (events, _) = EventLog::resume(events, update)?;
        Ok(Self { events, board: TensorBoard::resume(board, update)? })
    }

    pub fn progress(&mut self, progress: &Progress) -> Result<(), Error> {
        self.events.write(progress.update, "train", progress)?;
        let mut points: Vec<(String, f64)> = vec![
            ("train/loss".into(), progress.loss),
            ("train/nll".into(), progress.nll),
            ("train/learning_rate".into(), progress.learning_rate),
            ("train/gradient_norm".into(), progress.gradient_norm),
            ("train/tokens_per_second".into(), progress.tokens_per_second),
        ];
        points.extend(progress.balance.map(|balance| ("train/balance_loss".into(), balance)));
        for block in &progress.blocks {
            let name = |what: &str| format!("{}_{}/{what}", block.side, block.layer);
            points.push((name("requested_capacity"), block.requested_capacity));
            points.push((name("gate_entropy"), block.entropy));
            points.push((name("dropped_tokens"), block.dropped as f64));
            let shares = block.expert_share.iter().enumerate();
            points.extend(shares.map(|(e, share)| (name(&format!("expert_share/{e}")), *share)));
        }
        self.scalars(progress.update, &points)
    }

    pub fn validation(&mut self, update: u64, validation: &Validation, bleu: Option<f64>) -> Result<(), Error> {
        let fields = json!({
            "loss": validation.loss,
            "nll": validation.nll,
            "perplexity": validation.nll.exp(),
            "nll_by_direction": validation.nll_by_direction,
            "bleu": bleu,
        });
        self.events.write(update, "valid", &fields)?;
        let mut points = vec![("valid/loss".to_string(), validation.loss), ("valid/nll".to_string(), validation.nll)];
        points.extend(bleu.map(|bleu| ("valid/bleu".to_string(), bleu)));
        points.extend(validation.nll_by_direction.iter().map(|(d, nll)| (format!("valid_nll/{d}"), *nll)));
        self.scalars(update, &points)
    }

    fn scalars(&mut self, update: u64, points: &[(String, f64)]) -> Result<(), Error> {
        let points: Vec<(&str, f32)> = points.iter().map(|(name, value)| (name.as_str(), *value as f32)).collect();
        Ok(self.board.scalars(update, &points)?)
    }

    /// Makes sure that the lines are on the disk, before a checkpoint says they are.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.events.sync()?)
    }
}
