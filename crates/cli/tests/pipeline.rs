//! The main job from bitext to scores, as a user goes through it, and every kind of model.

mod common;

use std::fs;

use serde_json::Value;

use common::{Folder, folder};

const LINES: &str = "The dog sees the cat.\n\nTwo old farmers did not buy the red house.\nThe children like songs.\n";

fn weights(here: &Folder, run: &str) -> Vec<u8> {
    fs::read(here.path(run).join("last/model.safetensors")).unwrap()
}

#[test]
fn translate_takes_lines_from_anywhere_and_keeps_their_order() {
    let here = folder("translate");
    let plain = here.strata_reading("translate ../run --whole-lines --to qaa", LINES).succeeds().out;
    let lines: Vec<&str> = plain.split('\n').collect();
    assert_eq!((lines.len(), lines[1], lines[4]), (5, "", ""), "{plain:?}");
    // One by one, in files, from both, with line ends of another system, without the last one: the same lines.
    let each: String = LINES
        .lines()
        .map(|line| here.strata_reading("translate ../run --whole-lines --to qaa", format!("{line}\n")).succeeds().out)
        .collect();
    assert_eq!(each, plain);
    let (first, rest) = LINES.split_at(LINES.find("Two").unwrap());
    here.write("a.txt", first);
    here.write("b.txt", rest);
    assert_eq!(here.strata("translate ../run --whole-lines --to qaa a.txt b.txt").succeeds().out, plain);
    assert_eq!(here.strata_reading("translate ../run --whole-lines --to qaa a.txt -", rest).succeeds().out, plain);
    assert_eq!(
        here.strata_reading("translate ../run --whole-lines --to qaa", LINES.replace('\n', "\r\n")).succeeds().out,
        plain
    );
    assert_eq!(here.strata_reading("translate ../run --whole-lines --to qaa", LINES.trim_end()).succeeds().out, plain);
    // In another encoding: UTF-16 by its mark or its bytes, others by their name. What comes out is UTF-8.
    let utf16: Vec<u8> = format!("\u{feff}{LINES}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    here.write("utf16.txt", &utf16);
    assert_eq!(here.strata("translate ../run --whole-lines --to qaa utf16.txt").succeeds().out, plain);
    assert_eq!(here.strata_reading("translate ../run --whole-lines --to qaa", &utf16).succeeds().out, plain);
    assert_eq!(here.strata_reading("translate ../run --whole-lines --to qaa", &utf16[2..]).succeeds().out, plain);
    here.write("latin1.txt", b"Caf\xe9\n");
    let named = here.strata("translate ../run --whole-lines --to qaa --encoding latin1 latin1.txt").succeeds().out;
    assert_eq!(named, here.strata_reading("translate ../run --whole-lines --to qaa", "Caf\u{e9}\n").succeeds().out);
    let unnamed = here.strata("translate ../run --whole-lines --to qaa latin1.txt");
    assert!(
        unnamed.err.contains("latin1.txt, line 1: not valid UTF-8 (byte 4 of the line), see --encoding"),
        "{unnamed}"
    );
    let other = here.strata("translate ../run --whole-lines --to qaa --encoding shift_jis latin1.txt");
    assert!(other.err.contains("latin1.txt, line 1: not valid Shift_JIS"), "{other}");
    here.write("latin1.srt", b"1\n00:01:00,000 --> 00:01:02,000\n\xe9 3 \x80\n");
    here.strata("translate ../run --to qaa --encoding windows-1252 latin1.srt").succeeds();
    assert!(fs::read(here.path("latin1.qaa.srt")).unwrap().ends_with(b" 3 \x80\n"), "in the encoding it came in");
    let written = here.strata("translate ../run --whole-lines --to qaa a.txt b.txt --output out.txt").succeeds();
    assert_eq!((written.out.as_str(), here.read("out.txt")), ("", plain));
    assert_eq!(here.strata("translate ../run --whole-lines --to qaa").succeeds().out, "", "no line in, no line out");
}

#[test]
fn translate_gives_scores_candidates_and_json() {
    let here = folder("translate-formats");
    let plain: Vec<String> = here
        .strata_reading("translate ../run --whole-lines --to en", LINES)
        .succeeds()
        .out
        .lines()
        .map(str::to_string)
        .collect();
    let scored = here.strata_reading("translate ../run --whole-lines --to en --scores", LINES).succeeds();
    for (line, text) in scored.out.lines().zip(&plain) {
        let (score, of) = line.split_once('\t').unwrap();
        assert!(score.parse::<f64>().unwrap() <= 0.0 && of == text, "{scored}");
    }
    assert_eq!(scored.out.lines().count(), plain.len());

    let nbest = here.strata_reading("translate ../run --whole-lines --to en --nbest 3", LINES).succeeds();
    let rows: Vec<Vec<&str>> = nbest.out.lines().map(|line| line.split(" ||| ").collect()).collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    // An empty line has one candidate.
    assert_eq!(numbers, ["0", "0", "0", "1", "2", "2", "2", "3", "3", "3"], "{nbest}");
    for row in rows.chunk_by(|a, b| a[0] == b[0]) {
        let scores: Vec<f64> = row.iter().map(|row| row[2].parse().unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{nbest}");
        assert_eq!(row[0][1], plain[row[0][0].parse::<usize>().unwrap()]);
    }

    let json = here.strata_reading("translate ../run --whole-lines --to en --json --nbest 2", LINES).succeeds();
    let objects: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (i, (object, (source, text))) in objects.iter().zip(LINES.lines().zip(&plain)).enumerate() {
        assert_eq!((object["line"].as_u64(), object["source"].as_str()), (Some(i as u64 + 1), Some(source)));
        assert_eq!(object["translations"][0]["text"].as_str(), Some(text.as_str()));
        assert!(object["translations"][0]["score"].is_f64());
        assert_eq!(object["translations"].as_array().unwrap().len(), if source.is_empty() { 1 } else { 2 });
    }
    assert_eq!(objects.len(), 4);
}

#[test]
fn a_line_longer_than_the_model_takes_is_translated_in_parts() {
    let here = folder("long-line");
    // The model takes 64 subwords; this line has thousands.
    let long = "The old dog did not see the beautiful cat in the garden. ".repeat(200);
    let input = format!("The dog sees the cat.\n{long}\nThe children like songs.\n");
    let ran = here.strata_reading("translate ../run --whole-lines --to qaa --beam 1", input).succeeds();
    let lines: Vec<&str> = ran.out.lines().collect();
    let one = "The old dog did not see the beautiful cat in the garden.\n";
    let short = here.strata_reading("translate ../run --whole-lines --to qaa --beam 1", one).succeeds();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].len() >= 100 * short.out.trim().len(), "parts are missing: {ran}");
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let here = folder("pipe");
    here.write("many.txt", "The dog sees the cat.\n".repeat(20_000));
    let ran = here
        .bash("set -o pipefail; \"$STRATA\" translate ../run --whole-lines --to qaa --beam 1 many.txt | head -1")
        .succeeds();
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""));
    for command in ["train --list-keys", "inspect ../run", "evaluate ../run ../prepared --max-sentences 2 -q"] {
        let ran = here.bash(&format!("set -o pipefail; \"$STRATA\" {command} | true")).succeeds();
        assert_eq!(ran.err, "");
    }
}

