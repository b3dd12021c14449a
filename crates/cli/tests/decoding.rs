//! What the CPU engine offers through the binary: packed folders, 8-bit integers, workers, search options, scores of
//! given translations, other programs' formats.

mod common;

use common::{Ran, folder};
use serde_json::Value;

const TEXT: &str = "The old dog sees the cat.\nThe children like songs.\nA bird sings in the garden.\n";

#[test]
fn a_packed_folder_translates_as_its_model_does() {
    let here = folder("packed");
    let plain = here.strata_reading("translate ../run --whole-lines --to qaa --nbest 3", TEXT).succeeds();
    let said = here.strata("export ../run --output packed").succeeds();
    assert!(said.err.contains("packed"), "{said}");
    let packed = here.strata_reading("translate packed --whole-lines --to qaa --nbest 3", TEXT).succeeds();
    assert_eq!(packed.out, plain.out);
    // Weights packed on loading and weights packed before are the same numbers.
    for (precision, other) in [("bf16", "int8"), ("int8", "bf16")] {
        let translate = |model: &str, more: &str| {
            here.strata_reading(&format!("translate {model} --whole-lines --to qaa --nbest 3{more}"), TEXT)
        };
        let asked = format!(" --precision {precision}");
        let loaded = translate("../run", &asked).succeeds();
        translate("packed", &asked).fails(&["packed in", precision]);
        here.strata(&format!("export ../run --output packed --overwrite{asked}")).succeeds();
        for more in ["", &asked] {
            assert_eq!(translate("packed", more).succeeds().out, loaded.out);
        }
        translate("packed", &format!(" --precision {other}")).fails(&["packed in", precision, other]);
    }
    let json = here.strata("evaluate packed ../prepared --max-sentences 3 --beam 2 --json").succeeds().json();
    assert_eq!(json["directions"].as_array().unwrap().len(), 4);
}

#[test]
fn exports_do_not_replace_by_accident() {
    let here = folder("export-again");
    here.strata("export ../run --output out").succeeds();
    here.refuses("export ../run --output out", &["out", "exists"]);
    here.refuses("export ../run --output other --format ctranslate2", &["CTranslate2", "dense"]);
    here.refuses("export nowhere --output other", &["nowhere", "does not exist"]);
    let whole = here.read("out/packed.json");
    here.write("out/packed.json", whole.replace("\"format_version\": 2", "\"format_version\": 999"));
    here.records(here.strata_reading("translate out --to qaa", TEXT).fails(&["packed.json"]));
    here.write("out/packed.json", whole);
    std::fs::remove_file(here.path("out/packed.safetensors")).unwrap();
    here.records(here.strata_reading("translate out --to qaa", TEXT).fails(&["packed.safetensors"]));
}

#[test]
fn a_dense_model_is_exported_to_ctranslate2() {
    let here = folder("ctranslate2");
    here.strata("train ../tiny.toml --variant dense").succeeds();
    here.strata("export run --output ct2 --format ctranslate2").succeeds();
    let vocabulary: Vec<String> = serde_json::from_str(&here.read("ct2/shared_vocabulary.json")).unwrap();
    assert_eq!((vocabulary.len(), vocabulary[1].as_str()), (400, "</s>"));
    assert!(here.path("ct2/model.bin").metadata().unwrap().len() > 400 * 16 * 4);
    here.refuses("export run --output ct3 --format ctranslate2 --precision int8", &["--precision", "compute_type"]);
}

#[test]
fn workers_batches_and_threads_change_nothing() {
    let here = folder("workers");
    here.write("many.txt", TEXT.repeat(15));
    let one = here.strata("translate ../run --whole-lines --to qaa --scores many.txt --threads 1").succeeds();
    for arguments in ["--threads 2", "--threads 2 --workers 2", "--threads 4 --workers 3", "--tokens-per-batch 20"] {
        let other =
            here.strata(&format!("translate ../run --whole-lines --to qaa --scores many.txt {arguments}")).succeeds();
        assert_eq!(other.out, one.out, "{arguments}");
    }
}

