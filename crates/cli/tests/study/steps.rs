//! A study in steps, each of which has to be worth the next.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Folder, folder};
use crate::{number, run};

/// A study under way that has written the file `until`.
fn begun(here: &Folder, arguments: &str, until: &str) -> Child {
    let child = here.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !here.path(until).exists() {
        assert!(begun.elapsed().as_secs() < 60, "it did not write {until}");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_study_ends_after_a_step_whose_condition_does_not_hold() {
    let here = folder("study-steps");
    let study = |by: &str| {
        format!(
            r#"
recipe = "../tiny.toml"
output = "out"
figures = "figures"
baseline = "moe-4"
sentences = 3
analysis_sentences = 3
tokens_per_second = 1000
[primary]
question = "Is it <so>?"
difference = 0.02
[[steps]]
name = "look"
runs = ["moe-4", "dense"]
go_on_if = [{{ higher = "dense", lower = "moe-4", by = {by} }}]
[[steps]]
name = "more"
runs = ["moe-4", "dense"]
seeds = [1, 2]
[[runs]]
name = "dense"
variant = "dense"
[[runs]]
name = "moe-4"
set = {{ model.kind = "moe", model.strata = [], model.experts = 4 }}
"#
        )
    };
    here.write("study.toml", study("50.0"));
    let planned = here.strata("study study.toml --dry-run").succeeds();
    for words in ["step: look; goes on if dense - moe-4 >= 50", "step: more", "hours of one device in all"] {
        assert!(planned.out.contains(words), "no `{words}` in {planned}");
    }
    let ran = here.strata("study study.toml").succeeds();
    // The text of some pairs is too long for the models.
    for words in [
        "the study ends after step `look`",
        "not 50 or more",
        "primary measure, fixed beforehand: NLL",
        "* without the references that are too long for the model or have no finite score (moe-4.seed1 ",
    ] {
        assert!(ran.out.contains(words), "no `{words}` in {ran}");
    }
    assert!(!here.path("out/runs/moe-4.seed2").exists() && !ran.err.contains("go on with"), "{ran}");
    let page = here.read("out/study.html");
    for words in ["Primary measure, fixed beforehand: NLL", "Is it &lt;so&gt;?", "ends after step", "By time"] {
        assert!(page.contains(words), "no `{words}`");
    }
    // The same study with a condition that holds goes on from there.
    here.write("study.toml", study("-50.0"));
    let json = here.strata("study study.toml --json").succeeds().json();
    let of = |id: &str| number(&run(&json, id)["nll"]);
    let nll = json["comparisons"].as_array().unwrap().iter().find(|c| c["metric"] == "NLL" && c["of"] == "all");
    let nll = nll.expect("a comparison");
    let differences = [1, 2].map(|seed| of(&format!("dense.seed{seed}")) - of(&format!("moe-4.seed{seed}")));
    for (found, expected) in nll["by_seed"].as_array().unwrap().iter().zip(differences) {
        assert!((number(found) - expected).abs() < 1e-9, "{nll} {differences:?}");
    }
    let mean = (differences[0] + differences[1]) / 2.0;
    assert!((number(&nll["difference"]) - mean).abs() < 1e-9);
    let test = &nll["seeds_test"];
    assert!(number(&test["low"]) < mean && number(&test["high"]) > mean && number(&test["p"]) <= 1.0, "{nll}");
    let scored = here.strata("score out/runs/dense.seed1 --prepared ../prepared");
    assert!(
        scored.code == Some(1) && scored.err.contains("en-qab: 2 of 50 lines are left out, line 26 first"),
        "{scored}"
    );
    assert!(scored.out.contains(&format!("{:.4}", of("dense.seed1"))), "{scored}");
    for (file, words) in [("study.csv", "dense.seed2,dense,2,done"), ("comparisons.csv", "dense,all,NLL,2,")] {
        let text = here.read(&format!("figures/{file}"));
        assert!(text.contains(words), "{text}");
    }
}

/// Whoever stops a training, but not its study, has decided nothing.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_step_decides_nothing() {
    let here = folder("study-undecided");
    here.write(
        "study.toml",
        r#"
recipe = "../tiny.toml"
output = "out"
baseline = "moe-4"
sentences = 3
analysis_sentences = 3
[set]
train.updates = 50000
[[steps]]
name = "look"
runs = ["moe-4"]
go_on_if = [{ higher = "moe-4", lower = "moe-4", by = 0.0 }]
[[steps]]
name = "more"
runs = ["moe-4"]
seeds = [1, 2]
[[runs]]
name = "moe-4"
set = { model.kind = "moe", model.strata = [], model.experts = 4 }
"#,
    );
    let child = begun(&here, "study study.toml", "out/runs/moe-4.seed1/last");
    let stop = "kill -TERM $(cat /proc/$0/task/*/children)";
    let stop = std::process::Command::new("sh").args(["-c", stop, &child.id().to_string()]).status();
    assert!(stop.unwrap().success());
    let ran = crate::common::Ran::new("stopped", child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(1), "{ran}");
    for words in ["stopped at update", "not all runs up to step `look` are over", "2 runs are not done; go on with"] {
        assert!(ran.err.contains(words), "no `{words}` in {ran}");
    }
    assert!(!ran.out.contains("the study ends") && !here.path("out/runs/moe-4.seed2").exists(), "{ran}");
}

/// What a process that died has left of an earlier step is trained before the conditions that need it are decided.
#[test]
fn a_step_is_decided_after_what_others_left_is_trained() {
    let here = folder("study-left-by-others");
    here.write(
        "study.toml",
        r#"
recipe = "../tiny.toml"
output = "out"
baseline = "moe-4"
sentences = 3
analysis_sentences = 3
[[steps]]
name = "first"
runs = ["moe-4"]
[[steps]]
name = "look"
runs = ["dense"]
go_on_if = [{ higher = "dense", lower = "moe-4", by = -50.0 }]
[[steps]]
name = "more"
runs = ["dense"]
seeds = [2]
[[runs]]
name = "dense"
variant = "dense"
[[runs]]
name = "moe-4"
set = { model.kind = "moe", model.strata = [], model.experts = 4 }
"#,
    );
    // As another process that has the run.
    std::fs::create_dir_all(here.path("out/results")).unwrap();
    let other = std::fs::File::create(here.path("out/results/moe-4.seed1.lock")).unwrap();
    other.lock().unwrap();
    let child = begun(&here, "study study.toml --json", "out/results/dense.seed1.json");
    drop(other);
    let ran = crate::common::Ran::new("waited", child.wait_with_output().unwrap()).succeeds();
    let json = ran.json();
    for id in ["moe-4.seed1", "dense.seed1", "dense.seed2"] {
        assert_eq!(run(&json, id)["status"], "done", "{ran}");
    }
}

/// Sentences that no model of the study can read have no likelihood, and no difference of one.
#[test]
fn nothing_is_compared_where_all_sentences_are_left_out() {
    let here = folder("study-left-out");
    here.copy("../prepared", "long");
    for language in ["en", "qab"] {
        here.write(&format!("long/text/test.en-qab.{language}"), format!("{}\n", "dog ".repeat(90)).repeat(3));
    }
    here.write(
        "study.toml",
        r#"
recipe = "../tiny.toml"
output = "out"
figures = "figures"
baseline = "dense"
sentences = 3
analysis_sentences = 3
[set]
data.prepared = "long"
[[runs]]
name = "dense"
variant = "dense"
[[runs]]
name = "smoe-2-2"
"#,
    );
    let ran = here.strata("study study.toml").succeeds();
    for words in ["NLL ", "* without the references", "dense.seed1 6, smoe-2-2.seed1 6"] {
        assert!(ran.out.contains(words), "no `{words}` in {ran}");
    }
    let json: serde_json::Value = serde_json::from_str(&here.read("out/study.json")).unwrap();
    for likelihood in run(&json, "dense.seed1")["likelihoods"].as_array().unwrap() {
        let readable = !likelihood["direction"].as_str().unwrap().contains("qab");
        assert_eq!((likelihood["nll"].is_number(), likelihood["left_out"] == 3), (readable, !readable), "{likelihood}");
    }
    let compared = |metric: &str| {
        let all = json["comparisons"].as_array().unwrap().iter().filter(|c| c["metric"] == metric);
        all.map(|c| c["of"].as_str().unwrap()).collect::<Vec<_>>()
    };
    let (nll, bleu) = (compared("NLL"), compared("BLEU"));
    assert!(bleu.contains(&"en-qab") && bleu.contains(&"qab-en"), "{bleu:?}");
    let readable: Vec<&str> = bleu.iter().copied().filter(|of| nll.contains(of)).collect();
    assert!(nll == readable && nll.contains(&"en-qaa") && !nll.iter().any(|of| of.contains("qab")), "{nll:?}");
    for text in
        [&ran.out, &here.read("out/study.html"), &here.read("out/study.csv"), &here.read("figures/comparisons.csv")]
    {
        assert!(!text.contains("NaN"), "{text}");
    }
    let scored = here.strata("score out/runs/dense.seed1 --prepared long");
    let row = |direction: &str| scored.out.lines().find(|line| line.starts_with(direction)).unwrap().split_whitespace();
    assert_eq!(row("en-qab").collect::<Vec<_>>(), ["en-qab", "0", "0", "-"], "{scored}");
    let lost = here.strata("score out/runs/dense.seed1 --prepared long --directions en-qab --json");
    assert!(lost.out.starts_with("{\"direction\":\"en-qab\",\"line\":1,\"nll\":null,\"subwords\":0}"), "{lost}");
    // A model that can read none of them still has its scores.
    here.edit("study.toml", "data.prepared", "data.directions = [\"en-qab\"]\ndata.prepared");
    here.edit("study.toml", "\"out\"", "\"other\"");
    let done = here.strata("study study.toml --only smoe-2-2 --json").succeeds().json();
    let found = run(&done, "smoe-2-2.seed1");
    assert_eq!((&found["status"], found["nll"].is_null(), found["rc_encoder"].is_null()), (&"done".into(), true, true));
    assert_eq!(found["directions"].as_array().unwrap().len(), 1, "{found}");
}