#[test]
fn evaluate_scores_and_keeps_the_translations() {
    let here = folder("evaluate");
    let table = here.strata("evaluate ../run ../prepared --max-sentences 5 --beam 2 --output kept").succeeds();
    for words in [
        "qaa ",
        "qab ",
        "from en (2)",
        "into en (2)",
        "all (4)",
        "tok:13a",
        "\nchrF2    nrefs:1|",
        "\nchrF2++  nrefs:1|",
    ] {
        assert!(table.out.contains(words), "no `{words}` in {table}");
    }
    let json = here.strata("evaluate ../run ../prepared --max-sentences 5 --beam 2 --json").succeeds().json();
    assert_eq!(json["directions"].as_array().unwrap().len(), 4);
    for direction in json["directions"].as_array().unwrap() {
        let name = direction["direction"].as_str().unwrap();
        assert_eq!(direction["sentences"], 5);
        // What was kept gives the same scores when it is scored as files.
        let files = format!("--hypotheses kept/test.{name}.hyp --references kept/test.{name}.ref --json");
        let of_files = here.strata(&format!("evaluate {files}")).succeeds().json();
        for metric in ["bleu", "chrf2", "chrf2pp"] {
            assert_eq!(of_files[metric], direction[metric], "{name} {metric}");
            assert!((0.0..=100.0).contains(&direction[metric].as_f64().unwrap()));
        }
        assert_eq!(of_files["bleu_parts"], direction["bleu_parts"], "{name}");
        assert!(direction["bleu_parts"]["brevity_penalty"].as_f64().unwrap() <= 1.0);
        let (source, target) = name.split_once('-').unwrap();
        let pair = if source == "en" { format!("en-{target}") } else { format!("en-{source}") };
        for (kept, language) in [("src", source), ("ref", target)] {
            let original = here.read(&format!("../bitext/test.{pair}.{language}"));
            let first: String = original.lines().take(5).flat_map(|line| [line, "\n"]).collect();
            assert_eq!(here.read(&format!("kept/test.{name}.{kept}")), first);
        }
        let translated = here
            .strata(&format!("translate ../run --whole-lines --to {target} --beam 2 kept/test.{name}.src"))
            .succeeds();
        assert_eq!(here.read(&format!("kept/test.{name}.hyp")), translated.out);
    }
    let kept: Value = serde_json::from_str(&here.read("kept/scores.json")).unwrap();
    assert_eq!(kept["averages"], json["averages"]);
}

