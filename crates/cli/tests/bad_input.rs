//! Input that is wrong: the program exits with code 2, says what, where and what to do, and leaves nothing behind.

mod common;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use common::{RECIPE, folder};
use serde_json::Value;

#[test]
fn bitext_that_cannot_be_prepared() {
    let here = folder("bitext-faults");
    here.refuses("prepare nowhere --output p", &["nowhere: it is missing"]);
    fs::create_dir(here.path("none")).unwrap();
    here.refuses("prepare none --output p", &["none: no bitext", "train.en-de.en"]);
    let pair = |name: &str, en: &[u8], de: &[u8]| {
        here.write(&format!("{name}/train.en-de.en"), en);
        here.write(&format!("{name}/train.en-de.de"), de);
    };
    here.write("side/train.en-de.en", "a\n");
    here.refuses("prepare side --output p", &["side/train.en-de.en has no counterpart", "train.en-de.de"]);
    pair("counts", b"a\nb\nc\n", b"a\nb\n");
    here.refuses("prepare counts --output p", &["train.en-de.en has 3 lines", "train.en-de.de has 2", "aligned"]);
    pair("empty", b"", b"");
    here.refuses("prepare empty --output p", &["empty/train.en-de.en: has no lines"]);
    pair("blank", b"\n\n", b"\n\n");
    here.refuses("prepare blank --output p", &["none of the 2 training pairs is left"]);
    pair("latin1", b"A house.\nA tree.\nA bridge.\n", b"Ein Haus.\nEin Baum.\nEine Br\xfccke.\n");
    let what = ["latin1/train.en-de.de, line 3: not valid UTF-8 (byte 8", "iconv", "--skip-invalid"];
    here.refuses("prepare latin1 --output p --vocab-size 300", &what);
    here.write("tsv/train.en-de.tsv", "A house.\tEin Haus.\nA tree. Ein Baum.\n");
    here.refuses("prepare tsv --output p", &["train.en-de.tsv, line 2: 1 tab-separated columns", "--skip-invalid"]);
    let skipped = here.strata("prepare latin1 --output p --vocab-size 300 --skip-invalid --json").succeeds();
    assert_eq!(skipped.json()["pairs"][0]["splits"]["train"]["kept"], 2, "{skipped}");
}

#[test]
fn options_of_prepare() {
    let here = folder("prepare-options");
    here.refuses("prepare ../bitext --output p --languages en,qax", &["`qax`", "did you mean `qaa`?", "en, qaa, qab"]);
    here.refuses("prepare ../bitext --output p --directions en-qax", &["`qax`", "did you mean `qaa`?"]);
    here.refuses(
        "prepare ../bitext --output p --directions qaa-qab",
        &["--directions: there is no bitext for qaa-qab"],
    );
    here.refuses("prepare ../bitext --output p --directions en", &["--directions: `en` is no direction"]);
    here.refuses("prepare ../bitext --output p --vocab-size 100", &["vocab", "100"]);
    here.refuses("prepare ../bitext --output p --subword-model ../tiny.toml", &["tiny.toml"]);
    here.refuses("prepare ../bitext --output p --subword-model nowhere.model", &["nowhere.model"]);
    here.write("mine/letter.txt", "dear");
    here.refuses("prepare ../bitext --output mine", &["mine already exists", "--overwrite"]);
    here.refuses("prepare ../bitext --output mine --overwrite", &["--output: mine is no prepared folder"]);
    here.refuses("fetch synthetic --languages 5 --output s", &["--languages: 5 is not 1 to 4"]);
    here.refuses("fetch dictionaries --steps 9 --output s", &["--steps: 9 is not 1 to 8"]);
    here.refuses("fetch dictionaries --words 9000 --steps 3 --output s", &["--words: 9000 is not 10 to 6666"]);
    here.refuses("fetch docs --languages klingon --packages . --output d --cache c", &["klingon"]);
}

