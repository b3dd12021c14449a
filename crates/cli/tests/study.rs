//! `strata analyze`, `study`, `prune` and `capacity` through the binary.

mod common;
mod study {
    mod analyze;
    mod imported;
    mod reports;
    mod runs;
    mod smaller_models;
    mod steps;
}

use common::{Folder, folder};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

const STUDY: &str = r#"
recipe = "../tiny.toml"
output = "out"
baseline = "moe-4"
seeds = [1]
sentences = 5
analysis_sentences = 4
[set]
translate.beam = 2
[[runs]]
name = "dense"
variant = "dense"
[[runs]]
name = "broken"
set = { train.learning_rate = 1e30 }
[[runs]]
name = "moe-4"
seeds = [1, 2]
set = { model.kind = "moe", model.strata = [], model.experts = 4 }
[[runs]]
name = "smoe-2-2"
seeds = [1, 2]
"#;

fn study(name: &str) -> Folder {
    let here = folder(name);
    here.write("study.toml", STUDY);
    here
}

fn run<'a>(json: &'a Value, id: &str) -> &'a Value {
    let runs = json["runs"].as_array().unwrap();
    runs.iter().find(|run| run["id"] == id).unwrap_or_else(|| panic!("no {id} in {json}"))
}
