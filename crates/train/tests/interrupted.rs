//! Sessions that end before their run does, by a stop or a kill.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{checkpoint, no_bleu, recipe};
use strata_ranks::Ranks;
use strata_records::{Stopped, Summary};
use strata_train::{Event, Start, train};

fn run(start: Start, stop: &AtomicBool, observe: &mut (dyn FnMut(&Event) + Send)) -> Summary {
    train(start, &Ranks::single(), &no_bleu, stop, observe).expect("a session")
}

fn resume(folder: &Path, stop: bool) -> Summary {
    let start = Start::Resume { run: folder, from: None, device: None, set: &[] };
    run(start, &AtomicBool::new(stop), &mut |_| {})
}

fn output(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interrupted-{name}"))
}

/// A process that is killed between writing its best checkpoint and linking it leaves an older one linked, or none.
#[test]
fn resuming_links_the_best_checkpoint_again() {
    let folder = output("best");
    let changes = [("train.updates", "4"), ("train.checkpoint_every", "2"), ("train.validate_every", "2")];
    let start = Start::New { recipe: &recipe(&folder, &changes), overwrite: true };
    let made = run(start, &AtomicBool::new(false), &mut |_| {});
    assert_eq!(made.best_update, Some(4), "it learns");
    let best = folder.join("best");
    for earlier in [Some("checkpoints/step-000002"), None] {
        std::fs::remove_file(&best).unwrap();
        if let Some(earlier) = earlier {
            std::os::unix::fs::symlink(earlier, &best).unwrap();
        }
        resume(&folder, false);
        assert_eq!(std::fs::read_link(&best).unwrap(), Path::new("checkpoints/step-000004"));
    }
}

/// A cluster's next session must not take such a run for one that has ended.
#[test]
fn patience_that_was_renewed_stays_so_where_a_session_makes_no_update() {
    let folder = output("patience");
    let changes = [
        ("train.updates", "50"),
        ("train.accumulate", "2"),
        ("train.validate_every", "1"),
        ("train.patience", "2"),
        ("train.learning_rate", "1e-12"),
        ("train.warmup_init_lr", "0"),
    ];
    let start = Start::New { recipe: &recipe(&folder, &changes), overwrite: true };
    let made = run(start, &AtomicBool::new(false), &mut |_| {});
    assert_eq!(made.stopped, Stopped::EarlyStop);
    assert_eq!(resume(&folder, false).update, made.update, "it is over");
    let set = [("train.updates".to_string(), "60".to_string())];
    let start = Start::Resume { run: &folder, from: None, device: None, set: &set };
    let none = run(start, &AtomicBool::new(true), &mut |_| {});
    assert_eq!((none.stopped, none.update), (Stopped::Interrupted, made.update));
    let more = resume(&folder, false);
    assert_eq!((more.stopped, more.update), (Stopped::EarlyStop, made.update + 2));
}

#[test]
fn a_stop_within_an_update_drops_it_and_saves_the_one_before() {
    let (whole, stopped) = (output("whole"), output("stopped"));
    let changes = [
        ("train.updates", "5"),
        ("train.accumulate", "40"),
        ("train.checkpoint_every", "100"),
        ("train.validate_every", "100"),
    ];
    let new = |folder: &Path| recipe(folder, &changes);
    run(Start::New { recipe: &new(&whole), overwrite: true }, &AtomicBool::new(false), &mut |_| {});
    // Asked before its first update, a session drops that one.
    let ended = run(Start::New { recipe: &new(&stopped), overwrite: true }, &AtomicBool::new(true), &mut |_| {});
    assert_eq!((ended.stopped, ended.update), (Stopped::Interrupted, 0));
    assert_eq!(std::fs::read_dir(stopped.join("checkpoints")).unwrap().count(), 0);
    // Asked at some time after its second, whatever it is doing then: resuming makes the same bits.
    let stop = AtomicBool::new(false);
    let (told, second) = std::sync::mpsc::channel();
    let ended = std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            second.recv().expect("a second update");
            std::thread::sleep(Duration::from_millis(5));
            stop.store(true, Ordering::Relaxed);
        });
        let mut observe = move |event: &Event| match event {
            Event::Progress(progress) if progress.update == 2 => told.send(()).expect("a thread that waits"),
            _ => {}
        };
        run(Start::Resume { run: &stopped, from: None, device: None, set: &[] }, stop, &mut observe)
    });
    assert_eq!(ended.stopped, Stopped::Interrupted);
    let saved = stopped.join(format!("checkpoints/step-{:06}", ended.update));
    assert!((2..5).contains(&ended.update) && saved.is_dir(), "{ended:?}");
    // One that drops its first update has nothing to save.
    assert_eq!(resume(&stopped, true).update, ended.update);
    resume(&stopped, false);
    let (a, b) = (checkpoint(&whole, "step-000005"), checkpoint(&stopped, "step-000005"));
    for (name, bytes) in &a {
        assert!(b[name] == *bytes, "{name} differs from that of a run that was not stopped");
    }
}
