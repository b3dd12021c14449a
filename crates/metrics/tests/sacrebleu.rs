//! Answers equal to sacreBLEU's, recorded by `bench/check_sacrebleu.sh --record` over sentences of our own.

mod jobs;

use serde_json::Value as Json;

/// Strings and whole numbers must be the same; floats may differ by the rounding of one logarithm.
fn differs(path: &str, expected: &Json, found: &Json) -> Option<String> {
    let complaint = || Some(format!("{path}: sacreBLEU has {expected}, we have {found}"));
    match (expected, found) {
        (Json::Number(e), Json::Number(f)) => {
            let (e, f) = (e.as_f64()?, f.as_f64()?);
            if (e - f).abs() <= 1e-12 * e.abs() { None } else { complaint() }
        }
        (Json::Array(e), Json::Array(f)) if e.len() == f.len() => {
            e.iter().zip(f).enumerate().find_map(|(i, (e, f))| differs(&format!("{path}[{i}]"), e, f))
        }
        (Json::Object(e), Json::Object(f)) if e.len() == f.len() => {
            e.iter().find_map(|(key, e)| differs(&format!("{path}.{key}"), e, &f[key]))
        }
        _ if expected == found => None,
        _ => complaint(),
    }
}

#[test]
fn recorded_answers_are_reproduced() {
    let document: jobs::Document = serde_json::from_str(include_str!("sacrebleu.json")).unwrap();
    assert!(document.jobs.len() >= 40, "only {} jobs", document.jobs.len());
    assert_eq!(document.jobs.len(), document.expected.len());
    let answers = document.answers().unwrap();
    let mut complaints = Vec::new();
    for ((job, expected), found) in document.jobs.iter().zip(&document.expected).zip(&answers) {
        complaints.extend(differs("answer", expected, found).map(|complaint| format!("{job:?}\n    {complaint}")));
    }
    assert!(complaints.is_empty(), "{} answers differ:\n{}", complaints.len(), complaints.join("\n"));
}
