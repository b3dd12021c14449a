use super::*;
use crate::checkpoint::{Checkpoint, parse_step, resolve_model};
use crate::model_folder::ModelParts;
use crate::tensors::TensorList;
use crate::{Averaging, average_last, checkpoint};
use serde_json::json;

fn save(run: &mut Run, step: u64) -> PathBuf {
    let mut weights = TensorList::new();
    weights.push_f32("w", &[2], vec![step as f32, 1.0]);
    let mut moments = TensorList::new();
    moments.push_f32("first.w", &[2], vec![step as f32 / 10.0, 0.0]);
    let parts = CheckpointParts {
        model: ModelParts {
            config: b"{}",
            tokenizer: b"{}",
            languages: b"[]",
            weights: &weights,
            extra: &[("recipe.toml", b"x = 1")],
        },
        optimizer: &moments,
        state: &json!({"update": step, "loss": 0.1, "seed": u64::MAX}),
    };
    run.save_checkpoint(step, &parts).unwrap()
}

/// No average.
const NONE: Averaging = Averaging { count: 0, every: 1 };

fn every(count: usize, every: u64) -> Averaging {
    Averaging { count, every }
}

fn run_with(dir: &Path, steps: &[u64]) -> Run {
    let mut run = Run::create(dir.join("m"), "x = 1").unwrap();
    for &step in steps {
        save(&mut run, step);
    }
    run
}

fn flip(path: PathBuf) {
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn is_step(checkpoint: &Checkpoint, step: u64) {
    assert_eq!(checkpoint.step(), step);
    assert_eq!(checkpoint.state(), &json!({"update": step, "loss": 0.1, "seed": u64::MAX}));
    assert_eq!(checkpoint.model().weights().unwrap().f32("w", &[2]).unwrap()[0], step as f32);
    assert_eq!(checkpoint.optimizer().unwrap().f32("first.w", &[2]).unwrap()[0], step as f32 / 10.0);
}

#[test]
fn a_run_comes_back_after_closing() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run_with(dir.path(), &[500, 1000, 1_234_567]);
    run.set_best(1000).unwrap();
    let path = run.path().to_path_buf();
    drop(run);
    let run = Run::open(&path).unwrap();
    assert_eq!(run.recipe().unwrap(), "x = 1");
    assert_eq!(run.steps().unwrap(), [500, 1000, 1_234_567]);
    assert_eq!((run.best().unwrap(), run.last().unwrap()), (Some(1000), Some(1_234_567)));
    is_step(&run.latest_good().unwrap().unwrap(), 1_234_567);
    is_step(&run.load(500).unwrap(), 500);
    assert_eq!(fs::read_link(path.join("best")).unwrap(), Path::new("checkpoints/step-001000"));
    assert!(path.join("last/model.safetensors").is_file());
    let error = run.load(7).unwrap_err().to_string();
    assert!(error.ends_with("has no checkpoint step-000007; it has step-000500, step-001000, step-1234567"), "{error}");
}

#[test]
fn only_one_process_may_train_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_with(dir.path(), &[1]);
    for second in [Run::open(run.path()), Run::create(run.path(), "")] {
        let error = second.unwrap_err();
        assert!(matches!(error, Error::Locked { pid: Some(pid), .. } if pid == process::id()), "{error}");
    }
    RunFolder::at(run.path()).unwrap().load(1).unwrap(); // reading is free
    let path = run.path().to_path_buf();
    assert!(Run::is_taken(&path).unwrap());
    drop(run);
    assert!(!Run::is_taken(&path).unwrap() && !Run::is_taken(dir.path().join("none")).unwrap());
    Run::open(path).unwrap();
}

#[test]
fn a_new_run_never_takes_over_another_folder() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_with(dir.path(), &[]);
    let path = run.path().to_path_buf();
    assert!(run.latest_good().unwrap().is_none());
    drop(run);
    let mut run = Run::create(&path, "x = 2").unwrap(); // nothing to lose yet
    assert_eq!(run.recipe().unwrap(), "x = 2");
    save(&mut run, 20);
    drop(run);
    let error = Run::create(&path, "x = 3").unwrap_err().to_string();
    assert!(error.contains("already holds a run with checkpoints up to step-000020; resume it"), "{error}");
    assert_eq!(RunFolder::at(&path).unwrap().recipe().unwrap(), "x = 2");

    fs::create_dir(dir.path().join("photos")).unwrap();
    fs::write(dir.path().join("photos/cat.jpg"), "").unwrap();
    let error = Run::create(dir.path().join("photos"), "").unwrap_err().to_string();
    assert!(error.contains("already holds \"cat.jpg\", but no recipe.toml; choose a new folder"), "{error}");
    fs::write(dir.path().join("photos/recipe.toml"), "mine").unwrap();
    fs::remove_file(dir.path().join("photos/cat.jpg")).unwrap();
    let error = Run::create(dir.path().join("photos"), "").unwrap_err().to_string();
    assert!(error.contains("already holds \"recipe.toml\", but no checkpoints; choose a new folder"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("photos/recipe.toml")).unwrap(), "mine");
    fs::remove_file(dir.path().join("photos/recipe.toml")).unwrap();
    fs::write(dir.path().join("photos/cat.jpg"), "").unwrap();
    let says = |name: &str| Run::open(dir.path().join(name)).unwrap_err().to_string();
    assert!(says("photos").ends_with("is not a run folder (it has no recipe.toml)"));
    assert!(says("none").ends_with("is not a run folder (it does not exist)"));
    assert!(says("photos/cat.jpg").ends_with("is not a run folder (it is a file)"));
}