#[test]
fn what_prepare_finds_odd_is_said_once() {
    let here = folder("prepare-odd");
    for (pair, first, second) in [("en-de", "en", "de"), ("deu_Latn-en", "deu_Latn", "en")] {
        here.write(&format!("b/train.{pair}.{first}"), "A house.\nA tree stands there.\n");
        here.write(&format!("b/train.{pair}.{second}"), "Ein Haus!\nDort steht ein Baum.\n");
    }
    let ran = here.strata("prepare b --output p --vocab-size 1000000").succeeds();
    assert!(ran.err.contains("warning: de and deu_Latn are codes of one language, but two languages"), "{ran}");
    assert!(ran.err.contains("of 1,000,000 subwords\n") && ran.err.contains("the text yields only "), "{ran}");
    let said = |ran: &crate::common::Ran| format!("{}{}", ran.out, ran.err).matches(" pairs kept; dropped: ").count();
    assert_eq!(said(&ran), 1, "{ran}");
    let again = here.strata("prepare b --output q --subword-model p --json").succeeds();
    assert!(said(&again) == 1 && !again.err.contains("yields only"), "{again}");
}

#[test]
fn recipes_that_cannot_be() {
    let here = folder("recipe-faults");
    let recipe = |from: &str, to: &str, words: &[&str]| {
        let line = RECIPE[..RECIPE.find(from).unwrap()].matches('\n').count() + 1;
        let place = format!("bad.toml, line {line}");
        let words: Vec<&str> = words.iter().map(|word| if *word == "HERE" { &place } else { *word }).collect();
        here.write("bad.toml", RECIPE.replacen(from, to, 1));
        here.refuses("train bad.toml", &words);
        here.refuses("inspect bad.toml", &words);
    };
    here.refuses("train nowhere.toml", &["nowhere.toml is missing"]);
    recipe("updates = 6", "updats = 6", &["HERE", "`train.updats`", "did you mean `train.updates`?"]);
    recipe("updates = 6", "updates = \"six\"", &["HERE", "train.updates = \"six\" must be an integer"]);
    recipe("updates = 6", "updates = 0", &["HERE", "train.updates = 0"]);
    recipe("[train]", "[train", &["HERE", "not TOML"]);
    recipe("[train]", "[trian]", &["HERE", "`trian`", "did you mean `train`?"]);
    recipe("\"smoe\"", "\"smeo\"", &["HERE", "did you mean \"smoe\"?"]);
    recipe("strata = [2, 2]", "strata = []", &["HERE", "strata is empty", "[4, 4]"]);
    recipe("strata = [2, 2]", "strata = [2, 0]", &["HERE", "stratum 2 has no experts"]);
    recipe("strata = [2, 2]", "strata = [3, 1]", &["top_k = 2 is more than the last stratum", "[3, 1]"]);
    recipe("\"smoe\"", "\"cmr\"", &["bad.toml, line", "kind \"cmr\" has no strata", "strata = []"]);
    recipe("heads = 2", "heads = 3", &["HERE", "heads = 3 does not divide d_model = 16"]);
    recipe(
        "max_length = 64\ntemp",
        "max_length = 65\ntemp",
        &["HERE", "data.max_length = 65", "model.max_length = 64"],
    );
    let variants = ["tiny.toml has no variant `dens`", "did you mean `dense`?"];
    here.refuses("train ../tiny.toml --variant dens", &variants);
    here.refuses("inspect ../tiny.toml --variant dens", &variants);
    here.refuses("train ../tiny.toml --set train.updats=3", &["--set train.updats", "did you mean `train.updates`?"]);
    let said =
        here.strata("train ../tiny.toml --set train.updates=x").fails(&["an integer", "(--set train.updates=x)"]);
    assert_eq!(said.err.matches("train.updates").count(), 2, "the key once, the flag once: {said}");
    here.refuses("train ../tiny.toml --set train.updates=x", &["train.updates must be an integer"]);
    let variants = RECIPE.replace("kind = \"smoe\"\nstrata = [2, 2]", "kind = \"smoe\"");
    here.write("variants.toml", variants + "[variant.small]\nmodel.strata = [2, 2]\n");
    let choose = ["strata is empty", "choose one of its variants: dense, small", "--variant NAME"];
    here.refuses("inspect variants.toml", &choose);
    here.strata("inspect variants.toml --variant small").succeeds();
}

