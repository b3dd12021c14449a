//! A study in steps, each of which has to be worth the next.

use crate::common::folder;
use crate::{number, run};

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
    for words in ["the study ends after step `look`", "not 50 or more", "primary measure, fixed beforehand: NLL"] {
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