#[test]
fn a_run_killed_before_its_recipe_was_written_is_no_run_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    let says = || Run::open(&path).unwrap_err().to_string();
    let expected = format!("{} holds no run yet: it has no recipe.toml", path.display());
    fs::create_dir(&path).unwrap();
    assert_eq!(says(), expected);
    fs::write(path.join(LOCK_FILE), "1").unwrap();
    fs::write(path.join(".recipe.toml.tmp-1-0"), "half").unwrap();
    fs::create_dir(path.join("checkpoints")).unwrap();
    assert_eq!(says(), expected);
    drop(Run::create(&path, "x = 1").unwrap());
    let mut run = Run::open(&path).unwrap();
    assert!(run.latest_good().unwrap().is_none(), "a run with a recipe alone begins anew");
    save(&mut run, 20);
    fs::remove_file(path.join("recipe.toml")).unwrap();
    drop(run);
    assert!(says().ends_with("is not a run folder (it has no recipe.toml)"), "checkpoints are not lost sight of");
}

#[test]
fn a_damaged_newest_checkpoint_stops_and_names_the_one_to_go_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_with(dir.path(), &[3000, 3500, 4000]);
    flip(run.checkpoint_path(4000).join("model.safetensors"));
    let at = run.path().join("checkpoints").display().to_string();
    assert_eq!(
        run.latest_good().unwrap_err().to_string(),
        format!(
            "{at}/step-004000/model.safetensors is damaged (checksum differs); resuming would start from step-003500"
        )
    );
    fs::remove_file(run.checkpoint_path(3500).join("optimizer.safetensors")).unwrap();
    fs::remove_file(run.checkpoint_path(4000).join("state.json")).unwrap();
    let error = run.latest_good().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{at}/step-004000/state.json is missing; resuming would start from step-003000"))
    );
    flip(run.checkpoint_path(3000).join("optimizer.safetensors"));
    let error = run.latest_good().unwrap_err().to_string();
    assert!(error.ends_with("no other checkpoint is intact, so training must start anew in another folder"), "{error}");
}

#[test]
fn going_back_sets_newer_checkpoints_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run_with(dir.path(), &[10, 20, 30]);
    run.set_best(30).unwrap();
    flip(run.checkpoint_path(30).join("model.safetensors"));
    assert!(matches!(run.set_aside_after(15).unwrap_err(), Error::NoCheckpoint { .. }));
    assert_eq!(run.set_aside_after(10).unwrap().len(), 2);
    assert_eq!((run.steps().unwrap(), run.last().unwrap(), run.best().unwrap()), (vec![10], Some(10), None));
    is_step(&run.latest_good().unwrap().unwrap(), 10);
    save(&mut run, 20);
    let moved = run.set_aside_after(10).unwrap();
    assert!(moved[0].ends_with("checkpoints/step-000020.set-aside-2"), "{moved:?}");
    assert!(run.path().join("checkpoints/step-000020.set-aside/model.safetensors").exists());
    assert!(run.set_aside_after(10).unwrap().is_empty());
}

#[test]
fn saving_a_step_again_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run_with(dir.path(), &[10]);
    flip(run.checkpoint_path(10).join("model.safetensors"));
    save(&mut run, 10);
    is_step(&run.latest_good().unwrap().unwrap(), 10);
    assert_eq!(fs::read_dir(run.path().join("checkpoints")).unwrap().count(), 1);
}

#[test]
fn pruning_spares_the_best_and_the_newest_intact() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run_with(dir.path(), &[1, 2, 3, 4, 5, 6]);
    run.set_best(2).unwrap();
    assert_eq!(run.prune(3, NONE).unwrap(), [1, 3]);
    assert_eq!(run.steps().unwrap(), [2, 4, 5, 6]);
    let path = run.path().to_path_buf();
    drop(run);

    // Another process, which knows nothing of what was intact:
    let mut run = Run::open(&path).unwrap();
    flip(run.checkpoint_path(6).join("model.safetensors"));
    flip(run.checkpoint_path(5).join("state.json"));
    assert_eq!(run.prune(1, NONE).unwrap(), [] as [u64; 0]);
    save(&mut run, 7);
    assert_eq!(run.prune(0, NONE).unwrap(), [4, 5, 6]);
    assert_eq!(run.steps().unwrap(), [2, 7]);
    assert!(run.set_best(5).is_err());
    is_step(&run.load(run.best().unwrap().unwrap()).unwrap(), 2);
}

