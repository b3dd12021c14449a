use std::sync::Mutex as StdMutex;
use std::sync::mpsc::channel;

use serde_json::json;
use strata_translate::Placement;

use super::*;
use crate::log::Entry;
use crate::settings::{ConnectionLimits, ModelSource, RequestLimits};

/// Settings for one model whose weights are missing, with directions and how much text each has.
fn without_weights(dir: &std::path::Path, directions: &[(&str, &str, u64)], log: crate::log::Logger) -> Settings {
    let path = dir.join("m");
    std::fs::create_dir(&path).unwrap();
    let tags: BTreeSet<&str> = directions.iter().flat_map(|(source, target, _)| [*source, *target]).collect();
    let language = |tag: &&str| json!({ "tag": tag, "train_pairs": 1, "level": "high" });
    let direction = |(source, target, pairs): &(&str, &str, u64)| {
        json!({ "source": source, "target": target, "pair": format!("{source}-{target}"), "swapped": false,
                "train": pairs, "valid": 0, "test": 0, "level": "high" })
    };
    let languages = json!({
        "version": 1,
        "thresholds": { "high_from": 1, "very_low_to": 0 },
        "languages": tags.iter().map(language).collect::<Vec<_>>(),
        "directions": directions.iter().map(direction).collect::<Vec<_>>(),
    });
    std::fs::write(path.join("languages.json"), languages.to_string()).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "SHA256SUMS"] {
        std::fs::write(path.join(name), "no model").unwrap();
    }
    Settings {
        models: vec![ModelSource { name: "m".to_string(), path }],
        placement: Placement::default(),
        beam: 1,
        most_loaded: 1,
        unload_after: None,
        released: Arc::new(|| {}),
        hosts: Vec::new(),
        url_prefix: String::new(),
        suggestions: None,
        queue: 10,
        request: RequestLimits::default(),
        connection: ConnectionLimits::default(),
        keys: None,
        certificate: None,
        origins: Vec::new(),
        log,
    }
}

#[test]
fn a_load_goes_on_when_its_client_leaves_and_everyone_waits_for_that_one() {
    let dir = tempfile::tempdir().unwrap();
    let (tell, told) = channel();
    let (go, wait) = channel::<()>();
    let wait = StdMutex::new(wait);
    // Logging the failure is the end of a load: the test holds it up there.
    let log = Arc::new(move |entry: &Entry| {
        let _ = tell.send(entry.message.clone());
        let _ = wait.lock().unwrap().recv();
    });
    let models = Arc::new(Models::open(&without_weights(dir.path(), &[], log)).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let ask = || {
        let models = models.clone();
        runtime.spawn(async move { models.get(&models.all()[0]).await.map(|_| ()) })
    };
    let first = ask();
    let failure = told.recv_timeout(Duration::from_secs(60)).expect("a load that fails");
    first.abort();
    assert!(runtime.block_on(first).unwrap_err().is_cancelled());
    let others = [ask(), ask()];
    let second = told.recv_timeout(Duration::from_millis(300));
    assert!(second.is_err(), "{second:?} beside {failure}");
    drop(go);
    for other in others {
        let error = runtime.block_on(other).unwrap().unwrap_err();
        assert!(error.message.contains("m cannot be loaded"), "{error:?}");
    }
    assert!(told.try_recv().is_err(), "those who waited loaded it again");
    // Whoever asks later tries again.
    assert!(runtime.block_on(ask()).unwrap().is_err());
    assert!(told.try_recv().is_ok());
}

#[test]
fn the_languages_of_a_target_are_put_together_once_for_all_texts() {
    let dir = tempfile::tempdir().unwrap();
    let directions = [("en", "de", 9), ("fr", "de", 20), ("de", "en", 9)];
    let models = Models::open(&without_weights(dir.path(), &directions, Arc::new(|_| {}))).unwrap();
    let made = || models.sources.iter().filter_map(|(key, made)| Some((key, made.get()?))).collect::<Vec<_>>();
    assert!(made().is_empty());
    let text = "Where the old dog of our neighbors sleeps, nobody knows.";
    assert_eq!(models.identify_source(text, "de", None).unwrap().0, "en");
    let first = made();
    assert_eq!(first.len(), 1);
    let (of, sources) = first[0];
    assert_eq!((of, &sources.usual), (&("de".to_string(), None), &vec!["fr".to_string(), "en".to_string()]));
    assert_eq!(models.identify_source("Der alte Hund schläft hinter dem Haus.", "de", None).unwrap().0, "de");
    assert_eq!(models.identify_source("12", "de", None).unwrap(), ("fr", 0.0));
    assert!(made().len() == 1 && std::ptr::eq(made()[0].1, sources), "each text makes them anew");
    assert_eq!(models.identify_source(text, "en", Some("m")).unwrap().0, "en");
    assert_eq!(made().len(), 2);
}

#[test]
fn where_nothing_is_translated_into_a_language_a_text_is_not_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let models = Models::open(&without_weights(dir.path(), &[("en", "de", 9)], Arc::new(|_| {}))).unwrap();
    let error = models.identify_source("Der alte Hund schläft.", "en", None).unwrap_err();
    assert!(error.message.contains("nothing is translated into it"), "{error:?}");
    let error = models.identify_source("Der alte Hund schläft.", "de", Some("other")).unwrap_err();
    assert!(error.message.contains("there is no such model; there are: m"), "{error:?}");
}
