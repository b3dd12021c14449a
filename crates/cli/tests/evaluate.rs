//! `strata evaluate` on files: known scores, and the very lines of the sacreBLEU that `STRATA_PYTHON` has.

mod common;

use std::io::Write;
use std::process::Command;

use common::{Folder, Ran, folder};
use strata_testing::skip;

const HYPOTHESES: &str = "The cat sat on a mat.\nIt rains again today, they say.\n\nPrices rose by 3.5% in May\n";
const REFERENCES: [&str; 2] = [
    "The cat sat on the mat.\nToday it is raining again.\nNobody came.\nPrices rose 3.5% in May.\n",
    "A cat was sitting on the mat.\nThey say that it rains again today.\nNo one came.\n\
     In May, prices rose by 3.5 percent.\n",
];

/// A folder with `hyp`, `ref1` and `ref2`.
fn scored(name: &str) -> Folder {
    let here = folder(name);
    here.write("hyp", HYPOTHESES);
    here.write("ref1", REFERENCES[0]);
    here.write("ref2", REFERENCES[1]);
    here
}

#[test]
fn several_references_score_as_in_sacrebleu() {
    let here = scored("references");
    // sacrebleu ref1 ref2 -i hyp -m bleu chrf ter -f text -w 2, and with --chrf-word-order 2
    let lines = "        \
         BLEU|nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = 36.26 81.8/63.2/37.5/15.4 \
         (BP = 0.873 ratio = 0.880 hyp_len = 22 ref_len = 25)\n      \
         chrF2|nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0 = 63.10\n    \
         chrF2++|nrefs:2|case:mixed|eff:yes|nc:6|nw:2|space:no|version:2.6.0 = 62.12\n\
         TER|nrefs:2|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0 = 47.62\n";
    assert_eq!(here.strata("evaluate --hypotheses hyp --references ref1 ref2").succeeds().out, lines);
    assert_eq!(here.strata("evaluate --references ref1 --references ref2 --hypotheses hyp").succeeds().out, lines);
    assert_eq!(here.strata_reading("evaluate --references ref1 ref2", HYPOTHESES).succeeds().out, lines);
    let piped = "\"$STRATA\" evaluate --hypotheses - --references <(cat ref1) <(cat ref2) < hyp";
    assert_eq!(here.bash(piped).succeeds().out, lines);
    // sacrebleu ref1 -i hyp -m bleu ter -f text -w 2 -lc
    let line = here.strata("evaluate --hypotheses hyp --references ref1 --metrics ter,bleu --lowercase").succeeds().out;
    let expected = "           \
         BLEU|nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0 = 31.48 72.7/42.1/25.0/15.4 \
         (BP = 0.956 ratio = 0.957 hyp_len = 22 ref_len = 23)\n\
         TER|nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0 = 61.11\n";
    assert_eq!(line, expected);
}

#[test]
fn json_has_what_scores_are_made_of() {
    let here = scored("json");
    let json = here.strata("evaluate --hypotheses hyp --references ref1 ref2 --json").succeeds().json();
    assert_eq!((&json["sentences"], &json["references"]), (&4.into(), &2.into()));
    let parts = &json["bleu_parts"];
    let lengths = ["hypothesis_length", "reference_length"].map(|key| parts[key].as_u64().unwrap());
    assert_eq!((lengths, parts["ratio"].as_f64()), ([22, 25], Some(0.88)));
    assert_eq!((&parts["matches"], &parts["ngrams"]), (&vec![18, 12, 6, 2].into(), &vec![22, 19, 16, 13].into()));
    let precisions: Vec<f64> = serde_json::from_value(parts["precisions"].clone()).unwrap();
    assert_eq!(precisions, [1800.0 / 22.0, 1200.0 / 19.0, 600.0 / 16.0, 200.0 / 13.0]);
    let penalty = (1.0 - 25.0_f64 / 22.0).exp();
    assert_eq!(parts["brevity_penalty"], penalty);
    let product: f64 = precisions.iter().product();
    assert!((json["bleu"].as_f64().unwrap() - penalty * product.powf(0.25)).abs() < 1e-9, "{json}");
    // 10 edits, and the mean lengths 6.5, 6, 2.5 and 6 of the references.
    assert_eq!((&json["ter_parts"]["edits"], &json["ter_parts"]["reference_length"]), (&10.into(), &21.0.into()));
    assert_eq!(json["ter"], 100.0 * (10.0 / 21.0));
    for (metric, score) in [("chrf2", 63.10), ("chrf2pp", 62.12)] {
        assert!((json[metric].as_f64().unwrap() - score).abs() < 0.005, "{json}");
        assert!(json["signatures"][metric].as_str().unwrap().starts_with("nrefs:2|case:mixed|eff:yes|nc:6"), "{json}");
    }
    let json = here.strata("evaluate --hypotheses hyp --references ref1 --metrics chrf --json").succeeds().json();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["chrf2", "references", "sentences", "signatures"]);
}