#[test]
fn training_that_cannot_start_leaves_no_run() {
    let here = folder("train-faults");
    here.refuses("train ../tiny.toml --device cuda:0", &["without cuda", "--features cuda"]);
    here.refuses("train ../tiny.toml --device gpu", &["no device `gpu`", "cpu, wgpu"]);
    here.refuses("train ../tiny.toml --set data.prepared=nowhere", &["nowhere/tokenizer.json", "strata prepare"]);
    here.refuses("train ../tiny.toml --set data.prepared=../bitext", &["../bitext/tokenizer.json", "strata prepare"]);
    here.refuses(
        "train ../tiny.toml --set data.directions=en-qax",
        &["unknown direction `en-qax`", "did you mean `en-qaa`?", "en-qaa, en-qab"],
    );
    here.refuses("train ../tiny.toml --set data.max_length=3", &["../prepared: no training pairs"]);
    here.refuses(
        "train ../tiny.toml --device cuda:0 --set train.validate_bleu_every=10 --set translate.min_length=3",
        &["train.device", "plain beam search", "validate_bleu_every = 0"],
    );
    here.refuses("train --resume nowhere", &["no such run", "strata train RECIPE --output nowhere"]);
    // What a run leaves that is killed before it has written its recipe.
    fs::create_dir_all(here.path("killed/checkpoints")).unwrap();
    here.write("killed/.lock", "1\n");
    let words = ["killed holds no run yet", "strata train RECIPE --output killed"];
    here.refuses("train --resume killed", &words);
    here.refuses("train --resume ../bitext", &["bitext is not a run folder", "recipe.toml"]);
    here.write("mine/recipe.toml", "my own");
    for flag in ["", "--overwrite"] {
        here.refuses(
            &format!("train ../tiny.toml --output mine {flag}"),
            &["mine already holds", "choose a new folder"],
        );
    }
    here.copy("../run", "run");
    here.refuses(
        "train ../tiny.toml --output run",
        &["run already holds a run", "step-000006", "--resume", "--overwrite"],
    );
    here.refuses("train ../tiny.toml --overwrite --set data.prepared=nowhere", &["nowhere/tokenizer.json"]);
    here.refuses(
        "train --resume run --from step-5",
        &["run has no checkpoint step-000005", "step-000004, step-000006"],
    );
    here.refuses("train --resume run --from newest", &["`newest` names no step", "step-3500"]);
    here.strata("train ../tiny.toml --overwrite --set train.updates=1").succeeds();
    assert!(here.path("run/checkpoints/step-000001").is_dir() && !here.path("run/checkpoints/step-000006").exists());
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_earlier_one_offered() {
    let here = folder("damage");
    let newest = "run/checkpoints/step-000006";
    for file in ["model.safetensors", "optimizer.safetensors", "state.json", "config.json", "SHA256SUMS"] {
        let name = format!("{newest}/{file}");
        let offered = ["resuming would start from step-000004", "Pass --from step-000004"];
        let damaged = |change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>, what: &str| {
            let _ = fs::remove_dir_all(here.path("run"));
            here.copy("../run", "run");
            match change(fs::read(here.path(&name)).unwrap()) {
                Some(bytes) => here.write(&name, bytes),
                None => fs::remove_file(here.path(&name)).unwrap(),
            }
            // The sums do not vouch for themselves: a bit flipped in them damages the file whose line it hits.
            let words: &[&str] = if file == "SHA256SUMS" { &[newest] } else { &[&name, what] };
            here.refuses("train --resume run", &[words, &offered].concat());
            if file != "optimizer.safetensors" && file != "state.json" {
                here.refuses("translate run --to qaa", words);
                here.refuses("evaluate run ../prepared --max-sentences 1", words);
            }
        };
        damaged(&|bytes| Some(bytes[..bytes.len() / 2].to_vec()), if file == "SHA256SUMS" { "" } else { "cut short" });
        damaged(
            &|mut bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                Some(bytes)
            },
            "is damaged",
        );
        damaged(&|_| None, "is missing");
    }
    let on = here.strata("train --resume run --from step-4").succeeds();
    assert!(on.err.contains("resuming after 4"), "{on}");
    assert!(here.path("run/checkpoints/step-000006.set-aside").is_dir());
    here.strata_reading("translate run --whole-lines --to qaa", "The dog sees the cat.\n").succeeds();
}

