//! `strata analyze` and `strata study` through the binary: what they report, and that a study makes nothing twice.

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Folder, folder};
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn analyze_reports_the_requested_capacity() {
    let here = folder("analyze");
    let ran = here.strata("analyze ../run ../prepared --max-sentences 6").succeeds();
    for words in ["SMoE-2-2", "RC encoder", "qaa-en", "from en (2)", "encoder layer 1", "routed alike", "<2qaa>/"] {
        assert!(ran.out.contains(words), "no `{words}` in {ran}");
    }
    assert!(ran.err.contains("4 directions, 24 sentences"), "{ran}");
    let json = here.strata("analyze ../run ../prepared --max-sentences 6 --min-count 1 --json").succeeds().json();
    assert_eq!((&json["sentences"], &json["dropped"], &json["strata"]), (&24.into(), &0.into(), &Value::from([2, 2])));
    let blocks = json["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let rc = number(&block["requested_capacity"]);
        let shares: Vec<f64> = block["capacity_shares"].as_array().unwrap().iter().map(number).collect();
        assert!((rc - (shares[0] + 2.0 * shares[1])).abs() < 1e-9, "{block}");
        for shares in ["mass_share", "choice_share", "capacity_shares"] {
            let sum: f64 = block[shares].as_array().unwrap().iter().map(number).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{block}");
        }
        assert!(number(&block["entropy"]) > 0.0 && number(&block["entropy"]) <= 4f64.ln());
        assert!(number(&block["balance"]) > 0.9);
    }
    // Every token's visits are in the figures: a direction's mean is that of its subwords, tags and end marks.
    let directions = json["directions"].as_array().unwrap();
    assert_eq!(directions.len(), 4);
    for direction in directions {
        let lists = &direction["subwords"][0];
        let (highest, lowest) = (lists["highest"].as_array().unwrap(), lists["lowest"].as_array().unwrap());
        assert!(!highest.is_empty() && highest.len() == lowest.len());
        let capacities = |list: &[Value]| list.iter().map(|s| number(&s["requested_capacity"])).collect::<Vec<_>>();
        assert!(capacities(highest).is_sorted_by(|a, b| a >= b) && capacities(lowest).is_sorted());
        assert!(capacities(highest).last() >= capacities(lowest).last());
        for list in [highest, lowest] {
            assert!(list.iter().all(|s| s["rank"].is_null() || s["rank"].as_u64().unwrap() > 0), "{direction}");
        }
    }
    // The capacity on the test set is the one that FLOPs are stated for.
    let (uniform, measured) = (number(&json["flops_per_token"]), number(&json["flops_per_token_measured"]));
    let strata = number(&blocks[0]["requested_capacity"]) + number(&blocks[1]["requested_capacity"]);
    let experts = 2.0 * 4.0 * 16.0 * 32.0; // top-2, two products of 16 x 32, a multiply-add is two
    assert!((measured - uniform - experts * (strata - 2.0 * 1.5)).abs() < 1.5, "{measured} {uniform} {strata}");
    here.strata("export ../run --output packed").succeeds();
    let packed = here.strata("analyze packed ../prepared --max-sentences 6 --min-count 1 --json").succeeds().json();
    assert_eq!(packed, json);
}