#[test]
fn evaluate_compares_two_systems() {
    let here = folder("compare");
    here.strata("train ../tiny.toml --variant dense").succeeds();
    let ran = here
        .strata("evaluate ../run ../prepared --max-sentences 5 --beam 1 --baseline run --directions en-qaa,qaa-en")
        .succeeds();
    let (_, differences) = ran.out.split_once("\ndifferences").expect(&ran.out);
    let named: Vec<Vec<&str>> =
        differences.lines().skip(1).map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(named, [["en-qaa", "BLEU"], ["en-qaa", "chrF2"], ["qaa-en", "BLEU"], ["qaa-en", "chrF2"]], "{ran}");
    let same = here
        .strata("evaluate run ../prepared --max-sentences 5 --beam 1 --baseline run --directions en-qaa")
        .succeeds();
    assert!(same.out.contains("no difference") && !same.out.contains("p = "), "{same}");
    let references = "the cat sat on the mat in the sun\n".repeat(30);
    here.write("ref", &references);
    here.write("good", &references);
    here.write("bad", "a dog lay by the door of the house\n".repeat(30));
    let json =
        here.strata("evaluate --hypotheses good --references ref --baseline-hypotheses bad --json").succeeds().json();
    assert_eq!((&json["sentences"], json["bleu"].as_f64().map(f64::round)), (&30.into(), Some(100.0)));
    let bleu = &json["comparison"][0];
    assert!(bleu["p_bootstrap"].as_f64().unwrap() < 0.01 && bleu["p_randomization"].as_f64().unwrap() < 0.01, "{json}");
}

#[test]
fn inspect_states_the_cost_before_and_after() {
    let here = folder("inspect");
    let recipe = here.strata("inspect ../tiny.toml --set data.vocabulary=400 --json").succeeds().json();
    let model = here.strata("inspect ../run --json").succeeds().json();
    for key in ["parameters", "flops_per_token"] {
        assert!(recipe[key].as_u64().unwrap() > 0, "{recipe}");
        assert_eq!(recipe[key], model[key]);
    }
    assert!(recipe["flops_per_token_measured"].is_null());
    let (least, most) = (dense_flops(&model), model["flops_per_token"].as_u64().unwrap() * 2);
    assert!((least..most).contains(&model["flops_per_token_measured"].as_u64().unwrap()), "{model}");
    // There are as many weights on disk as `inspect` says.
    let bytes = fs::metadata(here.path("../run/last/model.safetensors")).unwrap().len();
    let stated = 4 * model["parameters"].as_u64().unwrap();
    assert!((stated..stated + 20_000).contains(&bytes), "{bytes} bytes for {stated}");
    let text = here.strata("inspect ../tiny.toml --variant dense").succeeds().out;
    assert!(text.contains("dense") && !text.contains("experts"), "{text}");
}

fn dense_flops(model: &Value) -> u64 {
    model["dense_flops_per_token"].as_u64().unwrap()
}

