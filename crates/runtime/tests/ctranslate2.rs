//! An exported model translates and scores in CTranslate2 as it does here. Needs a Python with the `ctranslate2`
//! package: `STRATA_PYTHON`, else `python3`; without it the comparison is skipped with a line that says so.

mod common;
mod folders;

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{END, options, score, small, sources};
use folders::write_weights;
use serde::Deserialize;
use strata_recipe::{Kind, ModelConfig};
use strata_runtime::{
    Engine, Error, Limits, Model, Precision, RandomWeights, Request, SearchOptions, Weights, write_ctranslate2,
};
use strata_simd::random::SplitMix64;
use strata_store::{Existing, ModelFolder};

const TAG: u32 = 2;
/// Longest translation in the searches, the end mark included.
const LONGEST: usize = 12;

/// Random weights whose output favors the end mark, so that hypotheses end at different lengths.
struct Ending(RandomWeights);

impl Weights for Ending {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        if name != "decoder.norm.bias" {
            return self.0.f32(name, shape);
        }
        let d = shape[0];
        let embedding = self.0.f32("embedding.weight", &[END as usize + 1, d])?;
        Ok(Cow::Owned(embedding[END as usize * d..].iter().map(|e| 1.5 * e).collect()))
    }
}

fn vocabulary(config: &ModelConfig) -> Vec<String> {
    let name = |id| match id {
        0 => "<pad>".to_owned(),
        1 => "</s>".to_owned(),
        2 => "<2xx>".to_owned(),
        3 => "<unk>".to_owned(),
        id => format!("w{id}"),
    };
    (0..config.vocab_size).map(name).collect()
}

/// A hypothesis with its score.
type Scored = (Vec<String>, f32);

/// What `ctranslate2.py` answers.
#[derive(Deserialize)]
struct Answer {
    /// For each search and source, hypotheses with their scores, best first.
    searches: Vec<Vec<Vec<Scored>>>,
    /// Log-probabilities of each target's subwords and end mark.
    scores: Vec<Vec<f32>>,
}

fn python() -> Command {
    Command::new(std::env::var_os("STRATA_PYTHON").unwrap_or_else(|| "python3".into()))
}

