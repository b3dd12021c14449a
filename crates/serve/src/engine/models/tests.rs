use std::sync::Mutex as StdMutex;
use std::sync::mpsc::channel;

use strata_translate::Placement;

use super::*;
use crate::log::Entry;
use crate::settings::{ConnectionLimits, ModelSource, RequestLimits};

/// Settings for one model whose weights are missing.
fn without_weights(dir: &std::path::Path, log: crate::log::Logger) -> Settings {
    let path = dir.join("m");
    std::fs::create_dir(&path).unwrap();
    let languages =
        r#"{"version": 1, "thresholds": {"high_from": 1, "very_low_to": 0}, "languages": [], "directions": []}"#;
    std::fs::write(path.join("languages.json"), languages).unwrap();
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
    let models = Arc::new(Models::open(&without_weights(dir.path(), log)).unwrap());
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