#[test]
fn sentences_score_as_in_sacrebleu() {
    let here = scored("sentences");
    let sentences = "evaluate --hypotheses hyp --references ref1 ref2 --sentence-level";
    // sacrebleu ref1 ref2 -i hyp -sl -b -w 2 -m bleu, and so on
    let ran = here.strata(sentences).succeeds();
    assert_eq!(ran.out, "48.89\n23.36\n0.00\n62.23\n");
    assert!(ran.err.contains("BLEU|nrefs:2|case:mixed|eff:yes|tok:13a|smooth:exp|version:2.6.0"), "{ran}");
    let ran = here.strata(&format!("{sentences} --metrics ter,bleu,chrf -q")).succeeds();
    let columns = "48.89\t65.80\t15.38\n23.36\t68.07\t83.33\n0.00\t0.00\t80.00\n62.23\t77.95\t33.33\n";
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (columns, ""));
    let ran = here.strata(&format!("{sentences} --json")).succeeds();
    let objects: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), &objects[3]["line"]), (4, &4.into()));
    assert_eq!(objects[2]["bleu"], 0.0);
    let parts = &objects[3]["bleu_parts"];
    assert_eq!((&parts["matches"], &parts["ngrams"]), (&vec![7, 6, 3, 1].into(), &vec![7, 6, 5, 4].into()));
}

#[test]
fn confidence_intervals_are_those_of_sacrebleu() {
    let here = scored("confidence");
    let evaluate = "evaluate --hypotheses hyp --references ref1 ref2 --confidence";
    // sacrebleu ref1 ref2 -i hyp -m bleu -f text -w 2 -ci -cin 77
    let line = "BLEU|nrefs:2|bs:77|seed:12345|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0 = 36.26 \
                (μ = 34.48 ± 22.77) 81.8/63.2/37.5/15.4 (BP = 0.873 ratio = 0.880 hyp_len = 22 ref_len = 25)\n";
    assert_eq!(here.strata(&format!("{evaluate} --metrics bleu --confidence-n 77")).succeeds().out, line);
    let json = here.strata(&format!("{evaluate} --json")).succeeds().json();
    for (metric, mean, half_width) in [("bleu", 34.82, 21.13), ("ter", 49.08, 29.81)] {
        let found = ["mean", "half_width"].map(|key| json["confidence"][metric][key].as_f64().unwrap());
        assert!((found[0] - mean).abs() < 0.005 && (found[1] - half_width).abs() < 0.005, "{json}");
        assert!(json["signatures"][metric].as_str().unwrap().starts_with("nrefs:2|bs:1000|seed:12345|"), "{json}");
    }
    let none = here.strata("evaluate --hypotheses hyp --references ref1 --json").succeeds().json();
    assert!(none["confidence"].is_null(), "{none}");
}

#[test]
fn tokenizers_by_name_read_the_models_that_sacrebleu_keeps() {
    let here = scored("tokenizers");
    let evaluate = "evaluate --hypotheses hyp --references ref1 --metrics bleu --bleu-tokenizer";
    let by_file = here.strata(&format!("{evaluate} spm:{SUBWORDS}")).succeeds().out;
    for (name, model) in [
        ("flores101", "sacrebleu_tokenizer_spm.model"),
        ("flores200", "flores200sacrebleuspm"),
        ("spBLEU-1K", "spbleu-1k_tokenizer_spm.model"),
    ] {
        here.write(&format!("{name}/models/{model}"), std::fs::read(SUBWORDS).unwrap());
        let arguments = format!("{evaluate} {name}");
        let output = here.command(&arguments).env("SACREBLEU", here.path(name)).output().unwrap();
        let expected = by_file.replace("tok:spm-unigram", &format!("tok:{name}"));
        assert_eq!(Ran::new(&arguments, output).succeeds().out, expected);
        assert_eq!(here.strata(&format!("{arguments}:{SUBWORDS}")).succeeds().out, expected);
    }
}