#[test]
fn every_kind_of_model_learns_translates_and_repeats_itself() {
    let here = folder("kinds");
    let moe = "model.kind=moe model.strata=[] model.experts=4";
    for (name, sets) in [
        ("dense", "model.kind=dense model.strata=[]"),
        ("MoE-4", moe),
        ("MoE-4 + EOM", &format!("{moe} model.eom=0.1")),
        ("MoE-4", &format!("{moe} model.capacity_factor=0.5")),
        ("MoE-4", &format!("{moe} model.second_choice=gumbel")),
        ("Switch-4", "model.kind=switch model.strata=[] model.experts=4 model.top_k=1"),
        ("CMR-4", "model.kind=cmr model.strata=[] model.experts=4"),
        ("stacked 2x2", "model.kind=stacked"),
        ("SMoE-2-2", "model.normalization=paper"),
        ("SMoE-2-2", "model.normalization=reference"),
        ("SMoE-1-2, top-1", "model.strata=[1,2] model.top_k=1 model.capacity_factor=1.0"),
        ("SMoE-2-2-2 + EOM", "model.strata=[2,2,2] model.eom=0.2 model.second_choice=gumbel"),
    ] {
        let sets: String = sets.split(' ').map(|set| format!(" --set {set}")).collect();
        let train = |run: &str| {
            let ran = here.strata(&format!("train ../tiny.toml --output {run} --overwrite{sets}")).succeeds();
            assert!(ran.err.starts_with(&format!("model         {name}:")), "{ran}");
        };
        train("a");
        train("b");
        assert!(weights(&here, "a") == weights(&here, "b"), "{name}: the same recipe gave other weights");
        let losses: Vec<f64> = here
            .read("a/log.jsonl")
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["event"] == "valid")
            .map(|line| line["loss"].as_f64().unwrap())
            .collect();
        assert!(losses.len() == 2 && losses[1] < losses[0], "{name} does not learn: {losses:?}");
        let ran = here.strata_reading("translate a --to qaa --beam 2", LINES).succeeds();
        assert_eq!(ran.out.lines().count(), 4, "{ran}");
        assert_eq!(here.strata("inspect a --json").succeeds().json()["name"], name);
    }
}

#[test]
fn limited_capacity_drops_choices_and_says_so() {
    let here = folder("capacity");
    let ran = here.strata("train ../tiny.toml --set model.capacity_factor=0.25").succeeds();
    assert!(ran.err.contains("dropped"), "{ran}");
    let without = here.strata("train ../tiny.toml --output other").succeeds();
    assert!(!without.err.contains("dropped"), "{without}");
}

#[test]
fn quickstart_goes_through_to_the_table_and_does_not_begin_again() {
    let here = folder("quickstart");
    let sets = "data.vocabulary=400 data.tokens_per_batch=300 model.d_model=16 model.d_ffn=32 model.heads=2 \
                model.encoder_layers=2 model.decoder_layers=2 train.updates=4 train.log_every=1 train.validate_every=2 \
                train.validate_sentences=3 train.validate_bleu_every=4 train.validate_bleu_sentences=2 \
                train.checkpoint_every=2 train.average_last=2 train.threads=2 translate.beam=1 translate.max_ratio=0.5";
    let sets: String = sets.split_whitespace().map(|set| format!(" --set {set}")).collect();
    let command = format!("quickstart --synthetic --output it's/mine{sets}");
    let first = here.strata(&command).succeeds();
    for words in
        ["en->xx", "qad ", "all (8)", "model   it's/mine/averaged", "strata translate it's/mine/averaged --to qaa"]
    {
        assert!(first.out.contains(words), "no `{words}` in {first}");
    }
    assert!(first.out.contains(&here.read("it's/mine/report.txt")), "{first}");
    // The sentence to try is one of the corpus, which knows no English.
    let tried = first.out.split_once("echo '").and_then(|(_, rest)| rest.split_once("' | strata translate")).unwrap().0;
    let source = here.read("it's/mine/translations/test.en-qaa.src");
    assert!(source.lines().any(|line| line == tried), "`{tried}` is not in {source}");
    here.strata_reading("translate it's/mine/averaged --whole-lines --to qaa", LINES).succeeds();
    let again = here.strata(&command).succeeds();
    assert!(again.err.contains("resuming the run there") && again.err.contains("4 of 4 updates"), "{again}");
    assert!(again.out.contains("all (8)"), "{again}");
}