/// Changes bytes of a file in its place; its length and, where asked for, its time stay what they were.
fn change(path: &Path, at: usize, bytes: &[u8], keep_time: bool) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
    if keep_time {
        file.set_modified(modified).unwrap();
    }
}

#[test]
fn a_flipped_byte_is_an_error_and_no_other_translation() {
    let here = folder("flipped");
    here.strata("export ../run --output packed --precision int8").succeeds();
    here.copy("../run/checkpoints/step-000006", "model");
    let translate =
        |model: &str| here.strata_reading(&format!("translate {model} --to qaa"), "The dog sees the cat.\n");
    // Long enough behind the last change for the sound folders to be remembered.
    std::thread::sleep(Duration::from_millis(2100));
    for (model, files) in [
        ("packed", ["packed.safetensors", "tokenizer.json", "config.json", "languages.json"]),
        ("model", ["model.safetensors", "tokenizer.json", "config.json", "languages.json"]),
    ] {
        let expected = translate(model).succeeds().out;
        assert_eq!(translate(model).succeeds().out, expected);
        for file in files {
            let path = here.path(model).join(file);
            let whole = fs::read(&path).unwrap();
            let at = whole.len() / 2;
            for keep_time in [false, true] {
                change(&path, at, &[whole[at] ^ 1], keep_time);
                translate(model).fails(&[&format!("{model}/{file} is damaged (checksum differs)")]);
            }
            change(&path, at, &whole[at..=at], true);
            assert_eq!(translate(model).succeeds().out, expected);
        }
    }
    // Looking at lengths alone is what one may ask for.
    let weights = here.path("packed/packed.safetensors");
    let last = fs::read(&weights).unwrap().len() - 1;
    change(&weights, last, b"\x07", false);
    translate("packed").fails(&["packed/packed.safetensors is damaged"]);
    translate("packed --no-verify").succeeds();
}

#[test]
fn a_model_with_nan_is_an_error_and_no_empty_line() {
    let here = folder("nan");
    here.copy("../run/checkpoints/step-000006", "model");
    here.strata("export ../run --output packed --precision bf16").succeeds();
    for (model, file, nan) in [
        ("model", "model.safetensors", &f32::NAN.to_le_bytes()[..]),
        ("packed", "packed.safetensors", &f32::INFINITY.to_le_bytes()[..]),
    ] {
        let path = here.path(model).join(file);
        let end = fs::read(&path).unwrap().len();
        change(&path, end - 4, nan, false);
        // With checksums that agree, as a program leaves them that made such a model.
        here.bash(&format!("cd {model} && rm SHA256SUMS && sha256sum * > ../sums && mv ../sums SHA256SUMS")).succeeds();
        let words = ["has ", " at index ", "earlier checkpoint"];
        here.refuses(&format!("translate {model} --to qaa"), &words);
        let examined = here.strata(&format!("doctor {model} --json"));
        assert_eq!((examined.code, &examined.json()["model"]["sound"]), (Some(1), &false.into()), "{examined}");
    }
}