#[test]
fn two_systems_are_compared_against_all_references() {
    let here = scored("baseline");
    let compare = "evaluate --hypotheses ref2 --references ref1 ref2 --baseline-hypotheses hyp";
    let json = here.strata(&format!("{compare} --metrics bleu,ter --json")).succeeds().json();
    let of = |i: usize, key: &str| json["comparison"][i][key].clone();
    assert_eq!((of(0, "metric"), of(1, "metric"), of(2, "metric")), ("BLEU".into(), "TER".into(), ().into()));
    assert!((of(0, "baseline").as_f64().unwrap() - 36.26).abs() < 0.005, "{json}");
    assert_eq!(of(1, "system"), 0.0, "{json}");
    let text = here.strata(compare).succeeds().out;
    for metric in ["BLEU", "chrF2", "chrF2++", "TER"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(&format!("{metric} "))), "{text}");
    }
}

#[test]
fn line_ends_marks_and_compression_change_no_score() {
    let here = scored("line-ends");
    let of = |hypotheses: &str, references: &str| {
        here.strata(&format!("evaluate --hypotheses {hypotheses} --references {references} --json")).succeeds().out
    };
    let expected = of("hyp", "ref1 ref2");
    here.write("windows", HYPOTHESES.replace('\n', "\r\n"));
    here.write("marked", format!("\u{feff}{}", REFERENCES[0]));
    here.write("unended", REFERENCES[1].trim_end());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(HYPOTHESES.as_bytes()).unwrap();
    here.write("packed.gz", packed.finish().unwrap());
    for (hypotheses, references) in [("windows", "ref1 ref2"), ("hyp", "marked unended"), ("packed.gz", "ref1 ref2")] {
        assert_eq!(of(hypotheses, references), expected, "{hypotheses}, {references}");
    }
    // An empty line at the end is a sentence.
    here.write("longer", format!("{HYPOTHESES}\n"));
    here.refuses("evaluate --hypotheses longer --references ref1", &["longer has 5 lines but ref1 has 4"]);
}

#[test]
fn tokenized_hypotheses_are_noticed() {
    let here = folder("tokenized");
    here.write("ref", "a b c d.\n".repeat(100));
    here.write("hyp", "a b c d .\n".repeat(100));
    let ran = here.strata("evaluate --hypotheses hyp --references ref").succeeds();
    assert!(ran.err.contains("warning: hyp: 100 lines end in ` .`"), "{ran}");
    here.write("hyp", "a b c d .\n".repeat(99) + "a b c d.\n");
    assert_eq!(here.strata("evaluate --hypotheses hyp --references ref").succeeds().err, "");
}

#[test]
fn standard_input_is_read_once() {
    let here = scored("stdin");
    here.refuses("evaluate --references ref1 -", &["standard input can be read once"]);
    here.refuses(
        "evaluate --hypotheses - --references ref1 --baseline-hypotheses -",
        &["standard input can be read once"],
    );
    let ran = here.strata_reading("evaluate --references ref1", "one line\n");
    here.records(ran.fails(&["standard input has 1 lines but ref1 has 4"]));
    let ran = here.strata_reading("evaluate --references ref1 ref2", b"a\n\xff\nb\nc\n");
    here.records(ran.fails(&["standard input, line 2: not valid UTF-8"]));
}

/// Lines of few words, so that many coincide, and versions of them with words moved, dropped, doubled and changed.
struct Text(u64);

impl Text {
    fn below(&mut self, end: usize) -> usize {
        // Knuth's MMIX; its upper bits are good enough.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn word(&mut self) -> String {
        const WORDS: &str = "the The a cat old city, of is in 3.5 e-mail Öl ΟΔΟΣ İ (see it's 你好。 1,000 &amp; never ... \
                             sat moves on. a\u{2028}b → \u{202b}נו";
        let words: Vec<&str> = WORDS.split(' ').collect();
        words[self.below(words.len())].to_owned()
    }

    fn line(&mut self) -> Vec<String> {
        let length = [0, 1, 2, 5, 9, 14, 20][self.below(7)];
        (0..length).map(|_| self.word()).collect()
    }