#[test]
fn forced_scores_are_those_of_the_search() {
    let here = folder("score");
    here.write("source.txt", TEXT);
    let json = |arguments: &str| -> Vec<Value> {
        let ran = here.strata(arguments).succeeds();
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let found = json("translate ../run --whole-lines --to qaa --json source.txt --max-length 8");
    let texts: Vec<&str> = found.iter().map(|line| line["translations"][0]["text"].as_str().unwrap()).collect();
    here.write("target.txt", texts.join("\n") + "\n");
    let scored = json("score ../run --to qaa source.txt target.txt --json");
    let plain = here.strata("score ../run --to qaa source.txt target.txt").succeeds();
    let number = |value: &Value| value.as_f64().unwrap();
    let mut compared = 0;
    for ((scored, plain), found) in scored.iter().zip(plain.out.lines()).zip(&found) {
        let tokens = scored["tokens"].as_array().unwrap();
        let sum: f64 = tokens.iter().map(|token| number(&token["score"])).sum();
        assert!((number(&scored["sum"]) - sum).abs() < 1e-3);
        assert!((number(&scored["score"]) - plain.parse::<f64>().unwrap()).abs() < 1e-3);
        assert!((number(&scored["score"]) - sum / tokens.len() as f64).abs() < 1e-4);
        assert_eq!(tokens.last().unwrap()["piece"], "</s>");
        // The subwords that the search chose, as far as the text is cut into the same ones again.
        for (ours, searched) in tokens.iter().zip(found["translations"][0]["tokens"].as_array().unwrap()) {
            if ours["piece"] != searched["piece"] {
                break;
            }
            assert!((number(&ours["score"]) - number(&searched["score"])).abs() < 1e-3, "{ours} against {searched}");
            compared += 1;
        }
    }
    assert!(compared > 0);
    // The references of a held-out set: the same losses, summed by direction.
    let lost = json("score ../run --prepared ../prepared --directions en-qaa --max-sentences 5 --json");
    assert_eq!(lost.len(), 5);
    let [source, reference] =
        ["en", "qaa"].map(|language| here.read(&format!("../prepared/text/test.en-qaa.{language}")));
    here.write("s.txt", source.lines().take(5).map(|line| line.to_string() + "\n").collect::<String>());
    here.write("r.txt", reference.lines().take(5).map(|line| line.to_string() + "\n").collect::<String>());
    let of_files = json("score ../run --to qaa s.txt r.txt --json");
    let (mut sum, mut subwords) = (0.0, 0);
    for (lost, file) in lost.iter().zip(&of_files) {
        assert!((number(&lost["nll"]) + number(&file["sum"])).abs() < 1e-4, "{lost} {file}");
        assert_eq!(lost["subwords"].as_u64().unwrap() as usize, file["tokens"].as_array().unwrap().len());
        (sum, subwords) = (sum + number(&lost["nll"]), subwords + lost["subwords"].as_u64().unwrap());
    }
    let table = here.strata("score ../run --prepared ../prepared --directions en-qaa --max-sentences 5").succeeds();
    assert!(table.out.contains(&format!("{:.4}", sum / subwords as f64)), "{table}");
    assert_eq!(here.strata("score ../run --prepared ../prepared --to qaa").code, Some(2));
    assert_eq!(here.strata("score ../run s.txt r.txt --to qaa --split valid").code, Some(2));
    here.write("short.txt", "x\n");
    here.refuses("score ../run --to qaa source.txt short.txt", &["source.txt", "3 lines", "1"]);
    here.write("long.txt", "dog ".repeat(200) + "\n");
    let ran = here.records(here.strata("score ../run --to qaa long.txt short.txt"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), "\n"), "{ran}");
    assert!(ran.err.contains("long.txt, line 1"), "{ran}");
}

