//! Scores of random text, equal to those of the sacreBLEU that is installed: `STRATA_PYTHON`, else `python3`; skipped
//! where there is none of the version that this crate follows.

use std::io::Write;
use std::process::{Command, Stdio};

use rand_pcg::rand_core::{RngCore, SeedableRng};
use serde_json::{Value as Json, json};
use strata_metrics::{
    Bleu, BleuOptions, Chrf, ChrfOptions, SACREBLEU_VERSION, Scorer, Statistics, Ter,
    significance::{BootstrapOptions, DEFAULT_SEED, confidence},
};

const RESAMPLES: usize = 50;
const SCRIPT: &str = r#"
import json, sys, sacrebleu
from sacrebleu.metrics import BLEU, CHRF, TER
text = json.load(sys.stdin)
answers = {"version": sacrebleu.__version__}
make = {"BLEU": lambda **o: BLEU(**o), "BLEU lc": lambda **o: BLEU(lowercase=True, **o), "chrF2": lambda **o: CHRF(),
        "chrF2++ lc": lambda **o: CHRF(word_order=2, lowercase=True), "TER": lambda **o: TER()}
for name, metric in make.items():
    for count in (1, 2, 3):
        references = text["references"][:count]
        of = metric()
        score = of.corpus_score(text["hypotheses"], references, n_bootstrap=text["resamples"])
        lines = [score.format(width=3, signature=str(of.get_signature()))]
        of = metric(effective_order=True)
        lines += [of.sentence_score(h, list(r)).format(width=4) for h, r in zip(text["hypotheses"], zip(*references))]
        answers[f"{name} {count}"] = lines
json.dump(answers, sys.stdout)
"#;

/// The answers of the installed sacreBLEU, or why there are none.
fn sacrebleu(text: &Json) -> Result<Json, String> {
    let python = std::env::var_os("STRATA_PYTHON").unwrap_or_else(|| "python3".into());
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(text.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let done = child.wait_with_output().map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&done.stderr);
    if errors.contains("ModuleNotFoundError") || errors.contains("ImportError") {
        return Err("no sacrebleu with numpy".to_owned());
    }
    assert!(done.status.success(), "{errors}");
    let answers: Json = serde_json::from_slice(&done.stdout).unwrap();
    if answers["version"] != SACREBLEU_VERSION {
        return Err(format!("sacreBLEU {} instead of {SACREBLEU_VERSION}", answers["version"]));
    }
    Ok(answers)
}

/// Lines of few words, so that many coincide, and versions of them with runs moved, words dropped, doubled and changed.
struct Text(rand_pcg::Pcg64);

impl Text {
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    fn word(&mut self) -> String {
        const WORDS: [&str; 24] = [
            "the",
            "The",
            "a",
            "cat",
            "old",
            "city,",
            "of",
            "is",
            "in",
            "3.5",
            "e-mail",
            "Öl",
            "ΟΔΟΣ",
            "İ",
            "(see",
            "it's",
            "你好。",
            "1,000",
            "&amp;",
            "never",
            "...",
            "sat",
            "moves",
            "on.",
        ];
        WORDS[self.below(WORDS.len())].to_owned()
    }

    fn line(&mut self) -> Vec<String> {
        let length = [0, 1, 2, 5, 9, 14, 20, 32][self.below(8)];
        (0..length).map(|_| self.word()).collect()
    }

    fn changed(&mut self, line: &[String]) -> Vec<String> {
        let mut words = line.to_vec();
        for _ in 0..self.below(6) {
            if words.is_empty() {
                break;
            }
            let at = self.below(words.len());
            match self.below(4) {
                0 => drop(words.remove(at)),
                1 => words[at] = self.word(),
                2 => words.insert(at, self.word()),
                _ => {
                    let length = 1 + self.below((words.len() - at).min(12));
                    let run: Vec<String> = words.drain(at..at + length).collect();
                    let target = self.below(words.len() + 1);
                    words.splice(target..target, run);
                }
            }
        }
        words
    }
}

