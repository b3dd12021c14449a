//! Several models.

use serde_json::json;

use crate::common::http::{Server, TEXT, folder, get, post};

#[test]
fn several_models_are_loaded_when_they_are_asked_for() {
    let here = folder("serve-several");
    here.strata("export ../served/run --output packed").succeeds();
    let server = Server::start(&here, "first=../served/run second=packed");
    let loaded = |name: &str| {
        let line = format!("strata_model_loaded{{model=\"{name}\"}} 1");
        get(&server, "/metrics").body.contains(&line)
    };
    assert!(!loaded("first") && !loaded("second"));
    let mut ask = json!({ "q": TEXT, "source": "en", "target": "qaa", "model": "second" });
    let found = post(&server, "/translate", &ask).json();
    assert!(loaded("second") && !loaded("first"));
    ask.as_object_mut().unwrap().remove("model");
    assert_eq!(post(&server, "/translate", &ask).json(), found);
    assert!(loaded("first"));
    // A model that is damaged later is this request's fault alone.
    here.refuses("serve a=../served/run a=packed --port 0", &["two models are named `a`"]);
    here.refuses("serve nowhere --port 0", &["nowhere"]);
    here.refuses("serve ../served/run --port 0 --origin example.org", &["origin"]);
    std::fs::remove_file(here.path("packed/packed.safetensors")).unwrap();
    let broken = Server::start(&here, "ok=../served/run broken=packed");
    ask["model"] = "broken".into();
    let answer = post(&broken, "/translate", &ask);
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(!answer.body.contains("safetensors"), "{}", answer.body);
    ask["model"] = "ok".into();
    assert_eq!(post(&broken, "/translate", &ask).status, 200);
    assert!(broken.stop().err.contains("safetensors"));
}