#[test]
fn prefixes_and_glossaries_are_kept_to() {
    let here = folder("forced");
    let target = here.read("../bitext/test.en-qaa.qaa");
    let words: Vec<&str> = target.split_whitespace().take(2).collect();
    here.write("prefixes.txt", format!("{}\n\n{}\n", words[0], words[1]));
    let ran = here.strata_reading("translate ../run --whole-lines --to qaa --prefixes prefixes.txt", TEXT).succeeds();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with(words[0]) && lines[2].starts_with(words[1]), "{ran}");
    here.write("three.txt", TEXT);
    for (prefixes, fault) in [("the\nthe\n", "fewer lines than the text"), ("\n\n\n\n", "more lines than the text")] {
        here.write("prefixes.txt", prefixes);
        here.refuses("translate ../run --to qaa three.txt --prefixes prefixes.txt", &["prefixes.txt", fault]);
    }
    here.write("terms.txt", format!("# ours\ndog={}\nsongs = {}\n", words[1], words[0]));
    let ran = here.strata_reading("translate ../run --whole-lines --to qaa --glossary terms.txt", TEXT).succeeds();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].contains(words[1]) && lines[1].contains(words[0]), "{ran}");
    here.write("bad.txt", "dog\n");
    here.refuses(
        "translate ../run --whole-lines --to qaa --glossary bad.txt",
        &["bad.txt", "line 1", "term=translation"],
    );
}

#[test]
fn translations_of_documents_are_kept_and_those_cut_off_reported() {
    let here = folder("documents");
    here.write("in.md", "The dog sings a song.\n");
    here.strata("translate ../run --to qaa in.md").succeeds();
    here.write("in.qaa.md", "edited\n");
    here.refuses("translate ../run --to qaa in.md", &["in.qaa.md exists", "--overwrite"]);
    assert_eq!(here.read("in.qaa.md"), "edited\n");
    let ran = here.strata("translate ../run --to qaa in.md --overwrite --max-ratio 0.01 --max-extra 3 --min-length 3");
    assert!(ran.code == Some(1) && ran.err.contains("in.md: `The dog sings a song.`"), "{ran}");
    assert_ne!(here.read("in.qaa.md"), "edited\n");
    here.refuses("translate ../run --to qaa in.md in.md --overwrite", &["in.md and in.md", "in.qaa.md"]);
    here.write("in.csv", "1,\"a\"\n");
    here.refuses("translate ../run --to qaa in.csv", &["in.csv", "standard input", "not translated"]);
    here.write("in.pdf", "%PDF-1.4\n");
    let refused = here.records(here.strata("translate ../run --to qaa in.pdf").fails(&["in.pdf: PDF files hold"]));
    assert!(!refused.err.contains("request") && !refused.err.contains("standard input"), "{refused}");
}

#[test]
fn many_warnings_are_counted_and_an_unlearned_direction_is_said_once() {
    let here = folder("warnings");
    here.write("many.txt", "The dog sings a song.\n".repeat(17));
    let warnings = |ran: &Ran| ran.err.lines().filter(|line| line.starts_with("warning: ")).count();
    here.write("bad.txt", b"\xff\n".repeat(17));
    let ran = here.strata("translate ../run --to qaa bad.txt --from en");
    assert!(ran.code == Some(1) && warnings(&ran) == 11, "{ran}");
    assert!(ran.err.contains("17 of 17 lines could not be translated"), "{ran}");
    let cut = here.strata("translate ../run --to qaa many.txt --max-ratio 0.01 --max-extra 3 --min-length 3");
    assert!(cut.code == Some(1) && warnings(&cut) == 11, "{cut}");
    assert!(cut.err.contains("17 of 17 translations may lack text; --json marks them"), "{cut}");
    for (from, to, learned) in [("en", "qaa", true), ("qaa", "qab", false)] {
        let ran = here.strata(&format!("translate ../run --from {from} --to {to} many.txt"));
        let said = format!("warning: the model has not learned to translate from {from} into {to}");
        assert_eq!(ran.err.matches(&said).count(), usize::from(!learned), "{ran}");
        let ran = here.strata(&format!("score ../run --from {from} --to {to} many.txt many.txt"));
        assert_eq!(ran.err.matches(&said).count(), usize::from(!learned), "{ran}");
    }
}