/// One line of the corpus's score with its interval, then one for each sentence.
fn lines<M: Scorer<Score: std::fmt::Display>>(
    metric: &M,
    of_sentences: &M,
    hypotheses: &[String],
    references: &[&[String]],
) -> Vec<String> {
    let statistics = Statistics::collect(metric, hypotheses, references).unwrap();
    let options = BootstrapOptions { resamples: RESAMPLES, seed: DEFAULT_SEED };
    let interval = confidence(metric, &statistics, options).unwrap();
    let signature = metric.signature(references.len()).with_bootstrap(RESAMPLES, DEFAULT_SEED).to_string();
    // sacreBLEU writes the interval behind the score.
    // Three digits: sums in another order may turn the fourth.
    let score = format!("{:.3}", metric.score(&statistics).unwrap());
    let (name, figures) = score.split_once(" = ").unwrap();
    let (figure, rest) = figures.split_once(' ').map_or((figures, String::new()), |(f, rest)| (f, format!(" {rest}")));
    let mut lines = vec![format!("{name}|{signature} = {figure} ({interval:.3}){rest}")];
    for (segment, hypothesis) in hypotheses.iter().enumerate() {
        let references: Vec<&String> = references.iter().map(|stream| &stream[segment]).collect();
        lines.push(format!("{:.4}", of_sentences.sentence(hypothesis, &references).unwrap()));
    }
    lines
}

#[test]
fn random_text_scores_as_in_the_sacrebleu_that_is_installed() {
    let mut text = Text(rand_pcg::Pcg64::seed_from_u64(1));
    let sources: Vec<Vec<String>> = (0..60).map(|_| text.line()).collect();
    let mut version = || -> Vec<String> { sources.iter().map(|line| text.changed(line).join(" ")).collect() };
    let (hypotheses, references) = (version(), [version(), version(), version()]);
    let document = json!({ "hypotheses": hypotheses, "references": references, "resamples": RESAMPLES });
    let answers = match sacrebleu(&document) {
        Ok(answers) => answers,
        Err(reason) => {
            let reason = format!("{reason}; STRATA_PYTHON names a Python with it");
            return strata_testing::skip("random_text_scores_as_in_the_sacrebleu_that_is_installed", &reason);
        }
    };
    let bleu = |lowercase, effective_order| {
        Bleu::new(BleuOptions { lowercase, effective_order, ..Default::default() }).unwrap()
    };
    let chrf =
        |word_order, lowercase| Chrf::new(ChrfOptions { word_order, lowercase, ..ChrfOptions::chrf2() }).unwrap();
    let mut compared = 0;
    for count in 1..=3 {
        let streams: Vec<&[String]> = references[..count].iter().map(Vec::as_slice).collect();
        let ter = Ter::new(count).unwrap();
        let of = [
            ("BLEU", lines(&bleu(false, false), &bleu(false, true), &hypotheses, &streams)),
            ("BLEU lc", lines(&bleu(true, false), &bleu(true, true), &hypotheses, &streams)),
            ("chrF2", lines(&chrf(0, false), &chrf(0, false), &hypotheses, &streams)),
            ("chrF2++ lc", lines(&chrf(2, true), &chrf(2, true), &hypotheses, &streams)),
            ("TER", lines(&ter, &ter, &hypotheses, &streams)),
        ];
        for (name, ours) in of {
            let theirs: Vec<String> = serde_json::from_value(answers[format!("{name} {count}")].clone()).unwrap();
            for (line, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                let of =
                    || format!("{} against {:?}", hypotheses[line - 1], references.each_ref().map(|r| &r[line - 1]));
                assert_eq!(ours, theirs, "{name}, {count} references: {}", if line > 0 { of() } else { String::new() });
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 15 * 61);
}
