//! An imported mixture of experts, tiny and random, whose languages have codes of FLORES: analyzed, and pruned with any
//! pivot.

use serde_json::{Value, json};

use crate::common::{Folder, folder};

/// English pairs with German alone, German with French besides.
const TEXTS: [(&str, [(&str, &str); 2]); 2] = [
    ("eng_Latn-deu_Latn", [("eng_Latn", "We saw the"), ("deu_Latn", "Wir sahen")]),
    ("deu_Latn-fra_Latn", [("deu_Latn", "Heute lesen wir"), ("fra_Latn", "Nous lisons le")]),
];
const SPLITS: [(&str, [&str; 4]); 3] = [
    ("train", ["house", "garden", "old book", "winter"]),
    ("valid", ["river", "black dog", "paper", "summer"]),
    ("test", ["tree", "song", "white bird", "morning"]),
];

/// `nllb`, and `prepared`, bitext as it has it.
fn imported(name: &str) -> Folder {
    let here = folder(name);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/tests/golden/nllb-moe");
    here.strata(&format!("import {golden} nllb")).succeeds();
    for (split, words) in SPLITS {
        for (pair, sides) in TEXTS {
            for (language, text) in sides {
                let lines: String = words.iter().map(|word| format!("{text} {word}.\n")).collect();
                here.write(&format!("bitext/{split}.{pair}.{language}"), lines);
            }
        }
    }
    here.strata("prepare bitext --subword-model nllb --output prepared").succeeds();
    here
}

fn names(report: &Value, key: &str) -> Vec<String> {
    let mut names: Vec<String> =
        report[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_imported_mixture_is_pruned_with_any_pivot() {
    let here = imported("imported-prune");
    let prune = "prune nllb prepared --beam 1 --json";
    // By any code; English is kept whatever the model calls it.
    let ran = here.strata(&format!("{prune} --languages de --keep 0.75 --output de")).succeeds();
    let found = ran.json();
    assert_eq!((&found["languages"], &found["pivot"]), (&json!(["deu_Latn"]), &json!("eng_Latn")));
    assert_eq!(names(&found, "directions"), ["deu_Latn-eng_Latn", "eng_Latn-deu_Latn"]);
    assert_eq!((&found["without_text"], &found["strata_after"]), (&json!([]), &json!([3])));
    assert!(!ran.err.contains("left out"), "{ran}");
    // Another pivot, without English.
    let french = here.strata(&format!("{prune} --languages fra --pivot deu --keep 0.5 --output fr")).succeeds().json();
    assert_eq!(names(&french, "directions"), ["deu_Latn-fra_Latn", "fra_Latn-deu_Latn"]);
    let scored = french["after"]["directions"].as_array().unwrap();
    assert_eq!(scored.len(), 2, "{french}");
    // What the corpus lacks is said and left out.
    let ran = here.strata(&format!("{prune} --languages fr,de-AT,uk --keep 0.75 --output both")).succeeds();
    let both = ran.json();
    let lacking = ["eng_Latn-fra_Latn", "eng_Latn-ukr_Cyrl", "fra_Latn-eng_Latn", "ukr_Cyrl-eng_Latn"];
    assert_eq!(names(&both, "without_text"), lacking);
    assert_eq!(both["directions"].as_array().unwrap().len(), 4, "{both}");
    assert!(ran.err.contains("left out") && ran.err.contains("fra_Latn-eng_Latn"), "{ran}");
    let prune = "prune nllb prepared --keep 0.5 --output bad";
    let unsaid = here.strata_reading("translate nllb --to de", "We saw the river.\n");
    unsaid.fails(&["must be told the language", "arb_Arab, ... (202)", "(--from LANG)"]);
    here.refuses(&format!("{prune} --languages de --pivot qax"), &["no language `qax`", "... (202)"]);
    here.refuses(&format!("{prune} --languages uk"), &["no sentences of ukr_Cyrl with eng_Latn"]);
    here.refuses("prune nllb prepared --languages de --keep 1,0.5,0.5 --output bad", &["--keep", "0.6,0.2"]);
    here.refuses("prune nllb prepared --languages de --keep 1,2 --output bad", &["--keep 2 must be"]);
    here.refuses(
        "prune ../run ../prepared --languages qaa --keep 1,0.5 --output bad",
        &["--keep 1,0.5: the blocks of SMoE-2-2 are alike"],
    );
}

#[test]
fn encoder_and_decoder_are_pruned_apart() {
    let here = imported("imported-shares");
    let prune = "prune nllb prepared --languages de --beam 1 --json";
    let found = here.strata(&format!("{prune} --keep 1,0.5 --output small")).succeeds().json();
    let kept = |block: usize| found["blocks"][block]["kept"].as_array().unwrap().len();
    assert_eq!((kept(0), kept(1)), (4, 2), "{found}");
    let config: Value = serde_json::from_str(&here.read("small/config.json")).unwrap();
    assert_eq!((&config["experts"], &config["block_experts"]), (&json!(4), &json!([4, 2])));
    assert_eq!(here.strata("inspect small --json").succeeds().json()["parameters"], found["parameters_after"]);
    for precision in ["f32", "int8"] {
        let translate = format!("translate small --from en --to de --precision {precision}");
        here.strata_reading(&translate, "We saw the river.\n").succeeds();
    }
    // In every form, and once more.
    here.strata("export small --output packed").succeeds();
    let analyzed = here.strata("analyze packed prepared --json").succeeds().json();
    assert_eq!(analyzed["directions"].as_array().unwrap().len(), 4);
    let groups = analyzed["groups"].as_array().unwrap();
    let group = |name: &str| groups.iter().find(|group| group["name"] == name).map(|group| &group["directions"]);
    assert_eq!(
        [group("from en"), group("into en"), group("other")],
        [Some(&json!(1)), Some(&json!(1)), Some(&json!(2))]
    );
    let again =
        here.strata("prune small prepared --languages fr --pivot de --keep 0.75,1 --output smaller --json --beam 1");
    assert_eq!(again.succeeds().json()["strata_after"], json!([3]));
    let config: Value = serde_json::from_str(&here.read("smaller/config.json")).unwrap();
    assert_eq!((&config["experts"], &config["block_experts"]), (&json!(3), &json!([3, 2])));
    here.refuses("export smaller --format huggingface --output hf", &["equally many experts"]);
}

/// A corpus that calls languages otherwise than the model.
#[test]
fn a_corpus_with_other_codes_is_routed() {
    let here = imported("imported-codes");
    for (split, _) in SPLITS {
        for (theirs, ours) in [("eng_Latn", "en"), ("deu_Latn", "de")] {
            let text = here.read(&format!("bitext/{split}.eng_Latn-deu_Latn.{theirs}"));
            here.write(&format!("short/{split}.en-de.{ours}"), text);
        }
    }
    here.strata("prepare short --subword-model ../prepared --output short-prepared").succeeds();
    let blocks = |data: &str| {
        let json = here.strata(&format!("analyze nllb {data} --json")).succeeds().json();
        json["blocks"].clone()
    };
    here.strata("prepare bitext --languages eng_Latn,deu_Latn --subword-model nllb --output long-prepared").succeeds();
    assert_eq!(blocks("short-prepared"), blocks("long-prepared"));
    let prune = "prune nllb short-prepared --languages deu_Latn --keep 0.5 --output small --beam 1 --json";
    let found = here.strata(prune).succeeds().json();
    assert_eq!(
        (names(&found, "directions"), &found["languages"]),
        (vec!["de-en".into(), "en-de".into()], &json!(["deu_Latn"]))
    );
}