#[test]
fn a_model_is_found_by_any_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run_with(dir.path(), &[1, 2, 3]);
    let path = run.path().to_path_buf();
    assert_eq!(resolve_model(&path).unwrap(), run.checkpoint_path(3));
    run.set_best(2).unwrap();
    assert_eq!(resolve_model(&path).unwrap(), run.checkpoint_path(2));
    for folder in [path.join("best"), run.checkpoint_path(1)] {
        assert_eq!(resolve_model(&folder).unwrap(), folder);
        crate::ModelFolder::open(folder).unwrap();
    }
    fs::remove_dir_all(run.checkpoint_path(2)).unwrap();
    let says = |path: &Path| resolve_model(path).unwrap_err().to_string();
    assert!(says(&path).ends_with("is not a model: its `best` names step-000002, which is not there"));
    let empty = Run::create(dir.path().join("new"), "").unwrap();
    assert!(says(empty.path()).contains("the run has no checkpoint yet"));
    assert!(says(dir.path()).contains("it has neither"));
    assert!(says(&dir.path().join("x")).contains("it does not exist"));
    assert!(says(&path.join("recipe.toml")).contains("it is a file"));
    fs::remove_file(path.join("best")).unwrap();
    fs::write(path.join("best"), "3").unwrap();
    let error = says(&path);
    assert!(error.ends_with("best is damaged (it must be a link to a folder of checkpoints/)"), "{error}");
}

#[test]
fn steps_are_named_as_people_type_them() {
    for text in ["step-003500", "step-3500", "3500", "runs/m/checkpoints/step-003500", "a/step-003500/"] {
        assert_eq!(parse_step(text).unwrap(), 3500, "{text}");
    }
    for text in ["", "step-", "step-35x", "-1", "99999999999999999999999", "best"] {
        let error = parse_step(text).unwrap_err().to_string();
        assert_eq!(error, format!("`{text}` names no step; write it as `step-3500` or `3500`"));
    }
    assert_eq!(checkpoint::step_name(42), "step-000042");
}

#[test]
fn the_average_is_a_model_folder_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_with(dir.path(), &[1, 2, 3, 7]);
    let (model, steps) = average_last(&run, every(3, 1), dir.path().join("mean"), Existing::Refuse).unwrap();
    assert_eq!(steps, [2, 3, 7]);
    assert_eq!(*model.weights().unwrap().f32("w", &[2]).unwrap(), [4.0, 1.0]);
    let names: Vec<_> = model.checksums().names().collect();
    assert_eq!(names, ["config.json", "languages.json", "model.safetensors", "recipe.toml", "tokenizer.json"]);
    assert_eq!(average_last(&run, every(99, 1), dir.path().join("all"), Existing::Refuse).unwrap().1.len(), 4);
    assert!(average_last(&run, every(0, 1), dir.path().join("none"), Existing::Refuse).is_err());
    flip(run.checkpoint_path(3).join("model.safetensors"));
    assert!(average_last(&run, every(2, 1), dir.path().join("bad"), Existing::Refuse).unwrap_err().is_damage());
    assert!(!dir.path().join("bad").exists());
}

#[test]
fn an_interruption_changes_neither_the_average_nor_what_is_kept_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run_with(dir.path(), &[]);
    let mut removed = Vec::new();
    // A best validation at 150, interruptions at 210, 250 and 260.
    for step in [100, 150, 200, 210, 250, 260, 300] {
        save(&mut run, step);
        removed.extend(run.prune(2, every(3, 100)).unwrap());
    }
    assert_eq!(removed, [150, 210, 250]);
    assert_eq!(run.steps().unwrap(), [100, 200, 260, 300]);
    let average = |run: &Run, count: usize, name: &str| {
        average_last(run, every(count, 100), dir.path().join(name), Existing::Refuse).unwrap().1
    };
    assert_eq!(average(&run, 3, "three"), [100, 200, 300]);
    assert_eq!(average(&run, 2, "two"), [200, 300]);
    // The last one goes in wherever training ended.
    save(&mut run, 350);
    assert_eq!(average(&run, 3, "last"), [200, 300, 350]);
}

#[test]
fn opening_clears_what_a_killed_process_left() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_with(dir.path(), &[1]);
    let path = run.path().to_path_buf();
    let name = path.file_name().unwrap().to_str().unwrap();
    drop(run);
    fs::create_dir(path.join("checkpoints/.step-000002.tmp-99999999-7")).unwrap();
    fs::write(path.join(".recipe.toml.tmp-99999999-8"), "torn").unwrap();
    fs::rename(path.join("checkpoints/step-000001"), path.join("checkpoints/.step-000001.old-99999999-9")).unwrap();
    fs::create_dir_all(dir.path().join(format!(".{name}.tmp-99999999-6/checkpoints"))).unwrap();
    fs::create_dir(dir.path().join(".other.tmp-99999999-5")).unwrap();
    let run = Run::open(&path).unwrap();
    let names = |of: &Path| {
        let mut names: Vec<_> = fs::read_dir(of).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&path), [".lock", "checkpoints", "last", "recipe.toml"]);
    assert_eq!(names(&path.join("checkpoints")), ["step-000001"]);
    assert_eq!(names(dir.path()), [".other.tmp-99999999-5", name], "only what was left of this run");
    is_step(&run.latest_good().unwrap().unwrap(), 1);
}
