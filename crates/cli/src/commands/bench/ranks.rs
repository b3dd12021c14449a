//! `strata bench ranks`: how fast ranks exchange values.

use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use strata_ranks::bench::{ExchangeSpeed, exchanges};

use crate::Outcome;
use crate::output::{print, print_json};
use crate::ranks::on_all_ranks;
use crate::terminal::Terminal;

/// Measure how fast ranks exchange values, by size; start it as training is started, with mpirun or srun
#[derive(Debug, Args)]
#[command(
    after_help = "Every rank sends as much to each other one, as training does. The smallest exchange is the latency \
                  that each visit to a stratum pays where experts are spread; the largest is a bucket of gradients."
)]
pub struct Arguments {
    /// Timed exchanges of each size
    #[arg(long, default_value_t = 50, value_name = "N")]
    rounds: usize,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    ranks: usize,
    /// How many of them share this host.
    on_this_host: usize,
    exchanges: Vec<Exchange>,
}

/// Exchanges of one size.
#[derive(Debug, Serialize)]
struct Exchange {
    /// Bytes that a rank sends to each other one.
    bytes: usize,
    best_seconds: f64,
    median_seconds: f64,
    /// Bytes a second that a rank sends to all others, at the median.
    bytes_per_second: f64,
}

pub fn run(arguments: &Arguments, terminal: &Terminal) -> anyhow::Result<Outcome> {
    ensure!(arguments.rounds > 0, "--rounds 0: choose at least 1");
    on_all_ranks(terminal, |ranks, _| {
        ensure!(
            ranks.is_many(),
            "one rank alone has nobody to talk to; start it with `mpirun -n 2 strata bench ranks`"
        );
        let exchange = |speed: ExchangeSpeed| Exchange {
            bytes: speed.bytes,
            best_seconds: speed.best,
            median_seconds: speed.median,
            bytes_per_second: (speed.bytes * (ranks.size() - 1)) as f64 / speed.median,
        };
        let report = Report {
            ranks: ranks.size(),
            on_this_host: ranks.on_this_host()?,
            exchanges: exchanges(ranks, arguments.rounds)?.into_iter().map(exchange).collect(),
        };
        match (ranks.is_first(), arguments.json) {
            (false, _) => {}
            (true, true) => print_json(&report)?,
            (true, false) => print(&text(&report))?,
        }
        Ok(Outcome::Done)
    })
}

fn text(report: &Report) -> String {
    let mut text = format!("{} ranks, {} of them on this host\n", report.ranks, report.on_this_host);
    text += "bytes to each rank    best us  median us     MB/s sent by a rank\n";
    for e in &report.exchanges {
        let (best, median) = (e.best_seconds * 1e6, e.median_seconds * 1e6);
        text += &format!("{:>18} {best:>10.1} {median:>10.1} {:>23.0}\n", e.bytes, e.bytes_per_second / 1e6);
    }
    text
}
