//! A model that copies its source: whatever comes out differently was changed by the program.

use std::path::{Path, PathBuf};

use strata_translate::{Placement, SearchOptions, Term, TranslateOptions, Translator};

/// The folder of the model and the cases, if it is there.
fn field(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/field");
    if !folder.join("copy-model").is_dir() {
        strata_testing::skip(test, "../shared/field/copy-model is missing");
        return None;
    }
    Some(folder)
}

fn translated(folder: &Path, lines: &[&str], options: &TranslateOptions) -> Vec<String> {
    let translator = Translator::open(&folder.join("copy-model"), &Placement::default()).unwrap();
    let found = translator.translate(lines, None, "de", options).unwrap();
    found
        .into_iter()
        .map(|line| {
            assert_eq!(line.shortfall, None, "{}", line.candidates[0].text);
            line.candidates.into_iter().next().unwrap().text
        })
        .collect()
}

/// Asserts that each line is its own translation.
fn come_back(folder: &Path, lines: &[String]) {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let found = translated(folder, &lines, &TranslateOptions::default());
    let wrong: Vec<_> = lines.iter().zip(&found).filter(|(line, found)| line != found).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn paragraphs_come_back_whole() {
    let Some(folder) = field("paragraphs_come_back_whole") else { return };
    let text = std::fs::read_to_string(folder.join("cases/para-one-line.txt")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // The model itself writes "ten minute minute" here, also where the sentence stands alone.
    let hard = "The program saves the document every ten minutes.";
    let alone = translated(&folder, &[hard], &TranslateOptions::default()).remove(0);
    let whole_lines = TranslateOptions { whole_lines: true, ..TranslateOptions::default() };
    assert_eq!(translated(&folder, &[hard], &whole_lines), [alone.as_str()], "nothing is put around it");
    assert!(alone.starts_with("The program saves the document every ten minute"), "{alone}");
    let expected: Vec<String> = lines.iter().map(|line| line.replace(hard, &alone)).collect();
    assert_eq!(translated(&folder, &lines, &TranslateOptions::default()), expected);
}

#[test]
fn what_the_model_cannot_know_comes_back() {
    let Some(folder) = field("what_the_model_cannot_know_comes_back") else { return };
    let mut lines = Vec::new();
    for case in ["emoji-oov.txt", "url-query.txt"] {
        lines.extend(std::fs::read_to_string(folder.join("cases").join(case)).unwrap().lines().map(str::to_string));
    }
    let more = [
        "Click {ключ} now.",
        "Open %(имя)s and %s, then ${x} and %1$d.",
        "x!=y",
        "See www.example.org/a?b=c!d now.",
        "Open the file 👩\u{200d}💻 and close 1️⃣ the window 🇩🇪.",
        "🎉🎉",
        "→ Open the file ✓",
        "The word Привет and the word こんにちは are here.",
        "Write to first.last@example.org or open /etc/hosts.",
        "Open <b>the</b> file &amp; close it.",
        "Press {{ key }} {% now %} to close the window.",
        "{x}{y} %d%s",
        "Name:\tOpen the file.\t\tClose the window.",
        "  Open the file.  Close the window.\u{a0} Press Enter. ",
        "It is 5\u{a0}km to the file.",
        "100 %",
        "   ",
        "",
    ];
    lines.extend(more.map(str::to_string));
    come_back(&folder, &lines);
}

#[test]
fn alignments_change_nothing_of_the_text() {
    let Some(folder) = field("alignments_change_nothing_of_the_text") else { return };
    let search = SearchOptions { alignments: true, ..SearchOptions::default() };
    let lines = ["Open the dia\u{ad}logue.", "It is 5\u{a0}km to the  file.", "\u{200f}Open\u{200e} the\u{200b} file."];
    assert_eq!(translated(&folder, &lines, &search.into()), lines);
}

#[test]
fn terms_are_found_in_what_is_copied() {
    let Some(folder) = field("terms_are_found_in_what_is_copied") else { return };
    let terms =
        [("Привет", "Hallo"), ("мир", "Welt"), ("x", "y"), ("menu", "Menü™Ω")].map(|(a, b)| Term::new(a, b).unwrap());
    let options = TranslateOptions {
        glossary: Some(std::sync::Arc::new(terms.into_iter().collect())),
        ..TranslateOptions::default()
    };
    let lines = [
        "The word Привет is here.",
        "Привет мир",
        "Привет! Open the file.",
        "Open {x} and click 世界, мир.",
        "Open the menu.",
    ];
    let expected = [
        "The word Hallo is here.",
        "Hallo Welt",
        "Hallo! Open the file.",
        "Open {x} and click 世界, Welt.",
        "Open the Menü™Ω.",
    ];
    assert_eq!(translated(&folder, &lines, &options), expected);
}

#[test]
fn punctuation_that_was_hardly_seen_comes_back() {
    let Some(folder) = field("punctuation_that_was_hardly_seen_comes_back") else { return };
    let mut lines = Vec::new();
    for c in "“”„‘’«»…—–‑·•¿¡。！？「」、§†№™°′‰×≤→■€£`´µ<>#@~^{}|\\=+".chars()
    {
        let around = [format!("Open {c} the file."), format!("Open the{c} file."), format!("{c}Open the file{c}")];
        lines.extend(around);
    }
    come_back(&folder, &lines);
}

#[test]
fn words_with_letters_that_were_hardly_seen_come_back() {
    let Some(folder) = field("words_with_letters_that_were_hardly_seen_come_back") else { return };
    let mut lines = Vec::new();
    let words = ["ÇA VA BIEN", "ça va bien", "C\u{327}a va", "ΟΧΙ", "İ", "STRAẞE", "Ａｂｃ Open", "Open ｆｉｌｅ now"];
    lines.extend(words.map(str::to_string));
    for c in "ÂÇÊçòžẞ".chars() {
        let around =
            [format!("Open {c}A now."), format!("Open the Ba{c}a."), format!("{c}a, the {c}!"), format!("THE BA{c}A")];
        lines.extend(around);
    }
    come_back(&folder, &lines);
    let translator = Translator::open(&folder.join("copy-model"), &Placement::default()).unwrap();
    assert!(translator.copied("la fenêtre").is_empty(), "the letter is rare alone, not in this word");
}

#[test]
fn runs_of_end_marks_come_back() {
    let Some(folder) = field("runs_of_end_marks_come_back") else { return };
    let lines = [
        "What do you want now?! Close it.",
        "Open the file now?!?!",
        "“What do you want now?!” Stop!!",
        "Really…? Open it...?",
    ];
    assert_eq!(translated(&folder, &lines, &TranslateOptions::default()), lines);
    let search = SearchOptions { alignments: true, ..SearchOptions::default() };
    assert_eq!(translated(&folder, &lines, &search.into()), lines);
    // Where tokens are asked for, the last one has what came back.
    let translator = Translator::open(&folder.join("copy-model"), &Placement::default()).unwrap();
    let task = translator.task(None, "de", &search.into()).unwrap();
    let text = "(What do you want now?!)";
    let part = translator.translate_parts(&[text], &task).unwrap().remove(0);
    let trace = &part.targets[0].trace;
    let covered: String = trace.tokens.iter().map(|token| &trace.text[token.range.clone()]).collect();
    assert_eq!((trace.text.as_str(), covered.as_str()), (text, text));
}

#[test]
fn alternatives_and_alignments_are_of_the_text_and_not_of_stand_ins() {
    let Some(folder) = field("alternatives_and_alignments_are_of_the_text_and_not_of_stand_ins") else { return };
    let search = SearchOptions { beam: 4, nbest: 3, alignments: true, ..SearchOptions::default() };
    let translator = Translator::open(&folder.join("copy-model"), &Placement::default()).unwrap();
    let text = "😆 Open {x} now. Close {{ the }} window.";
    let found = translator.translate(&[text], None, "de", &search.into()).unwrap().remove(0);
    assert!(found.candidates.len() <= 3);
    let best = &found.candidates[0];
    assert_eq!(best.text, text);
    // 😆 is copied around the model; all other words attend to themselves.
    let own: Vec<(u32, u32)> = (1..4).chain([4, 5, 8]).map(|i| (i, i)).collect();
    assert!(own.iter().all(|pair| best.alignment.contains(pair)), "{:?}", best.alignment);
}

#[test]
fn what_no_model_sees_comes_back() {
    let Some(folder) = field("what_no_model_sees_comes_back") else { return };
    let lines = [
        "Open the dia\u{ad}logue.",
        "Open\u{200b}the file\u{200b} now.",
        "\u{200f}Open the file\u{200e}.",
        "\u{202b}Open\u{202c} the file.",
        "Open the\u{2060} file and e\u{301}le\u{301}ment.",
        "Open \u{1} the file.\u{1a}",
        "Open \u{1b}[1mthe\u{1b}[0m file.",
        "\u{feff}Open the file.\u{2028}Click the icon.\u{85}Open\u{3000}it.",
        "½ cup",
    ];
    assert_eq!(translated(&folder, &lines, &TranslateOptions::default()), lines);
}
