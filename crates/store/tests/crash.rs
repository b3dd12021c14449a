//! Kills a real process at random moments while it saves checkpoints, again and again in one run folder, and checks
//! after each kill that everything it reported as saved is there, whole, and the newest.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use strata_simd::random::{SplitMix64, unit};
use strata_store::{
    Averaging, Checkpoint, CheckpointParts, Error, ModelParts, Run, RunFolder, TensorList, resolve_model,
};

const FOLDER: &str = "STRATA_STORE_TEST_FOLDER";
const WEIGHTS: usize = 40_000;

/// Values that only the checkpoint of that step has, in weights, moments and state alike.
fn value(step: u64, i: usize) -> f32 {
    (step * 31 + i as u64 % 1009) as f32
}

fn save(run: &mut Run, step: u64) -> Result<PathBuf, Error> {
    let mut weights = TensorList::new();
    let mut moments = TensorList::new();
    for half in 0..2 {
        let values: Vec<f32> = (0..WEIGHTS / 2).map(|i| value(step, half * WEIGHTS / 2 + i)).collect();
        weights.push_f32(format!("w{half}"), &[WEIGHTS / 2], values.clone());
        moments.push_f32(format!("first.w{half}"), &[WEIGHTS / 2], values);
    }
    let model = ModelParts { config: b"{}", tokenizer: b"{}", languages: b"[]", weights: &weights, extra: &[] };
    run.save_checkpoint(step, &CheckpointParts { model, optimizer: &moments, state: &json!({ "update": step }) })
}

fn check(checkpoint: &Checkpoint) {
    let step = checkpoint.step();
    assert_eq!(checkpoint.state()["update"], step);
    let (weights, moments) = (checkpoint.model().weights().unwrap(), checkpoint.optimizer().unwrap());
    for half in 0..2 {
        let shape = [WEIGHTS / 2];
        let w = weights.f32(&format!("w{half}"), &shape).unwrap();
        let m = moments.f32(&format!("first.w{half}"), &shape).unwrap();
        let wrong = w.iter().zip(&*m).enumerate().find(|&(i, (&w, &m))| {
            let expected = value(step, half * WEIGHTS / 2 + i);
            w != expected || m != expected
        });
        assert_eq!(wrong, None, "step {step} holds another step's values");
    }
}

/// Runs the ignored test `name` of this binary as another process on `folder`.
fn child_command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

#[test]
#[ignore = "the child process of the kill test, not a test"]
fn child_saves_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let mut run = Run::open(folder).unwrap();
    let mut step = run.latest_good().unwrap().map_or(0, |c| c.step());
    loop {
        step += 1;
        save(&mut run, step).unwrap();
        println!("saved {step}");
        match step % 4 {
            0 => run.set_best(step).unwrap(),
            1 => drop(run.prune(2, Averaging { count: 0, every: 1 }).unwrap()),
            // Replacing a checkpoint is the moment when the earlier one could be lost.
            _ => drop(save(&mut run, step).unwrap()),
        }
    }
}

struct Saver {
    child: Child,
    saved: mpsc::Receiver<u64>,
}

impl Saver {
    fn start(folder: &Path) -> Saver {
        let mut child = child_command("child_saves_until_killed")
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, saved) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // libtest prints its own words in front of the first line.
                if let Some((_, step)) = line.split_once("saved ") {
                    let _ = send.send(step.parse().unwrap());
                }
            }
        });
        Saver { child, saved }
    }

    /// Sends SIGKILL after so long; returns the last step that was reported as saved since.
    fn kill_after(mut self, time: Duration) -> Option<u64> {
        thread::sleep(time);
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "died on its own: {status}");
        self.saved.iter().last() // ends when the pipe's reader has drained it
    }
}

#[test]
fn sigkill_at_any_moment_leaves_every_reported_checkpoint_whole() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(); // a real disk, /tmp may be memory
    let folder = dir.path().join("run");
    let mut run = Run::create(&folder, "x = 1\n").unwrap();
    let began = Instant::now();
    save(&mut run, 1).unwrap();
    let one_save = began.elapsed();
    run.set_best(1).unwrap();
    drop(run);
    let hidden = |path: PathBuf| {
        let names = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|n| n.to_str().unwrap().starts_with('.') && n != ".lock").count()
    };
    let mut newest = 1;
    let mut leftovers = 0;
    let mut random = SplitMix64::new(1);
    let mut kills = 0;
    // A kill that hits a save leaves a half-written folder. Slow and busy machines need more kills for as many hits.
    while kills < 40 || (leftovers < 10 && kills < 400) {
        kills += 1;
        let saver = Saver::start(&folder);
        // Every fourth kill may come before the child has saved anything, while it clears up after the last kill.
        let first = if kills % 4 == 0 { None } else { Some(saver.saved.recv().unwrap()) };
        let reported = saver.kill_after(one_save.mul_f32(4.0 * unit(random.next_u64()))).or(first);
        // As a reader sees it, before anything is cleaned:
        check(&RunFolder::at(&folder).unwrap().latest_good().unwrap().unwrap());
        leftovers += hidden(folder.clone()) + hidden(folder.join("checkpoints"));
        let run = Run::open(&folder).unwrap(); // the kernel gave the lock back
        let latest = run.latest_good().unwrap().unwrap();
        check(&latest);
        assert!(latest.step() >= newest.max(reported.unwrap_or(0)), "{} after {newest}, {reported:?}", latest.step());
        newest = latest.step();
        for step in run.steps().unwrap() {
            check(&run.load(step).unwrap());
        }
        check(&run.load(run.best().unwrap().unwrap()).unwrap());
        assert_eq!(resolve_model(&folder).unwrap(), run.checkpoint_path(run.best().unwrap().unwrap()));
        assert_eq!(hidden(folder.clone()) + hidden(folder.join("checkpoints")), 0);
    }
    println!("{kills} kills, {newest} steps, {leftovers} half-written folders cleaned");
    assert!(newest > 30 && leftovers >= 10, "the kills hardly hit a save; the test proves nothing");
}

#[test]
fn a_second_process_is_refused_until_the_first_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("run");
    drop(Run::create(&folder, "").unwrap());
    let saver = Saver::start(&folder);
    saver.saved.recv().unwrap();
    let error = Run::open(&folder).unwrap_err();
    let pid = saver.child.id();
    assert!(
        error
            .to_string()
            .ends_with(&format!("is in use by another process (process {pid}); wait for it or stop it first"))
    );
    saver.kill_after(Duration::ZERO);
    Run::open(&folder).unwrap();
}