/// Finite weights, whose products are not.
#[test]
fn a_model_without_finite_scores_is_no_model_with_bad_ones() {
    let here = folder("not-finite");
    here.copy("../run/checkpoints/step-000006", "model");
    let path = here.path("model/model.safetensors");
    let whole = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    change(&path, header, &3e38f32.to_le_bytes().repeat((whole.len() - header) / 4), false);
    here.bash("cd model && rm SHA256SUMS && sha256sum * > ../sums && mv ../sums SHA256SUMS").succeeds();
    here.write("en", "The dog sees the cat.\nYes.\n");
    let ran = here.strata("score model en en --to qaa");
    let line =
        |n| format!("warning: en, line {n}: the model's scores are no finite numbers; use another precision or model");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "\n\n"), "{ran}");
    assert!((1..=2).all(|n| ran.err.contains(&line(n))), "{ran}");
    let ran = here.strata("evaluate model ../prepared --max-sentences 3");
    let words = "3 of 3 lines have no translation, line 1 first: the model's scores are no finite numbers";
    assert!(ran.code == Some(1) && ran.err.contains(words), "{ran}");
    let ran = here.strata("score model --prepared ../prepared --max-sentences 3");
    assert!(ran.code == Some(1) && ran.err.contains("3 of 3 lines are left out, line 1 first"), "{ran}");
}

#[test]
fn the_doctor_names_what_is_not_sound() {
    let here = folder("doctor");
    let plain = here.strata("doctor").succeeds();
    for words in
        ["strata        0.1.0 for ", "processor ", "threads", "memory ", "locale ", "port 5000 ", "MPI ", "Python "]
    {
        assert!(plain.out.contains(words), "no `{words}` in {plain}");
    }
    assert!(plain.out.lines().count() < 24, "more than a screen: {plain}");
    here.strata("export ../run --output packed").succeeds();
    for model in ["../run", "packed", "../run/checkpoints/step-000006"] {
        let found = here.strata(&format!("doctor {model} --json")).succeeds().json();
        assert_eq!(found["model"]["sound"], true, "{found}");
        assert!(found["model"]["about"].as_str().unwrap().contains("3 languages"), "{found}");
        assert!(found["model"]["files"].as_array().unwrap().len() >= 5, "{found}");
        assert!(found["machine"]["memory"]["most"].as_u64().unwrap() > 0, "{found}");
    }
    let path = here.path("packed/tokenizer.json");
    let whole = fs::read(&path).unwrap();
    change(&path, whole.len() / 2, &[whole[whole.len() / 2] ^ 1], true);
    let ran = here.strata("doctor packed");
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.out.contains("tokenizer.json is damaged (checksum differs)"), "{ran}");
    assert!(ran.out.trim_end().ends_with("not sound"), "{ran}");
    fs::remove_file(here.path("packed/SHA256SUMS")).unwrap();
    let ran = here.strata("doctor packed");
    assert!(ran.code == Some(1) && ran.out.contains("not sound: packed/SHA256SUMS is missing"), "{ran}");
    here.refuses("doctor nowhere", &["nowhere is not a model"]);
}

#[test]
fn a_model_that_no_machine_can_hold_is_refused_before_anything_is_made() {
    let here = folder("huge");
    for (command, words) in [
        ("train ../tiny.toml --set model.d_model=65536", "d_model = 65536: training a model of 103.2 billion"),
        ("train ../tiny.toml --set model.d_ffn=1048576 --set model.strata=[4000,4000]", "8859.5 GB of memory"),
        ("train ../tiny.toml --set model.encoder_layers=1024 --set model.d_model=4096", "1115.6 GB of memory"),
        ("bench train-step --d-model 65536", "--d-model 65536: training a model of 161.0 billion"),
        ("bench translate --d-model 65536", "a model of 314.6 billion parameters takes at least 1258.3 GB"),
        ("bench train-step --vocab 16000000 --d-model 2048", "529.4 GB of memory"),
    ] {
        // Not with the other messages: it says how much memory this machine has.
        here.strata(command).fails(&[words, ", and this machine has "]);
    }
    assert!(here.files().is_empty());
}