#[test]
fn lengths_repetitions_samples_and_alignments() {
    let here = folder("options");
    let json = |arguments: &str| -> Vec<Value> {
        let ran = here
            .strata_reading(&format!("translate ../run --whole-lines --to qaa --json {arguments}"), TEXT)
            .succeeds();
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let length = |line: &Value| line["translations"][0]["tokens"].as_array().unwrap().len();
    assert!(json("--max-length 3").iter().all(|line| length(line) <= 3));
    assert!(json("--min-length 12 --max-length 12").iter().all(|line| length(line) == 12));
    for line in json("--no-repeat-ngram 1 --min-length 8") {
        let tokens = line["translations"][0]["tokens"].as_array().unwrap();
        let mut pieces: Vec<&str> = tokens.iter().map(|token| token["piece"].as_str().unwrap()).collect();
        pieces.sort_unstable();
        let count = pieces.len();
        pieces.dedup();
        assert_eq!(pieces.len(), count);
    }
    let sample = |seed: u32, more: &str| {
        here.strata_reading(&format!("translate ../run --whole-lines --to qaa --sample --seed {seed}{more}"), TEXT)
            .succeeds()
            .out
    };
    assert_eq!(sample(1, ""), sample(1, ""));
    assert_ne!(sample(1, ""), sample(2, ""));
    assert_eq!(sample(1, " --nbest 3").lines().count(), 3 * TEXT.lines().count());
    let ran = here.records(here.strata("translate ../run --to qaa --sample --beam 8 in.txt"));
    assert!(ran.code == Some(2) && ran.err.contains("'--sample' cannot be used with '--beam <N>'"), "{ran}");
    let aligned =
        here.strata_reading("translate ../run --whole-lines --to qaa --alignments --min-length 5", TEXT).succeeds();
    for (line, source) in aligned.out.lines().zip(TEXT.lines()) {
        let (text, pairs) = line.split_once(" ||| ").unwrap();
        let words = |text: &str| text.split_whitespace().count();
        assert!(!pairs.is_empty() || words(text) == 0, "{line}");
        for pair in pairs.split_whitespace() {
            let (s, t) = pair.split_once('-').unwrap();
            assert!(s.parse::<usize>().unwrap() < words(source) && t.parse::<usize>().unwrap() < words(text), "{line}");
        }
    }
    let piece = json("--min-length 4")[0]["translations"][0]["tokens"][0]["piece"].as_str().unwrap().to_string();
    let without = here
        .strata_reading(
            &format!("translate ../run --whole-lines --to qaa --json --min-length 4 --suppress {piece}"),
            TEXT,
        )
        .succeeds();
    assert!(!without.out.contains(&format!("\"{piece}\"")), "{without}");
    let ran = here.records(here.strata("translate ../run --whole-lines --to qaa --top-k 5"));
    assert!(ran.code == Some(2) && ran.err.contains("--sample"), "{ran}");
}

#[test]
fn the_speed_of_decoding_is_json() {
    let here = folder("bench-translate");
    let shape = "--layers 2 --d-model 16 --d-ffn 32 --heads 2 --vocab 50 --sentences 3 --source-length 4 \
                 --target-length 5 --runs 1";
    let ran =
        here.strata(&format!("bench translate {shape} --strata 2,2 --batch 2,1 --beam 2 --precision int8")).succeeds();
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["tokens_per_second"].as_f64().unwrap() > 0.0 && line["precision"] == "int8"));
    assert!(lines[0]["latency_p50_ms"].is_null() && lines[1]["latency_p95_ms"].as_f64().unwrap() > 0.0);
    here.refuses("bench translate --batch 0", &["--batch 0"]);
}

#[test]
fn the_speed_on_a_text_is_json_and_translates_it() {
    let here = folder("bench-text");
    here.write("source.txt", TEXT);
    let run = "bench text ../run source.txt --to qaa --batch 2,1 --runs 1 --beam 2 --output out.txt";
    let ran = here.strata(run).succeeds();
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let figure = |line: &Value, key: &str| line[key].as_f64().unwrap_or(0.0);
    assert!(lines.iter().all(|line| line["sentences"] == 3 && figure(line, "peak_memory_mb") > 0.0));
    assert!(lines.iter().all(|line| figure(line, "tokens_per_second") >= figure(line, "text_tokens_per_second")));
    assert!(lines[0]["latency_p50_ms"].is_null() && figure(&lines[1], "latency_p95_ms") > 0.0);
    let translated = here.strata("translate ../run --whole-lines --to qaa --beam 2 source.txt").succeeds();
    assert_eq!(here.read("out.txt"), translated.out);
    here.refuses("bench text ../run source.txt --to qaa --batch 0", &["--batch 0"]);
    here.write("empty.txt", "a\n\nb\n");
    here.refuses("bench text ../run empty.txt --to qaa", &["line 2", "0 subwords"]);
}

