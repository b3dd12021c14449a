//! Reads scoring jobs as one JSON document on standard input and writes the answers as a JSON list on standard output.
//! `bench/check_sacrebleu.sh` compares them with the installed sacreBLEU's; `tests/jobs/mod.rs` defines the document.
//!
//! ```text
//! cargo run --release -p strata-mt-metrics --example score < jobs.json
//! ```

#[path = "../tests/jobs/mod.rs"]
mod jobs;

use std::io::{stdin, stdout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let document: jobs::Document = serde_json::from_reader(stdin().lock())?;
    serde_json::to_writer(stdout().lock(), &document.answers()?)?;
    Ok(())
}