fn has_ctranslate2() -> bool {
    let found = python().args(["-c", "import ctranslate2"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

fn ask(job: &serde_json::Value) -> Answer {
    let mut child = python()
        .args(["-c", include_str!("ctranslate2.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a Python interpreter");
    child.stdin.take().expect("its input").write_all(job.to_string().as_bytes()).expect("a job taken");
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "ctranslate2.py failed: {}", output.status);
    serde_json::from_slice(&output.stdout).expect("an answer")
}

#[test]
fn both_programs_find_and_score_the_same_translations() {
    if !has_ctranslate2() {
        let reason = "no Python with ctranslate2; STRATA_PYTHON names one";
        return strata_testing::skip("both_programs_find_and_score_the_same_translations", reason);
    }
    let dir = tempfile::tempdir().unwrap();
    let deep = ModelConfig { encoder_layers: 3, decoder_layers: 1, heads: 4, d_ffn: 40, ..small() };
    let (mut ended, mut cut) = (0, 0); // hypotheses compared
    for (seed, config) in [(1, small()), (2, deep)] {
        let weights = Ending(RandomWeights::new(seed));
        let folder = write_weights(&dir.path().join(format!("m{seed}")), &config, &weights);
        let names = vocabulary(&config);
        let exported = dir.path().join(format!("c{seed}"));
        write_ctranslate2(&folder, &names, &exported, Existing::Refuse).unwrap();
        let engine = Engine::new(Arc::new(Model::load(&folder, Precision::F32).unwrap()));

        let mut lines = sources(&config, 8, seed);
        let mut numbers = SplitMix64::new(seed + 100);
        let mut word = |_| 4 + numbers.below(config.vocab_size as u64 - 4) as u32;
        // As long as the model takes nearly, so that the table of positions counts.
        lines.push([TAG].into_iter().chain((0..20).map(&mut word)).chain([END]).collect());
        let targets: Vec<Vec<u32>> = (0..lines.len()).map(|i| (0..2 * i).map(&mut word).collect()).collect();
        let text = |ids: &[u32]| -> Vec<&str> { ids.iter().map(|id| &*names[*id as usize]).collect() };
        let searches: Vec<(usize, f64)> = vec![(1, 1.0), (4, 1.0), (4, 0.6)];
        let answer = ask(&serde_json::json!({
            "model": exported,
            "tag": names[TAG as usize],
            "sources": lines.iter().map(|line| text(line)).collect::<Vec<_>>(),
            "targets": targets.iter().map(|line| text(line)).collect::<Vec<_>>(),
            "searches": searches.iter().map(|(beam, length_penalty)| {
                serde_json::json!({ "beam": beam, "length_penalty": length_penalty, "longest": LONGEST })
            }).collect::<Vec<_>>(),
        }));

        assert_eq!(answer.scores.len(), lines.len());
        for ((line, target), theirs) in lines.iter().zip(&targets).zip(&answer.scores) {
            let ours = score(&engine, line, TAG, target);
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < 1e-4, "{ours:?} here, {theirs:?} there, for {target:?}");
            }
        }
        for ((beam, length_penalty), theirs) in searches.iter().zip(&answer.searches) {
            let options = SearchOptions {
                beam: *beam,
                nbest: *beam,
                length_penalty: *length_penalty,
                max_ratio: 0.0,
                max_extra: LONGEST,
                ..options()
            };
            // CTranslate2 takes suppressed subwords out before the softmax, which changes scores.
            let request = |line: &Vec<u32>| Request::new(line.clone(), [TAG], END, options);
            let requests: Vec<_> = lines.iter().map(request).collect();
            let found = engine.translate(&requests, &Limits::default()).unwrap();
            assert_eq!(found.len(), theirs.len());
            for (ours, theirs) in found.iter().zip(theirs) {
                assert_eq!(ours.len(), theirs.len(), "{ours:?} {theirs:?}");
                // At the longest length CTranslate2 takes all open hypotheses, and here only as many as the beam still
                // has room for; so where some ended before, the lists agree in their best only.
                let at_limit = ours.iter().filter(|hypothesis| hypothesis.ids.len() == LONGEST).count();
                let alike = if at_limit == 0 || at_limit == ours.len() { ours.len() } else { 1 };
                for (ours, (words, score)) in ours.iter().zip(theirs).take(alike) {
                    assert_eq!(text(&ours.ids), *words, "beam {beam}, length penalty {length_penalty}");
                    assert!((ours.score - score).abs() < 1e-3, "beam {beam}: {} here, {score} there", ours.score);
                    *(if ours.ids.len() < LONGEST { &mut ended } else { &mut cut }) += 1;
                }
            }
        }
    }
    assert!(ended > 50 && cut > 20, "{ended} hypotheses ended, {cut} were cut: the test needs both");
}

#[test]
fn what_the_format_has_no_place_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let write =
        |name: &str, config: &ModelConfig| write_weights(&dir.path().join(name), config, &RandomWeights::new(1));
    let says = |folder: &ModelFolder, vocabulary: &[String], output: &str| {
        let output: &Path = &dir.path().join(output);
        write_ctranslate2(folder, vocabulary, output, Existing::Replace).unwrap_err().to_string()
    };
    let smoe = ModelConfig { kind: Kind::Smoe, strata: vec![2, 2], ..small() };
    let experts = says(&write("smoe", &smoe), &vocabulary(&smoe), "out");
    assert!(experts.contains("smoe is a SMoE-2-2, only dense models can be exported"), "{experts}");
    let dense = write("dense", &small());
    let names = vocabulary(&small());
    let fewer = says(&dense, &names[1..], "out");
    assert!(fewer.contains("the model has 29 subwords but its subword model 28"), "{fewer}");
    let mut other = names.clone();
    other[END as usize] = "<eos>".to_owned();
    let endless = says(&dense, &other, "out");
    assert!(endless.contains("the subword model has no `</s>`"), "{endless}");
    let itself = says(&dense, &names, "dense");
    assert!(itself.contains("would replace the model that it is made from"), "{itself}");
    ModelFolder::open(dense.path()).unwrap();
    assert!(!dir.path().join("out").exists());
}