    /// Another translation of each line, with line ends of any system.
    fn version(&mut self, lines: &[Vec<String>]) -> String {
        let mut text = String::new();
        for line in lines {
            let mut words = line.clone();
            for _ in 0..self.below(6) {
                let at = self.below(words.len() + 1);
                match self.below(3) {
                    0 => words.insert(at, self.word()),
                    1 if at < words.len() => drop(words.remove(at)),
                    _ => words.rotate_left(at),
                }
            }
            text += &words.join(" ");
            text += ["\n", "\r\n", " \n"][self.below(3)];
        }
        text
    }
}

/// The Python that `STRATA_PYTHON` names, else `python3`, if it has the sacreBLEU that the scores are of.
fn sacrebleu(here: &Folder, test: &str) -> Option<String> {
    let python = std::env::var("STRATA_PYTHON").unwrap_or_else(|_| "python3".into());
    let version = "import numpy, sacrebleu, sentencepiece; print(sacrebleu.__version__)";
    let found = here.bash(&format!("\"{python}\" -c '{version}'")).out.trim() == "2.6.0";
    if !found {
        skip(test, "needs a Python with numpy, sentencepiece and sacreBLEU 2.6.0; STRATA_PYTHON names one");
    }
    found.then_some(python)
}

/// A SentencePiece model, small enough to be kept.
const SUBWORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/tests/data/unigram.model");

/// Options of ours, and the same for sacreBLEU.
const CASES: [(&str, &str); 14] = [
    ("--metrics bleu,chrf,ter", "-m bleu chrf ter"),
    ("--metrics bleu,chrf++ --lowercase --chrf-lowercase", "-m bleu chrf --chrf-word-order 2 -lc --chrf-lowercase"),
    ("--metrics bleu --bleu-tokenizer intl", "-m bleu -tok intl"),
    ("--metrics bleu ter --bleu-tokenizer zh", "-m bleu ter -tok zh"),
    ("--metrics bleu --bleu-tokenizer char --lowercase", "-m bleu -tok char -lc"),
    ("--metrics bleu chrf --bleu-tokenizer none", "-m bleu chrf -tok none"),
    ("--metrics bleu --bleu-tokenizer flores101", "-m bleu -tok flores101"),
    ("--metrics bleu --bleu-tokenizer flores200 --lowercase", "-m bleu -tok flores200 -lc"),
    ("--metrics bleu --bleu-tokenizer spBLEU-1K", "-m bleu -tok spBLEU-1K"),
    ("--metrics bleu,ter,chrf --confidence", "-m bleu chrf ter -ci"),
    ("--metrics chrf++,ter --confidence --confidence-n 40", "-m chrf ter --chrf-word-order 2 -ci -cin 40"),
    ("--sentence-level", "-m bleu -sl -b"),
    ("--sentence-level --metrics chrf++", "-m chrf --chrf-word-order 2 -sl -b"),
    ("--sentence-level --metrics ter", "-m ter -sl -b"),
];

#[test]
fn random_files_give_the_very_lines_of_sacrebleu() {
    let here = folder("live");
    let Some(python) = sacrebleu(&here, "random_files_give_the_very_lines_of_sacrebleu") else { return };
    for model in ["sacrebleu_tokenizer_spm.model", "flores200sacrebleuspm", "spbleu-1k_tokenizer_spm.model"] {
        here.write(&format!("sacrebleu/models/{model}"), std::fs::read(SUBWORDS).unwrap());
    }
    let kept = here.path("sacrebleu");
    let mut text = Text(1);
    for (number, (ours, theirs)) in CASES.iter().enumerate() {
        let lines: Vec<Vec<String>> = (0..20 + 10 * number).map(|_| text.line()).collect();
        for file in ["hyp", "a", "b", "c"] {
            here.write(file, text.version(&lines));
        }
        let references = ["a", "a b", "a b c"][number % 3];
        let arguments = format!("evaluate --hypotheses hyp --references {references} {ours}");
        let output = here.command(&arguments).env("SACREBLEU", &kept).output().unwrap();
        let ran = Ran::new(&arguments, output).succeeds();
        let words = format!("-m sacrebleu {references} -i hyp -f text -w 2 -nc {theirs}");
        let mut command = Command::new(&python);
        let output = command.args(words.split(' ')).current_dir(&here.0).env("SACREBLEU", &kept).output().unwrap();
        let expected = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(ran.out, expected, "{ours}, {words}");
    }
}