#[test]
fn a_vocabulary_map_limits_what_translations_have() {
    let here = folder("vocabulary");
    here.write("source.txt", TEXT);
    let sizes = here.strata("vocabulary ../prepared --output map.json --json").succeeds().json();
    let size = |sizes: &Value| sizes["languages"][0]["subwords"].as_u64().unwrap();
    assert_eq!((sizes["vocabulary"].as_u64(), sizes["languages"].as_array().unwrap().len()), (Some(400), 3));
    let fewer = here.strata("vocabulary ../prepared --output fewer.json --min-count 50 --json").succeeds().json();
    assert!(size(&fewer) < size(&sizes) && size(&sizes) < 400, "{fewer} {sizes}");
    here.strata("evaluate ../run ../prepared --max-sentences 2 --beam 2 --vocabulary-map map.json").succeeds();

    // The same from the plain text of the training corpus, but for sentences that preparing leaves out.
    let text = "vocabulary ../run --text qaa=../bitext/train.en-qaa.qaa --output text.json --json";
    let text = here.strata(text).succeeds().json();
    let of_qaa = sizes["languages"].as_array().unwrap().iter().find(|size| size["language"] == "qaa").unwrap();
    let [from_text, from_shards] = [&text["languages"][0], of_qaa].map(|size| size["subwords"].as_u64().unwrap());
    assert!(text["languages"].as_array().unwrap().len() == 1 && from_text >= from_shards, "{text} {sizes}");
    here.strata("evaluate ../run ../prepared --directions en-qaa --max-sentences 2 --vocabulary-map text.json")
        .succeeds();
    here.refuses("vocabulary ../run --text qaa=nowhere --output x", &["nowhere"]);
    here.refuses("vocabulary ../run --text xx=source.txt --output x", &["into `xx`", "en, qaa, qab"]);

    // With next to no subwords left there are next to none in the translations.
    let mut map: Value = serde_json::from_str(&here.read("map.json")).unwrap();
    let some: Vec<Value> =
        map["languages"]["qaa"]["ids"].as_array().unwrap().iter().rev().take(3).rev().cloned().collect();
    map["languages"]["qaa"]["ids"] = [vec![Value::from(1)], some].concat().into();
    here.write("small.json", map.to_string());
    let run = "translate ../run --whole-lines --to qaa --json source.txt --nbest 4 --vocabulary-map small.json";
    let pieces = |output: &str| -> std::collections::BTreeSet<String> {
        let lines = output.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let tokens = lines.flat_map(|line| line["translations"].as_array().unwrap().clone());
        let tokens = tokens.flat_map(|found| found["tokens"].as_array().unwrap().clone());
        tokens.map(|token| token["piece"].as_str().unwrap().to_owned()).collect()
    };
    assert!(pieces(&here.strata(run).succeeds().out).len() <= 4);
    // What is asked for may be used nevertheless.
    here.write("prefixes.txt", "the\nthe\nthe\n");
    let out = here.strata(&format!("{run} --prefixes prefixes.txt")).succeeds().out;
    assert!(pieces(&out).len() > 1 && out.contains("\"text\":\"the"), "{out}");

    here.refuses(
        "translate ../run --whole-lines --to qab source.txt --vocabulary-map source.txt",
        &["source.txt", "strata vocabulary"],
    );
    here.write("other.json", here.read("map.json").replace("\"vocab_size\":400", "\"vocab_size\":500"));
    here.refuses(
        "translate ../run --whole-lines --to qab source.txt --vocabulary-map other.json",
        &["another subword model"],
    );
    map["languages"]["qaa"]["ids"] = Value::from(vec![7, 5]);
    here.write("damaged.json", map.to_string());
    here.refuses(
        "translate ../run --whole-lines --to qaa source.txt --vocabulary-map damaged.json",
        &["damaged.json", "qaa"],
    );
    here.refuses("vocabulary .. --output map.json", &["languages.json"]);
}

