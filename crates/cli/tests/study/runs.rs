//! A study of several runs: it trains each once, goes on after a stop, and mixes nothing.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::Ran;
use crate::{STUDY, number, run, study};

#[test]
fn a_study_trains_measures_compares_and_makes_nothing_twice() {
    let here = study("study");
    let planned = here.strata("study study.toml --dry-run").succeeds();
    assert_eq!(planned.out.lines().count(), 7, "{planned}");
    assert!(planned.out.contains("smoe-2-2.seed2") && !here.path("out").exists());
    let first = here.records(here.strata("study study.toml"));
    assert_eq!(first.code, Some(1), "a run failed: {first}");
    for words in
        ["broken.seed1", "not finite", "differs in more than the model: train.learning_rate", "from en", "p = "]
    {
        assert!(first.out.contains(words), "no `{words}` in {first}");
    }
    let json: Value = serde_json::from_str(&here.read("out/study.json")).unwrap();
    let order: Vec<&str> = json["runs"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(
        order,
        ["dense.seed1", "broken.seed1", "moe-4.seed1", "smoe-2-2.seed1", "moe-4.seed2", "smoe-2-2.seed2"]
    );
    let broken = run(&json, "broken.seed1");
    assert_eq!(broken["status"], "failed");
    assert!(broken["reason"].as_str().unwrap().contains("not finite"), "{broken}");
    for id in order.iter().filter(|id| **id != "broken.seed1") {
        let found = run(&json, id);
        assert_eq!((&found["status"], &found["updates"]), (&"done".into(), &6.into()), "{id}");
        assert_eq!(found["directions"].as_array().unwrap().len(), 4);
        assert_eq!(found["curve"].as_array().unwrap().len(), 2);
        assert_eq!(found["examples"].as_array().unwrap().len(), 4);
        let scored = here.strata(&format!("evaluate out/runs/{id} ../prepared --max-sentences 5 --beam 2 --json"));
        let scored = scored.succeeds().json();
        for (ours, theirs) in
            found["directions"].as_array().unwrap().iter().zip(scored["directions"].as_array().unwrap())
        {
            assert_eq!((&ours["bleu"], &ours["chrf2"]), (&theirs["bleu"], &theirs["chrf2"]), "{id}");
        }
    }
    assert!(run(&json, "dense.seed1")["rc_encoder"].is_null());
    assert_eq!(run(&json, "moe-4.seed1")["rc_encoder"], 1.0);
    assert!(number(&run(&json, "smoe-2-2.seed1")["rc_encoder"]) >= 1.0);
    let is_bleu = |c: &&Value| c["name"] == "smoe-2-2" && c["of"] == "all" && c["metric"] == "BLEU";
    let smoe = json["comparisons"].as_array().unwrap().iter().find(is_bleu).expect("a comparison");
    assert_eq!(smoe["seeds"], Value::from([1, 2]));
    let mean = |id: &str| {
        let averages = run(&json, id)["averages"].as_array().unwrap();
        number(&averages.iter().find(|a| a["name"] == "all").unwrap()["bleu"])
    };
    let difference =
        (mean("smoe-2-2.seed1") + mean("smoe-2-2.seed2") - mean("moe-4.seed1") - mean("moe-4.seed2")) / 2.0;
    assert!((number(&smoe["difference"]) - difference).abs() < 1e-9);
    let csv = here.read("out/study.csv");
    assert!(csv.lines().any(|line| line.starts_with("smoe-2-2.seed2,smoe-2-2,2,done,SMoE-2-2,")), "{csv}");
    assert!(csv.lines().any(|line| line.starts_with("broken.seed1,broken,1,failed,")), "{csv}");

    // Called again: the failed run is tried again, nothing else is touched.
    let before = std::fs::metadata(here.path("out/results/dense.seed1.json")).unwrap().modified().unwrap();
    std::fs::remove_dir_all(here.path("out/runs/dense.seed1")).unwrap();
    let again = here.strata("study study.toml");
    assert_eq!((again.code, again.out.as_str()), (Some(1), first.out.as_str()), "{again}");
    assert_eq!(again.err.matches("run           ").count(), 1, "{again}");
    assert!(!here.path("out/runs/dense.seed1").exists(), "its figures were there, so it was not trained again");
    assert_eq!(std::fs::metadata(here.path("out/results/dense.seed1.json")).unwrap().modified().unwrap(), before);
    let table = here.strata("study study.toml --table");
    assert_eq!(table.out, first.out);
}

#[test]
fn two_at_a_time_find_the_same_as_one_after_another() {
    let (one, two) = (study("study-one"), study("study-two"));
    let only = "--only dense,moe-4,smoe-2-2 --json";
    let one = one.strata(&format!("study study.toml {only} --threads 1")).succeeds().json();
    two.write(
        "study.toml",
        STUDY.replace("seeds = [1]\nsentences", "devices = [\"cpu\", \"cpu\"]\nseeds = [1]\nsentences"),
    );
    let ran = two.strata(&format!("study study.toml {only}")).succeeds();
    for words in ["moe-4.seed2 on cpu", "smoe-2-2.seed1: trained ", "dense.seed1: BLEU"] {
        assert!(ran.err.contains(words), "no `{words}` in {ran}");
    }
    let both = ran.json();
    assert_eq!(both["comparisons"], one["comparisons"]);
    assert!(!both["comparisons"].as_array().unwrap().is_empty());
    for id in ["dense.seed1", "moe-4.seed1", "smoe-2-2.seed1", "moe-4.seed2", "smoe-2-2.seed2"] {
        for key in ["status", "updates", "best_loss", "directions", "examples", "rc_decoder"] {
            assert_eq!(run(&both, id)[key], run(&one, id)[key], "{id}: {key}");
        }
    }
    // A device that there is not: each run says so, none is lost.
    std::fs::remove_dir_all(two.path("out")).unwrap();
    let refused = two.strata("study study.toml --only moe-4.seed1,broken --devices tpu,cpu --set train.updates=3");
    assert!(refused.code == Some(1) && refused.out.contains("tpu"), "{refused}");
}

#[test]
fn processes_share_the_runs_and_the_first_rank_has_the_last_word() {
    let here = study("study-shared");
    let alone = study("study-shared-alone").strata("study study.toml --json");
    // As mpirun starts them, and one more that somebody starts by hand.
    let start = |rank: Option<&str>| {
        let mut command = here.command("study study.toml --json --threads 1");
        if let Some(rank) = rank {
            command.env("OMPI_COMM_WORLD_SIZE", "2").env("OMPI_COMM_WORLD_RANK", rank);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [Some("0"), Some("1"), None].map(start);
    let [first, second, third] = children.map(|child| Ran::new("shared", child.wait_with_output().unwrap()));
    assert_eq!((second.code, second.out.as_str()), (Some(0), ""), "{second}");
    assert_eq!((first.code, alone.code), (Some(1), Some(1)), "a run failed: {first}");
    let begun = [&first, &second, &third].map(|ran| ran.err.matches("run           ").count());
    assert_eq!(begun.iter().sum::<usize>(), 6, "each run once: {begun:?} {first} {second} {third}");
    let (together, alone) = (first.json(), alone.json());
    assert_eq!(together["comparisons"], alone["comparisons"]);
    for id in ["dense.seed1", "broken.seed1", "moe-4.seed1", "smoe-2-2.seed1", "moe-4.seed2", "smoe-2-2.seed2"] {
        for key in ["status", "updates", "best_loss", "directions"] {
            assert_eq!(run(&together, id)[key], run(&alone, id)[key], "{id}: {key}");
        }
    }
    let report: Value = serde_json::from_str(&here.read("out/study.json")).unwrap();
    assert_eq!(report["runs"], together["runs"], "the report holds the runs of all processes");
}

#[test]
fn shared_weights_and_data_are_the_same_in_all_runs() {
    let here = study("study-equal");
    let only = "--only moe-4.seed1,smoe-2-2.seed1";
    here.strata(&format!("study study.toml {only} --set train.learning_rate=1e-12 --set train.warmup_init_lr=0"))
        .succeeds();
    // With steps too small to be seen, weights are the initial ones.
    let bytes = |id: &str| here.path(&format!("out/runs/{id}/last/model.safetensors"));
    let read = |id: &str| strata_store::TensorFile::open(bytes(id)).unwrap();
    let (moe, smoe) = (read("moe-4.seed1"), read("smoe-2-2.seed1"));
    let mut shared = 0;
    for name in moe.names() {
        let (a, Ok(b)) = (moe.view(name).unwrap(), smoe.view(name)) else { continue };
        let (a, b) = (moe.f32(name, a.shape).unwrap(), smoe.f32(name, b.shape).unwrap());
        assert!(a.iter().zip(b.iter()).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        shared += 1;
    }
    assert!(shared > 50, "{shared}");
    let log = |id: &str| here.read(&format!("out/runs/{id}/last/state.json"));
    let state = |id: &str| serde_json::from_str::<Value>(&log(id)).unwrap();
    for key in ["position", "target_tokens", "update"] {
        assert_eq!(state("moe-4.seed1")[key], state("smoe-2-2.seed1")[key]);
    }
}

#[test]
fn a_stopped_or_killed_study_goes_on() {
    let here = study("study-stop");
    let long = "study study.toml --only smoe-2-2.seed1 --set train.updates=1200";
    let checkpoints = here.path("out/runs/smoe-2-2.seed1/checkpoints");
    // True if it comes to be while the study runs, within a minute.
    let wait = |study: &mut Child, done: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !done() && started.elapsed() < Duration::from_secs(60) && study.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        done()
    };
    let unseen = |what: &str, mut study: Child| -> ! {
        let _ = study.kill();
        panic!("no {what}: {}", Ran::new("the study", study.wait_with_output().unwrap()))
    };
    let begin = || {
        let mut command = here.command(long);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let log = here.path("out/runs/smoe-2-2.seed1/log.jsonl");
    let size = || std::fs::metadata(&log).map_or(0, |file| file.len());
    let steps = || std::fs::read_dir(&checkpoints).map_or(0, |steps| steps.count());
    // A polite stop: the training saves, and the study says how to go on.
    let mut child = begin();
    if !wait(&mut child, &|| steps() > 0) {
        unseen("checkpoint", child);
    }
    let signal = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let ran = Ran::new("stopped", child.wait_with_output().unwrap());
    assert!(ran.code == Some(143) && ran.err.contains("stopped at update") && ran.err.contains("go on with"), "{ran}");
    // Somebody stops the training itself, and at once: no fault of the run.
    if cfg!(target_os = "linux") {
        let mut child = begin();
        let before = size();
        if !wait(&mut child, &|| size() > before) {
            unseen("training before it is stopped twice", child);
        }
        let stop = "for again in 1 2 3 4; do kill -TERM $(cat /proc/$0/task/*/children); done 2>&-; true";
        let stop = std::process::Command::new("sh").args(["-c", stop, &child.id().to_string()]).status();
        assert!(stop.unwrap().success());
        let ran = Ran::new("stopped twice", child.wait_with_output().unwrap());
        assert!(ran.code == Some(1) && !ran.err.contains("failed") && ran.err.contains("stopped at update"), "{ran}");
    }
    // A kill: the training notices that its study is gone, saves, and gives its run back.
    let mut child = begin();
    let before = size();
    if !wait(&mut child, &|| size() > before) {
        unseen("training before its study is killed", child);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let started = Instant::now();
    while !std::fs::File::open(here.path("out/runs/smoe-2-2.seed1/.lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
        assert!(started.elapsed() < Duration::from_secs(60), "the training of a killed study did not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let update = |json: &Value| run(json, "smoe-2-2.seed1")["updates"].as_u64().unwrap();
    let so_far = here.strata("study study.toml --table --json --set train.updates=1200").succeeds().json();
    assert_eq!(run(&so_far, "smoe-2-2.seed1")["status"], "interrupted");
    assert!(update(&so_far) > 0 && update(&so_far) < 1200);
    let done = here.strata(&format!("{long} --json")).succeeds().json();
    assert_eq!((run(&done, "smoe-2-2.seed1")["status"].as_str(), update(&done)), (Some("done"), 1200));
}

#[test]
fn studies_that_cannot_be_are_refused_and_other_settings_are_not_mixed_in() {
    let here = study("study-bad");
    here.refuses("study nowhere.toml", &["nowhere.toml"]);
    here.refuses(
        "study study.toml --only smoe-22",
        &["smoe-22", "did you mean `smoe-2-2`?", "dense, broken, moe-4, smoe-2-2)"],
    );
    here.refuses("study study.toml --set data.prepared=elsewhere", &["elsewhere", "strata prepare"]);
    here.write("bad.toml", STUDY.replace("baseline = \"moe-4\"", "baseline = \"moe-8\""));
    here.refuses("study bad.toml", &["bad.toml", "moe-8", "did you mean `moe-4`?"]);
    here.write("bad.toml", STUDY.replace("variant = \"dense\"", "variant = \"dens\""));
    here.refuses("study bad.toml", &["bad.toml", "run `dense`", "did you mean `dense`?"]);
    // What would be found only after training.
    here.write("bad.toml", STUDY.replace("sentences = 5", "split = \"tset\"\nsentences = 5"));
    here.refuses("study bad.toml --dry-run", &["bad.toml", "split = \"tset\"", "did you mean \"test\"?"]);
    here.refuses("study study.toml --dry-run --set data.directions=['en-qax']", &["en-qax", "en-qaa"]);
    here.copy("../prepared", "untested");
    for entry in std::fs::read_dir(here.path("untested/text")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("test.") {
            std::fs::remove_file(path).unwrap();
        }
    }
    here.refuses("study study.toml --set data.prepared='untested'", &["untested", "the split `test` has no sentences"]);
    here.strata("study study.toml --only dense").succeeds();
    let words = ["study.toml: ", "begun with other settings (dense.seed1: train.updates = 6, now 9);", "out/runs"];
    here.refuses("study study.toml --only dense --set train.updates=9", &words);
}

#[test]
fn a_changed_study_leaves_the_figures_that_it_has() {
    let here = study("study-changed");
    here.write("study.toml", STUDY.replace("[[runs]]\nname = \"broken\"\nset = { train.learning_rate = 1e30 }\n", ""));
    let done = here.strata("study study.toml --only dense,moe-4.seed1").succeeds();
    let file = here.read("study.toml");
    // Of all runs, also with words that ask for no training.
    here.write("study.toml", file.replace("[set]\n", "[set]\ntrain.updates = 9\n"));
    let words = "study.toml: runs were begun with other settings (dense.seed1, moe-4.seed1: train.updates = 6, now 9);";
    for command in ["study study.toml", "study study.toml --table", "study study.toml --only smoe-2-2"] {
        here.refuses(command, &[words, "out/runs"]);
    }
    // Of some, each with its own settings; the threads and the device change no run.
    here.write(
        "study.toml",
        file.replace("model.experts = 4 }", "model.experts = 4, train.warmup = 3, train.clip_norm = 0.5 }"),
    );
    let words = "settings (moe-4.seed1: train.warmup = 4, now 3, train.clip_norm = ";
    here.refuses("study study.toml --set train.threads=1", &[words]);
    here.write("study.toml", &file);
    let again = here.strata("study study.toml --only dense,moe-4.seed1 --set train.threads=1").succeeds();
    assert_eq!(again.out, done.out);
    // What the message advises.
    std::fs::remove_dir_all(here.path("out/runs/dense.seed1")).unwrap();
    let anew = here.strata("study study.toml --only dense --set train.updates=7");
    assert!(anew.code == Some(2) && !anew.err.contains("dense.seed1"), "{anew}");
    std::fs::remove_dir_all(here.path("out/runs/moe-4.seed1")).unwrap();
    here.strata("study study.toml --only dense,moe-4.seed1 --set train.updates=7").succeeds();
}