#[test]
fn analyze_refuses_what_has_no_routing() {
    let here = folder("analyze-bad");
    here.strata("train ../tiny.toml --variant dense --set train.updates=1 --output dense").succeeds();
    here.refuses("analyze dense ../prepared", &["dense", "no experts"]);
    here.refuses("analyze nowhere ../prepared", &["nowhere"]);
    here.refuses("analyze ../run nowhere", &["nowhere"]);
    here.refuses("analyze ../run ../prepared --directions en-xx", &["en-xx"]);
    here.refuses("analyze ../run ../prepared --split dev", &["dev"]);
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
    let refused = two.strata("study study.toml --only moe-4.seed1,broken --devices tpu,cpu --set train.updates=3");
    assert!(refused.code == Some(1) && refused.out.contains("tpu"), "{refused}");
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
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let begin = || {
        let mut command = here.command(long);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let log = here.path("out/runs/smoe-2-2.seed1/log.jsonl");
    let size = || std::fs::metadata(&log).map_or(0, |file| file.len());
    let steps = || std::fs::read_dir(&checkpoints).map_or(0, |steps| steps.count());
    // A polite stop: the training saves, and the study says how to go on.
    let child = begin();
    wait("a checkpoint", &|| steps() > 0);
    let signal = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let ran = common::Ran::new("stopped", child.wait_with_output().unwrap());
    assert!(ran.code == Some(143) && ran.err.contains("stopped at update") && ran.err.contains("go on with"), "{ran}");
    // Somebody stops the training itself, and at once: no fault of the run.
    if cfg!(target_os = "linux") {
        let child = begin();
        let before = size();
        wait("training", &|| size() > before);
        let stop = "for again in 1 2 3 4; do kill -TERM $(cat /proc/$0/task/*/children); done 2>&-; true";
        let stop = std::process::Command::new("sh").args(["-c", stop, &child.id().to_string()]).status();
        assert!(stop.unwrap().success());
        let ran = common::Ran::new("stopped twice", child.wait_with_output().unwrap());
        assert!(ran.code == Some(0) && !ran.err.contains("failed") && ran.err.contains("stopped at update"), "{ran}");
    }
    // A kill: the training notices that its study is gone, saves, and gives its run back.
    let mut child = begin();
    let before = size();
    wait("training", &|| size() > before);
    child.kill().unwrap();
    child.wait().unwrap();
    wait("the end of the training", &|| {
        std::fs::File::open(here.path("out/runs/smoe-2-2.seed1/.lock")).is_ok_and(|lock| lock.try_lock().is_ok())
    });
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
    here.strata("study study.toml --only dense").succeeds();
    let other = here.strata("study study.toml --only dense --set train.updates=9");
    assert_eq!(other.code, Some(1), "{other}");
    assert!(other.out.contains("begun with other settings"), "{other}");
}

#[test]
fn reports_are_one_file_that_needs_nothing_else() {
    let here = study("study-report");
    here.strata("analyze ../run ../prepared --max-sentences 4 --min-count 1 --html capacity.html").succeeds();
    here.strata("study study.toml --only moe-4.seed1,smoe-2-2.seed1").succeeds();
    for (file, words) in [
        (
            "capacity.html",
            ["RC by direction", "RC by block", "frequency rank", "expert use by language", "routed alike"],
        ),
        ("out/study.html", ["Scores", "Training", "Translations side by side", "SMoE-2-2", "expert use by language"]),
    ] {
        let page = here.read(file);
        for word in words {
            assert!(page.contains(word), "{file} has no `{word}`");
        }
        assert!(
            page.starts_with("<!doctype html>") && page.contains("name=\"viewport\"") && page.contains("@media print")
        );
        for (opened, closed) in
            [("<svg", "</svg>"), ("<table", "</table>"), ("<figure", "</figure>"), ("<details", "</details>")]
        {
            assert_eq!(page.matches(opened).count(), page.matches(closed).count(), "{file}: {opened}");
        }
        assert!(page.matches("<svg").count() >= 4, "{file}");
        // No address but the name of SVG's own namespace, nothing that is loaded.
        let without = page.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "@import", "url(", "<link"] {
            assert!(!without.contains(outside), "{file} has {outside}");
        }
    }
}

#[test]
fn reports_look_right_in_a_browser() {
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        std::process::Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    }) else {
        return strata_testing::skip("reports_look_right_in_a_browser", "no Chromium; the package chromium brings it");
    };
    let here = folder("browser");
    here.strata("analyze ../run ../prepared --max-sentences 4 --min-count 1 --html page.html").succeeds();
    let page = here.path("page.html");
    let open = |arguments: &[String]| {
        let mut command = std::process::Command::new(browser);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ]);
        command.args(["--disable-component-update", "--disable-sync", "--disable-quic"]);
        command.arg(format!("--user-data-dir={}", here.path("profile").display()));
        command.args(arguments).arg(format!("file://{}", page.display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // A page that measures itself at a phone's width: the body is no wider than the window, and no plot sticks out.
    let measure = "<script>addEventListener('load',()=>{const wide=[...document.querySelectorAll('svg,p,h1,h2,h3')]\
                   .filter(e=>e.getBoundingClientRect().right>innerWidth+1).length;document.title='window '+innerWidth+\
                   ' body '+document.documentElement.scrollWidth+' out '+wide+' plots '+document.querySelectorAll('svg').length})</script>";
    let whole = here.read("page.html");
    here.write("page.html", whole.replace("</body>", &format!("{measure}</body>")));
    for width in [500, 1280] {
        let dom = open(&["--dump-dom".to_string(), format!("--window-size={width},900")]);
        let title = dom.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).expect(&dom).0;
        let numbers: Vec<u32> = title.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [window, body, out, plots] = numbers[..] else { panic!("`{title}`") };
        assert!(body <= window && out == 0 && plots >= 4, "`{title}` at {width}");
    }
    let picture = here.path("page.png");
    open(&[format!("--screenshot={}", picture.display()), "--window-size=500,2400".to_string()]);
    let bytes = std::fs::read(&picture).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000, "{} bytes", bytes.len());
}

