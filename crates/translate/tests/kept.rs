//! Folders of released versions: every later version reads them, and translates as they did (docs/stability.md).
//!
//! `kept-0.1.0` is a tiny SMoE, trained on the first language of `strata fetch synthetic`, and what
//! `strata export --precision int8` made of it.

use std::path::Path;

use strata_translate::{Placement, SearchOptions, TranslateOptions, Translator};

const TEXTS: [&str; 3] = [
    "Your five strange roads break my five warm stars near your stone.",
    "My sister does not lose your cat.",
    "See https://example.org, please.",
];

/// What each folder made of [`TEXTS`] when it was kept: texts, and scores.
const KEPT: [(&str, [(&str, f32); 3]); 2] = [
    (
        "kept-0.1.0/model",
        [
            ("Nopisu pisu larim pisin.", -1.062_902_3),
            ("Nopisu pisu larim pisin.", -1.059_423_7),
            ("Nopisu boma boma tenininininininin. https://example.orgNopisu boma boma su lar larim sin.", -1.314_775_1),
        ],
    ),
    (
        "kept-0.1.0/packed-int8",
        [
            ("Nopisu pisu larim pisin.", -1.061_884),
            ("Nopisu pisu larim pisin.", -1.060_007_6),
            ("Nopisu boma boma senininininininin. https://example.orgNopisu boma boma su lar larim ren.", -1.317_416_4),
        ],
    ),
];

#[test]
fn folders_of_every_release_translate_as_they_did() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let options = TranslateOptions::from(SearchOptions { beam: 5, ..SearchOptions::default() });
    for (folder, expected) in KEPT {
        let translator = Translator::open(&tests.join(folder), &Placement::default()).unwrap();
        let found = translator.translate(&TEXTS, None, "qaa", &options).unwrap();
        for (line, (text, score)) in found.iter().zip(expected) {
            let best = &line.candidates[0];
            assert_eq!(best.text, text, "{folder}");
            assert!((best.score - score).abs() < 1e-4, "{folder}: {}, then {score}: {text}", best.score);
        }
    }
}
