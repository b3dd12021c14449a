//! What routing is used for: pruned models, and models with another capacity.

use serde_json::Value;

use crate::common::folder;
use crate::number;

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
    // What would be found only when the smaller model is scored.
    let prune_qaa = format!("{prune} --languages qaa --keep 0.5");
    here.refuses(&format!("{prune_qaa} --beam 0"), &["--beam"]);
    here.refuses(&format!("{prune_qaa} --vocabulary-map nowhere"), &["nowhere"]);
    here.refuses(&format!("{prune_qaa} --device tpu"), &["tpu"]);
    here.copy("../prepared", "untested");
    for pair in ["en-qaa", "en-qab"] {
        let [source, target] =
            ["en", &pair[3..]].map(|language| here.path(&format!("untested/text/test.{pair}.{language}")));
        [source, target].iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
    let prune_untested = "prune ../run untested --output out --languages qaa --keep 0.5";
    here.refuses(prune_untested, &["untested", "the split `test` has no sentences"]);
    here.write("out/mine", "");
    here.refuses(&format!("{prune} --languages qaa --keep 0.5"), &["out exists", "--overwrite"]);
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