#[test]
fn a_pruned_model_is_smaller_and_still_a_model() {
    let here = folder("prune");
    let text = "The old dog sees the cat.\nThe children like songs.\nA bird sings in the garden.\n";
    let prune = "prune ../run ../prepared --languages qaa --max-test-sentences 4 --beam 2";
    let whole = here.strata(&format!("{prune} --keep 1.0 --output whole --json")).succeeds().json();
    assert_eq!(whole["strata_after"], Value::from([2, 2]));
    assert!((number(&whole["mass_kept"]) - 1.0).abs() < 1e-9);
    assert_eq!(whole["before"]["averages"], whole["after"]["averages"]);
    let same = std::fs::read(here.path("../run/best/model.safetensors")).unwrap();
    assert!(same == std::fs::read(here.path("whole/model.safetensors")).unwrap());
    let plain = here.strata_reading("translate ../run --to qaa --nbest 2", text).succeeds();
    let kept = here.strata_reading("translate whole --to qaa --nbest 2", text).succeeds();
    assert_eq!(plain.out, kept.out);

    // Three of four experts; the last stratum keeps the two that a token chooses there.
    let half = here.strata(&format!("{prune} --keep 0.75 --output half --json")).succeeds().json();
    assert_eq!((&half["strata_before"], &half["strata_after"]), (&Value::from([2, 2]), &Value::from([1, 2])));
    assert_eq!(half["directions"], Value::from(["en-qaa", "qaa-en"]));
    for block in half["blocks"].as_array().unwrap() {
        let importance: Vec<f64> = block["importance"].as_array().unwrap().iter().map(number).collect();
        let first = usize::from(importance[1] > importance[0]);
        assert_eq!(block["kept"], Value::from([first, 2, 3]), "{block}");
    }
    let inspected = here.strata("inspect half --json").succeeds().json();
    assert_eq!(inspected["parameters"], half["parameters_after"]);
    assert!(half["parameters_after"].as_u64() < half["parameters_before"].as_u64());
    let (old, new) = (number(&half["parameters_before"]), number(&half["parameters_after"]));
    // Two blocks lose an expert (two matrices of 16 x 32 with biases) and a row of the first gate.
    assert_eq!(old - new, 2.0 * (2.0 * 16.0 * 32.0 + 32.0 + 16.0 + 16.0));
    here.strata_reading("translate half --to qaa", text).succeeds();
    here.strata("evaluate half ../prepared --max-sentences 2 --beam 1").succeeds();
    here.strata("export half --output packed").succeeds();
    let analyzed = here.strata("analyze half ../prepared --max-sentences 2 --json").succeeds().json();
    assert_eq!(analyzed["strata"], Value::from([1, 2]));
    // The experts that stay are those of before under new numbers, and so are their rows of the gates.
    let (old, new) = ("../run/best/model.safetensors", "half/model.safetensors");
    let [old, new] = [old, new].map(|file| strata_store::TensorFile::open(here.path(file)).unwrap());
    for (block, path) in half["blocks"].as_array().unwrap().iter().zip(["encoder", "decoder"]) {
        let path = format!("{path}.layers.1.block");
        let kept: Vec<usize> = block["kept"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap() as usize).collect();
        for (now, before) in kept.iter().enumerate() {
            for weight in ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"] {
                let bytes = |file: &strata_store::TensorFile, expert: usize| {
                    file.view(&format!("{path}.experts.{expert}.{weight}")).unwrap().bytes.to_vec()
                };
                assert!(bytes(&new, now) == bytes(&old, *before), "{path} {now} {weight}");
            }
            let gate = |file: &strata_store::TensorFile, row: usize| {
                file.view(&format!("{path}.gate.0.weight")).unwrap().bytes[row * 64..][..64].to_vec()
            };
            assert!(gate(&new, now) == gate(&old, *before), "{path}, row {now} of the gate");
        }
    }
    // A model without strata, all languages, figures for people.
    let moe = "--set model.kind=moe --set model.strata=[] --set model.experts=4 --set train.updates=4";
    here.strata(&format!("train ../tiny.toml --output moe {moe}")).succeeds();
    let ran = here
        .strata("prune moe ../prepared --languages qaa,qab --keep 0.5 --max-test-sentences 3 --beam 1 --output small");
    let ran = ran.succeeds();
    assert!(ran.out.contains("MoE-2: strata [4] -> [2]") && ran.out.contains("from en (2)"), "{ran}");
}