#[test]
fn a_packed_map_is_used_unasked_where_it_covers_held_out_text() {
    let here = folder("packed-map");
    here.write("source.txt", TEXT);
    let sizes = here.strata("vocabulary ../prepared --output map.json --json").succeeds().json();
    let covers = |size: &Value| size["covers"].as_f64().is_some_and(|covers| (0.5..=1.0).contains(&covers));
    assert!(sizes["languages"].as_array().unwrap().iter().all(covers), "{sizes}");
    // Three subwords for one language, with the word that they are enough; for another without.
    let mut map: Value = serde_json::from_str(&here.read("map.json")).unwrap();
    let ids = |map: &Value, language: &str| map["languages"][language]["ids"].as_array().unwrap().clone();
    let few: Vec<Value> = [vec![Value::from(1)], ids(&map, "qaa").split_off(ids(&map, "qaa").len() - 2)].concat();
    for (language, covers) in [("qaa", 0.9995), ("qab", 0.9985)] {
        map["languages"][language] = serde_json::json!({ "ids": few, "covers": covers });
    }
    here.write("few.json", map.to_string());
    let said = here.strata("export ../run --output packed --vocabulary-map few.json").succeeds().err;
    assert!(said.contains("qaa") && said.contains("uses 3 of 400 subwords; they cover 99.95 %"), "{said}");
    assert!(said.contains("uses 400 of 400 subwords; they cover 99.85 %"), "{said}");
    here.strata("doctor packed").succeeds();
    let lines =
        |flags: &str| here.strata(&format!("translate {flags} --whole-lines --min-length 4 source.txt")).succeeds().out;
    for (language, same) in [("qaa", false), ("qab", true)] {
        let whole = lines(&format!("../run --to {language}"));
        assert_eq!(lines(&format!("packed --to {language}")) == whole, same, "{language}");
        assert_eq!(lines(&format!("packed --to {language} --whole-vocabulary")), whole);
        let of_map = |model: &str| lines(&format!("{model} --to {language} --vocabulary-map map.json"));
        assert_eq!(of_map("packed"), of_map("../run"));
    }
    here.refuses(
        "export ../run --output x --format ctranslate2 --vocabulary-map few.json",
        &["--vocabulary-map", "packed"],
    );
    map["languages"].as_object_mut().unwrap().values_mut().for_each(|language| language["covers"] = Value::Null);
    here.write("unproved.json", map.to_string());
    here.refuses("export ../run --output x --vocabulary-map unproved.json", &["unproved.json", "99.9 %"]);
    here.write("other.json", map.to_string().replace("\"vocab_size\":400", "\"vocab_size\":500"));
    here.refuses("export ../run --output x --vocabulary-map other.json", &["another subword model"]);
}

#[test]
fn a_line_that_is_not_text_has_an_error_and_no_score_in_json() {
    let here = folder("json-error");
    let ran = here.strata_reading("translate ../run --whole-lines --to qaa --json", b"\xff\xff\nThe dog.\n");
    assert_eq!(ran.code, Some(1), "{ran}");
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines[0]["error"].as_str().unwrap().contains("UTF-8") && lines[0]["translations"] == Value::from(vec![0; 0])
    );
    assert!(lines[1].get("error").is_none() && lines[1]["translations"][0]["score"].is_number());
}

#[test]
fn benchmarks_refuse_what_no_memory_takes_and_what_has_no_effect() {
    let here = folder("bench-limits");
    let tiny = "--d-model 16 --d-ffn 16 --heads 2 --layers 1 --vocab 100 --steps 1";
    here.strata(&format!("bench train-step {tiny} --batch 99999999 --length 99999999")).fails(&["--batch", "at most"]);
    here.strata(&format!("bench train-step {tiny} --tokens-per-batch 5")).fails(&["--tokens-per-batch", "DATA"]);
    let text = "bench text ../run ../bitext/test.en-qaa.en --to qaa";
    here.strata(&format!("{text} --tokens-per-batch 5")).fails(&["--tokens-per-batch", "--batch"]);
    here.strata(&format!("{text} --runs 0")).fails(&["--runs 0"]);
}
