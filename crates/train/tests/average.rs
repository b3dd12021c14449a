//! The averaged model of a run does not depend on when it was interrupted.

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{no_bleu, recipe};
use strata_ranks::Ranks;
use strata_records::{Stopped, Summary};
use strata_train::{Start, train};

fn run(start: Start, stop: bool) -> Summary {
    train(start, &Ranks::single(), &no_bleu, &AtomicBool::new(stop), &mut |_| {}).expect("a session")
}

#[test]
fn an_interrupted_run_averages_the_same_checkpoints() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (whole, again) = (root.join("average-whole"), root.join("average-interrupted"));
    let changes = [
        ("train.updates", "7"),
        // A session that is asked to stop before it begins then makes one update, and not none.
        ("train.accumulate", "1"),
        ("train.checkpoint_every", "2"),
        ("train.validate_every", "3"),
        // Those to average are kept besides.
        ("train.keep_last", "1"),
        ("train.average_last", "3"),
    ];
    let averaged = |folder: &Path| std::fs::read(folder.join("averaged/model.safetensors")).expect("an average");
    run(Start::New { recipe: &recipe(&whole, &changes), overwrite: true }, false);
    let mut ended = run(Start::New { recipe: &recipe(&again, &changes), overwrite: true }, true);
    while ended.stopped == Stopped::Interrupted {
        ended = run(Start::Resume { run: &again, from: None, device: None, set: &[] }, true);
    }
    assert_eq!(ended.update, 7);
    assert!(averaged(&whole) == averaged(&again), "the averaged models differ");
}
