//! The requested capacity of a model.

use serde_json::Value;

use crate::common::folder;
use crate::number;

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
    here.copy("../prepared", "long");
    for entry in std::fs::read_dir(here.path("long/text")).unwrap() {
        std::fs::write(entry.unwrap().path(), format!("{}\n", "dog ".repeat(90)).repeat(3)).unwrap();
    }
    let words = ["long: the model can read none of the 12 pairs of the test split", "longer than its 64 subwords"];
    here.refuses("analyze ../run long", &words);
    here.refuses("capacity ../run long --capacity 1.2 --output out", &["none of the 12 pairs of the valid split"]);
}
