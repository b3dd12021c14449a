//! What the updates since the last line of the log add up to.

use std::time::Duration;

use strata_ranks::{Ranks, Traffic};
use strata_recipe::{Recipe, Side};
use strata_records::{LoggedTraffic, TrainRecord};

use crate::event::Progress;
use crate::schedule::learning_rate;
use crate::stats::RoutingStats;

/// Sums over the updates since the last progress.
#[derive(Default)]
pub(crate) struct Window {
    pub updates: u64,
    pub loss: f64,
    pub nll: f64,
    pub targets: u64,
    pub tokens: u64,
    pub balance: f64,
    pub gradient_norm: f64,
    pub routing: RoutingStats,
    /// What this rank had exchanged when the window began.
    traffic: Vec<Traffic>,
}

impl Window {
    pub fn begin(ranks: &Ranks) -> Self {
        Self { traffic: ranks.traffic(), ..Self::default() }
    }

    /// What this rank has exchanged since the window began, per update; nothing for a process alone.
    fn traffic(&self, ranks: &Ranks) -> Vec<LoggedTraffic> {
        if !ranks.is_many() {
            return Vec::new();
        }
        let updates = self.updates.max(1) as f64;
        let since = |now: Traffic| {
            let before = self.traffic.iter().find(|before| before.purpose == now.purpose);
            let (bytes, waited) = before.map_or((0, Duration::ZERO), |before| (before.bytes, before.waited));
            LoggedTraffic {
                purpose: now.purpose.to_string(),
                bytes: (now.bytes - bytes) as f64 / updates,
                waited_ms: (now.waited - waited).as_secs_f64() * 1e3 / updates,
            }
        };
        ranks.traffic().into_iter().map(since).collect()
    }

    pub fn progress(&self, recipe: &Recipe, ranks: &Ranks, update: u64, seconds: f64) -> Progress {
        let (updates, targets) = (self.updates.max(1) as f64, self.targets.max(1) as f64);
        let left = recipe.train.updates - update;
        let blocks = self.routing.blocks();
        Progress {
            update,
            updates: recipe.train.updates,
            seconds_left: left as f64 * seconds / updates,
            means: TrainRecord {
                loss: self.loss / targets,
                nll: self.nll / targets,
                tokens_per_second: self.tokens as f64 / seconds.max(1e-9),
                learning_rate: learning_rate(&recipe.train, update),
                gradient_norm: self.gradient_norm / updates,
                balance: (!blocks.is_empty()).then_some(self.balance / updates),
                rc_encoder: self.routing.mean_rc(Side::Encoder),
                rc_decoder: self.routing.mean_rc(Side::Decoder),
                dropped: self.routing.dropped(),
                blocks,
                traffic: self.traffic(ranks),
            },
        }
    }
}