#[test]
fn models_that_are_none() {
    let here = folder("models");
    here.refuses("translate nowhere --to qaa", &["nowhere is not a model: it does not exist"]);
    here.refuses("translate ../bitext --to qaa", &["bitext is not a model", "config.json"]);
    here.refuses("translate ../tiny.toml --to qaa", &["tiny.toml is not a model: it is a file"]);
    here.copy("../run/checkpoints/step-000006", "model");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "languages.json", "SHA256SUMS"] {
        fs::rename(here.path("model").join(file), here.path("aside")).unwrap();
        here.refuses("translate model --to qaa", &[&format!("model/{file} is missing")]);
        here.refuses("evaluate model ../prepared", &[&format!("model/{file} is missing")]);
        here.refuses("inspect model", &[&format!("model/{file} is missing")]);
        fs::rename(here.path("aside"), here.path("model").join(file)).unwrap();
    }
    here.write("begun/recipe.toml", "");
    fs::create_dir(here.path("begun/checkpoints")).unwrap();
    here.refuses("translate begun --to qaa", &["begun is not a model: the run has no checkpoint yet"]);
    here.refuses("inspect model --variant dense", &["--variant and --set are for recipes"]);
}

#[test]
fn a_language_into_itself_is_translated_by_a_model_that_has_learned_it() {
    let here = folder("into-itself");
    here.copy("../run/checkpoints/step-000006", "model");
    let mut languages: Value = serde_json::from_str(&here.read("model/languages.json")).unwrap();
    let directions = languages["directions"].as_array_mut().unwrap();
    let into_english = directions.iter_mut().find(|direction| direction["target"] == "en").unwrap();
    into_english["source"] = "en".into();
    here.write("model/languages.json", languages.to_string());
    here.bash("cd model && rm SHA256SUMS && sha256sum * > ../sums && mv ../sums SHA256SUMS").succeeds();
    for [from, to] in [["en", "en"], ["eng", "eng"], ["en", "eng"]] {
        here.strata_reading(&format!("translate model --from {from} --to {to}"), "The dog.\n").succeeds();
    }
}