#[test]
fn pruning_that_cannot_be_is_refused() {
    let here = folder("prune-bad");
    let prune = "prune ../run ../prepared --output out";
    here.refuses(&format!("{prune} --languages qaa --keep 0"), &["--keep 0 must be above 0"]);
    here.refuses(&format!("{prune} --languages qaa --keep 1.5"), &["--keep 1.5"]);
    here.refuses(&format!("{prune} --languages qax --keep 0.5"), &["qax", "did you mean"]);
    here.refuses("prune nowhere ../prepared --languages qaa --keep 0.5 --output out", &["nowhere"]);
    here.refuses("prune ../run nowhere --languages qaa --keep 0.5 --output out", &["nowhere"]);
    here.write("out/mine", "");
    here.refuses(&format!("{prune} --languages qaa --keep 0.5"), &["out exists", "--overwrite"]);
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
    let scored = here.strata("score out/runs/dense.seed1 --prepared ../prepared").succeeds();
    assert!(scored.out.contains(&format!("{:.4}", of("dense.seed1"))), "{scored}");
    for (file, words) in [("study.csv", "dense.seed2,dense,2,done"), ("comparisons.csv", "dense,all,NLL,2,")] {
        let text = here.read(&format!("figures/{file}"));
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn capacity_is_set_to_what_a_user_wants() {
    let here = folder("capacity");
    for wanted in [1.2, 1.8] {
        let name = format!("budget-{wanted}");
        let found = here
            .strata(&format!(
                "capacity ../run ../prepared --capacity {wanted} --max-sentences 8 --output {name} --json"
            ))
            .succeeds()
            .json();
        let (before, after) = (number(&found["before"]), number(&found["after"]));
        // Few tokens and few blocks: the capacity moves in steps.
        assert!((after - wanted).abs() < 0.1 && (after - wanted).abs() <= (before - wanted).abs() + 0.1, "{found}");
        let fewer = number(&found["flops_per_token_after"]) < number(&found["flops_per_token_before"]);
        assert_eq!(fewer, after < before, "{found}");
        // A model like any other, in every form.
        let analyzed = format!("analyze {name} ../prepared --split valid --max-sentences 8 --json");
        let analyzed = here.strata(&analyzed).succeeds().json();
        let blocks = analyzed["blocks"].as_array().unwrap();
        let mean = blocks.iter().map(|b| number(&b["requested_capacity"])).sum::<f64>() / blocks.len() as f64;
        assert!((mean - after).abs() < 1e-6, "{mean} {found}");
        here.strata_reading(&format!("translate {name} --to qaa --precision int8"), "The old dog sees the cat.\n")
            .succeeds();
        here.strata(&format!("export {name} --output packed-{wanted}")).succeeds();
        let inspected = here.strata(&format!("inspect {name} --json")).succeeds().json();
        assert!(inspected["name"].as_str().unwrap().ends_with(", budget"), "{inspected}");
    }
    here.refuses("capacity ../run ../prepared --capacity 3 --output x", &["--capacity 3", "between 1 and 2"]);
    here.refuses("capacity ../run ../prepared --capacity 1.2 --output budget-1.2", &["exists", "--overwrite"]);
    let moe = "--set model.kind=moe --set model.strata=[] --set model.experts=4 --set train.updates=2";
    here.strata(&format!("train ../tiny.toml --output moe {moe}")).succeeds();
    here.refuses("capacity moe ../prepared --capacity 1.2 --output x", &["moe", "exits by choice"]);
}
