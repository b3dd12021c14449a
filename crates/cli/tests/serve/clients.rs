//! Other people's clients, unchanged.

use crate::common::http::{Server, TEXT, folder, get};
use crate::common::new_key;
use crate::common::python;

#[test]
fn other_peoples_clients_work_unchanged() {
    let here = folder("serve-clients");
    let Some(python) = python(&here, "other_peoples_clients_work_unchanged", "libretranslatepy, deepl") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/serve_clients.py");
    let server = Server::start(&here, "../served/run");
    here.bash(&format!("\"{python}\" {script} http://{} en qaa '{TEXT}'", server.address)).succeeds();
    let made = here.strata("serve --new-key alice").succeeds();
    let (key, line) = new_key(&made);
    here.write("keys.txt", line);
    let server = Server::start(&here, "../served/run --keys keys.txt");
    let run = |key: &str| here.bash(&format!("\"{python}\" {script} http://{} en qaa '{TEXT}' {key}", server.address));
    let said = run(&key).succeeds();
    assert!(said.out.contains("deepl usage: "), "{said}");
    assert_ne!(run("wrong").code, Some(0));
}

#[test]
fn answers_are_as_the_description_says() {
    let here = folder("serve-schemathesis");
    let Some(python) = python(&here, "answers_are_as_the_description_says", "schemathesis") else { return };
    let server = Server::start(&here, "../served/run");
    let url = format!("http://{}", server.address);
    // Languages are named one by one, but not every direction is translated: 400 is right for some requests that fit.
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                  negative_data_rejection,unsupported_method";
    let options = "--phases examples,coverage,fuzzing --max-examples 20 --seed 1 --request-timeout 60";
    let run = format!("\"{python}\" -m schemathesis.cli run {url}/spec --url {url} --checks {checks} {options}");
    let ran = here.bash(&run);
    assert_eq!(ran.code, Some(0), "{ran}");
    // Nobody read the server's log meanwhile.
    assert_eq!(get(&server, "/health").status, 200);
}