#[test]
fn lines_and_languages_of_translate() {
    let here = folder("translate-faults");
    here.refuses("translate ../run --to qax", &["into `qax`", "en, qaa, qab", "did you mean `qaa`?"]);
    here.refuses("translate ../run --to qaa --from enn", &["from `enn`", "did you mean `en`?"]);
    here.refuses("translate ../run --to qaa nowhere.txt --output out", &["nowhere.txt is missing"]);
    here.refuses("translate ../run --to qaa ../bitext", &["bitext: it is a folder"]);
    here.refuses("translate ../run --to qaa --beam 0", &["--beam 0"]);
    here.refuses("translate ../run --to qaa --nbest 0", &["--nbest 0"]);
    here.refuses("translate ../run --to qaa --nbest 9999", &["--nbest 9999", "1024"]);
    here.refuses("translate ../run --to qaa --device cuda:0", &["without cuda"]);
    here.refuses(
        "translate ../run --to qaa --output no/folder/out",
        &["cannot write no/folder/out: there is no folder no/folder"],
    );
    here.write("in.txt", "The dog sees the cat.\n");
    here.refuses("translate ../run --to qaa in.txt --output in.txt", &["in.txt is also an input"]);
    here.refuses("translate ../run --from qaa --to qaa in.txt", &["--from qaa --to qaa: name two languages"]);
    here.refuses("translate ../run --from eng --to en in.txt", &["--from eng --to en: name two languages"]);
    here.write("in.md", "The dog sees the cat.\n");
    here.refuses("translate ../run --from eng --to en in.md", &["--from eng --to en: name two languages"]);
    here.write("latin1.txt", b"dog = a\n\xfc = b\n");
    here.refuses("translate ../run --to qaa --glossary latin1.txt in.txt", &["latin1.txt, line 2: not valid UTF-8"]);
    let lines: [&[u8]; 3] = [b"The dog sees the cat.\n", b"The \xff cat.\n", b"The cat sees the dog.\n"];
    here.write("bad.txt", lines.concat());
    let ran = here.records(here.strata("translate ../run --whole-lines --to qaa bad.txt --json"));
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(ran.err.contains("bad.txt, line 2: not valid UTF-8 (byte 5 of the line)"), "{ran}");
    assert!(ran.err.contains("1 of 3 lines could not be translated"), "{ran}");
    let good = [lines[0], b"\n", lines[2]].concat();
    let good = here.strata_reading("translate ../run --whole-lines --to qaa --json", good).succeeds();
    let (found, expected): (Vec<&str>, Vec<&str>) = (ran.out.lines().collect(), good.out.lines().collect());
    assert_eq!((found.len(), found[0], found[2]), (3, expected[0], expected[2]));
    let error = "not valid UTF-8 (byte 5 of the line), see --encoding";
    assert_eq!(found[1], format!(r#"{{"line":2,"source":"","translations":[],"error":"{error}"}}"#));
}

#[test]
fn what_evaluate_cannot_score() {
    let here = folder("evaluate-faults");
    here.refuses("evaluate ../run ../bitext --output s", &["../bitext: it has no languages.json", "strata prepare"]);
    here.refuses("evaluate ../run ../prepared --output s --split dev", &["split `dev` has no sentences"]);
    here.refuses("evaluate ../run ../prepared --output s --directions en-qax", &["no direction `en-qax`", "en-qaa"]);
    here.refuses("evaluate ../run ../prepared --bleu-tokenizer 13b", &["13b"]);
    for name in ["ja-mecab", "ko-mecab"] {
        let words = [&format!("`{name}` needs MeCab"), "use char or", "flores200", "use none"];
        here.refuses(&format!("evaluate ../run ../prepared --bleu-tokenizer {name}"), &words);
    }
    here.refuses("evaluate ../run ../prepared --max-sentences 1 --baseline nowhere", &["nowhere is not a model"]);
    here.write("three", "a\nb\nc\n");
    here.write("two", "a\nb\n");
    here.write("latin1", b"a\n\xfc\n");
    here.write("none", "");
    let counts = ["two has 2 lines but three has 3", "line n of one must translate line n of the other"];
    here.refuses("evaluate --hypotheses two --references three", &counts);
    here.refuses("evaluate --hypotheses three --references three --baseline-hypotheses two", &counts);
    here.refuses("evaluate --hypotheses nowhere --references three", &["nowhere is missing"]);
    here.refuses("evaluate --hypotheses latin1 --references two", &["latin1, line 2: not valid UTF-8", "iconv"]);
    here.refuses("evaluate --hypotheses none --references none", &["no hypotheses", "none is empty"]);
    here.refuses("evaluate --hypotheses two --references none", &["two has 2 lines but none has 0"]);
    here.refuses("evaluate --hypotheses three --references three two", &["three has 3 lines but two has 2"]);
    here.refuses("evaluate --hypotheses . --references two", &["cannot read .: it is a folder"]);
    here.refuses("evaluate --hypotheses two --references two .", &["cannot read .: it is a folder"]);
    let endless = "/dev/zero, line 1: longer than 16,777,216 bytes; break it into lines";
    here.refuses("evaluate --hypotheses two --references /dev/zero", &[endless]);
    let utf16: Vec<u8> = "\u{feff}a\nb\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    here.write("utf16", &utf16);
    let read = here.strata_reading("evaluate --hypotheses - --references two", &utf16).succeeds();
    assert_eq!(read.out, here.strata("evaluate --hypotheses two --references two").succeeds().out);
    here.strata("evaluate --hypotheses utf16 --references two").succeeds();
    let half: Vec<u8> = [0xfeff, 0x61, 0x0a, 0xd800, 0x0a].into_iter().flat_map(u16::to_le_bytes).collect();
    here.write("half", half);
    here.refuses("evaluate --hypotheses half --references two", &["half, line 2: not valid UTF-8", "iconv"]);
    here.write("cut.gz", b"\x1f\x8b\x08\0");
    here.refuses("evaluate --hypotheses cut.gz --references two", &["cannot read cut.gz"]);
}

#[test]
fn documents_of_great_size_are_refused_in_bounded_memory() {
    let test = "documents_of_great_size_are_refused_in_bounded_memory";
    let here = folder("great-documents");
    let line = "<p id='1'>The <b>old</b> <i>dog</i> <b>sees</b> a cat.</p>\n";
    here.write("tags.xml", format!("<r>{}</r>", line.repeat(1_000_000)));
    // Nothing but a hole in the disk.
    fs::File::create(here.path("hole.json")).unwrap().set_len(300 << 20).unwrap();
    for (file, words) in [("tags.xml", "more than 2000000 tags"), ("hole.json", "a file of 314572800 bytes")] {
        let ran = here.bash(&format!("ulimit -v 2000000 || exit 9; exec \"$STRATA\" translate ../run --to qaa {file}"));
        if ran.code == Some(9) {
            return strata_testing::skip(test, "no ulimit");
        }
        here.records(ran.fails(&["cannot read", file, words]));
    }
}

#[test]
fn no_space_left_loses_no_checkpoint() {
    let here = folder("no-space");
    here.copy("../run", "run");
    here.edit("run/recipe.toml", "\nupdates = 6 ", "\nupdates = 8 ");
    let before: Vec<_> =
        here.files().into_iter().filter(|(path, _)| path.starts_with(here.path("run/checkpoints"))).collect();
    // Files may not grow beyond 64 KB, which the weights need. Without the trap a signal would end the program.
    let ran = here.bash("trap '' XFSZ; ulimit -f 64; exec \"$STRATA\" train --resume run");
    let words = ["cannot write run/checkpoints/step-000008/model.safetensors: no space left", "Free some space"];
    here.records(ran.fails(&words));
    let after: Vec<_> =
        here.files().into_iter().filter(|(path, _)| path.starts_with(here.path("run/checkpoints"))).collect();
    assert!(before == after, "the earlier checkpoints are as they were, and nothing is beside them");
    here.strata("train --resume run").succeeds();
    here.strata("train ../tiny.toml --output whole --set train.updates=8").succeeds();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read = |run: &str| fs::read(here.path(run).join("checkpoints/step-000008").join(file)).unwrap();
        assert!(read("run") == read("whole"), "{file} differs from that of a run that was never short of space");
    }
    let before = here.files();
    let ran = here.bash("trap '' XFSZ; ulimit -f 8; exec \"$STRATA\" prepare ../bitext --output p --vocab-size 400");
    here.records(ran.fails(&["cannot write"]));
    assert!(before == here.files(), "prepare left something");
}

#[test]
fn benchmarks_of_nothing() {
    let here = folder("bench-faults");
    for (option, words) in [
        ("--batch 0", "--batch 0 is too small"),
        ("--length 0", "--length 0 is too small"),
        ("--steps 0", "--steps 0 is too small"),
        ("--vocab 4", "--vocab 4 is too small"),
        ("--heads 3", "heads = 3 does not divide"),
        ("--strata 4,x", "`x` is not a number of experts"),
        ("--device tpu", "no device `tpu`"),
    ] {
        here.refuses(&format!("bench train-step --d-model 16 --d-ffn 16 {option}"), &[words]);
    }
    here.refuses("bench training --shapes A,Z", &["--shapes Z", "A, B, C, D, E, F"]);
    here.refuses("bench training --shapes e", &["shapes E", "prepared folder"]);
    here.refuses("bench train-step nowhere", &["nowhere"]);
    here.refuses("bench train-step ../prepared --tokens-per-batch 0", &["--tokens-per-batch 0"]);
    here.refuses("bench training --steps 0", &["strata ended with", "--steps 0"]);
}
