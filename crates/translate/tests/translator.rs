//! One way from text to text: lines, parts and single requests give the same bits, whatever the batch.

mod common;

use std::borrow::Cow;
use std::sync::Arc;

use common::Corpus;
use strata_runtime::{Limits, RandomWeights, Weights};
use strata_translate::{
    Candidate, Glossary, Line, Part, SearchOptions, Shortfall, Stop, Term, TranslateOptions, Translator,
};

fn translator(corpus: &Corpus) -> Translator {
    let weights = RandomWeights::new(3);
    Translator::from_weights(&corpus.config(), &weights, corpus.subwords(), corpus.languages()).unwrap()
}

fn search() -> SearchOptions {
    SearchOptions { beam: 3, nbest: 2, max_ratio: 1.0, max_extra: 4, ..SearchOptions::default() }
}

#[test]
fn lines_parts_and_requests_go_the_same_way() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let options = TranslateOptions::from(SearchOptions { alignments: true, routing: true, ..search() });
    let task = translator.task(None, &corpus.to, &options).unwrap();
    let lines = translator.translate(&corpus.lines, None, &corpus.to, &options).unwrap();
    let parts = translator.translate_parts(&corpus.lines, &task).unwrap();
    let mut session = translator.session(Limits::default()).unwrap();
    for ((text, line), part) in corpus.lines.iter().zip(&lines).zip(&parts) {
        let candidates = &line.candidates;
        assert_eq!((candidates, candidates.len(), line.shortfall), (&part.candidates, 2, part.shortfall));
        let mut work = translator.begin(std::slice::from_ref(text), &task);
        while let Some(request) = work.requests().first() {
            let rounds = work.requests().len();
            let mut found = Vec::new();
            for request in work.requests() {
                session.submit(request).unwrap();
                let mut finished = Vec::new();
                while finished.is_empty() {
                    finished = session.step();
                }
                found.push(finished.remove(0).hypotheses);
            }
            assert!(rounds == found.len() && request.source.len() > 2);
            work.take(found, &translator, &task);
        }
        assert_eq!(work.finish(), std::slice::from_ref(part));
        // A token's range is its text, and there is a way for each token that was read.
        assert_eq!(part.targets.len(), 2);
        for (target, candidate) in part.targets.iter().zip(&part.candidates) {
            assert_eq!(target.trace.text, candidate.text);
            let texts: String = target.trace.tokens.iter().map(|token| &candidate.text[token.range.clone()]).collect();
            assert_eq!(texts, candidate.text);
            assert!(target.trace.tokens[0].routing.iter().all(|block| !block.visits.is_empty()));
        }
        assert_eq!(part.source.text, *text);
    }
}

#[test]
fn bits_do_not_depend_on_the_batch() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let expected = translator.translate(&corpus.lines, None, &corpus.to, &search().into()).unwrap();
    let reversed: Vec<&String> = corpus.lines.iter().rev().collect();
    for tokens_per_batch in [1, 300, 20_000] {
        let options = TranslateOptions { tokens_per_batch, ..TranslateOptions::from(search()) };
        let mut again = translator.translate(&reversed, None, &corpus.to, &options).unwrap();
        again.reverse();
        assert_eq!(again, expected, "{tokens_per_batch} tokens a batch");
    }
}

#[test]
fn lines_without_text_and_long_lines() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let options = search().into();
    let empty = translator.translate(&["", "  "], None, &corpus.to, &options).unwrap();
    let candidates: Vec<Vec<Candidate>> = empty.into_iter().map(|line| line.candidates).collect();
    let blank = Candidate { text: "  ".into(), ..Candidate::default() };
    assert_eq!(candidates, [[Candidate::default()], [blank]], "space stays as it is");
    let task = translator.task(None, &corpus.to, &options).unwrap();
    assert_eq!(translator.translate_parts(&["  "], &task).unwrap(), [Part::unchanged("  ")]);
    // The model takes 64 subwords: sentences are taken together as far as they fit, the prefix stands in front of the
    // first.
    let long = corpus.lines[..8].join(" ");
    assert!(translator.subwords().encode(&long).len() > 64);
    let line = Line { text: &long, prefix: "the" };
    let found = translator.translate_lines(&[line], None, &corpus.to, &options).unwrap().remove(0).candidates;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|candidate| candidate.text.starts_with("the") && candidate.subwords > 10));
}

#[test]
fn bad_options_are_named_by_their_own_name() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let refused = |options: TranslateOptions| translator.task(None, &corpus.to, &options).unwrap_err().to_string();
    let bad = SearchOptions { beam: 0, ..SearchOptions::default() };
    assert_eq!(refused(bad.into()), "beam = 0 must be an integer from 1 to 1024");
    let piece = TranslateOptions { suppress: vec!["no piece".into()], ..TranslateOptions::default() };
    assert!(refused(piece).contains("no piece `no piece`"));
    let unknown = translator.task(None, "xx", &TranslateOptions::default()).unwrap_err().to_string();
    assert!(unknown.contains("does not translate into `xx`"), "{unknown}");
}

#[test]
fn terms_that_the_model_cannot_write_are_put_in_however_the_text_writes_them() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let terms = [("new café", "新建文件"), ("dog", "狗")].map(|(a, b)| Term::new(a, b).unwrap());
    let glossary = Some(Arc::new(terms.into_iter().collect::<Glossary>()));
    let options = TranslateOptions { glossary, ..search().into() };
    let lines = [
        "Open the new café now.",
        "Open the new\u{a0}café now.",
        "Open the new  café now.",
        "Open the new ca\u{ad}fé now.",
        "Open the new cafe\u{301} now.",
    ];
    for (line, found) in lines.iter().zip(translator.translate(&lines, None, &corpus.to, &options).unwrap()) {
        for Candidate { text, .. } in &found.candidates {
            assert!(text.contains("新建文件") && !text.contains('狗'), "{line:?}: {text}");
        }
    }
}

#[test]
fn a_language_is_not_translated_into_itself() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let refused = translator.check_direction(Some(&corpus.to), &corpus.to).unwrap_err().to_string();
    assert_eq!(refused, format!("from `{0}` into `{0}`: name two languages", corpus.to));
    let refused = translator.check_direction(Some("eng"), "en").unwrap_err().to_string();
    assert_eq!(refused, "from `eng` into `en`: name two languages");
    translator.check_direction(Some("eng"), &corpus.to).unwrap();
    translator.check_direction(None, &corpus.to).unwrap();
}

#[test]
fn pieces_of_others_become_what_text_becomes() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let options = TranslateOptions { whole_lines: true, ..TranslateOptions::from(search()) };
    let task = translator.task(None, &corpus.to, &options).unwrap();
    let expected = translator.translate(&corpus.lines, None, &corpus.to, &options).unwrap();
    let ids = translator.piece_ids();
    let pieces = |text: &String| translator.subwords().pieces(text);
    let sentences: Vec<Vec<String>> = corpus.lines.iter().map(pieces).collect();
    let found = translator.translate_pieces(&ids, &sentences, &[], &task).unwrap();
    let expected: Vec<Vec<Candidate>> = expected.into_iter().map(|line| line.candidates).collect();
    assert_eq!(found, expected);
    // A prefix is the beginning of every translation; a sentence without pieces has none; unknown pieces are words too.
    let prefix = vec![sentences[0][..2].to_vec()];
    let given = [sentences[0].clone(), Vec::new(), vec!["no piece".to_string()]];
    let found = translator.translate_pieces(&ids, &given, &prefix, &task).unwrap();
    for candidate in &found[0] {
        let begins: Vec<&String> = candidate.tokens.iter().take(2).map(|token| &token.piece).collect();
        assert_eq!(begins, sentences[0][..2].iter().collect::<Vec<_>>());
    }
    assert_eq!((&found[1], found[2].len()), (&vec![Candidate::default()], 2));
}

/// All weights at the end of what f32 can hold: finite, but their products are not.
struct Huge;

impl Weights for Huge {
    fn f32(&self, _: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, strata_runtime::Error> {
        Ok(Cow::Owned(vec![3e38; shape.iter().product()]))
    }
}

#[test]
fn a_line_without_finite_scores_is_reported() {
    let corpus = Corpus::new();
    let broken = Translator::from_weights(&corpus.config(), &Huge, corpus.subwords(), corpus.languages()).unwrap();
    for whole_lines in [false, true] {
        let options = TranslateOptions { whole_lines, ..search().into() };
        let lines = ["The dog sees the cat. It costs 5 € or %s.", "7", ""];
        let found = broken.translate(&lines, None, &corpus.to, &options).unwrap();
        assert_eq!(found[0].shortfall, Some(Shortfall::NotFinite), "{found:?}");
        assert_eq!(found[2].shortfall, None, "nothing was asked of the model");
    }
    let scored = broken.score(&["The dog."], &["Der Hund."], None, &corpus.to).unwrap();
    assert!(scored[0].as_ref().unwrap_err().contains("no finite numbers"), "{scored:?}");
}

#[test]
fn another_thread_can_end_a_translation() {
    let corpus = Corpus::new();
    let translator = translator(&corpus);
    let lines: Vec<&String> = corpus.lines.iter().cycle().take(20_000).collect();
    let stop = Stop::default();
    let options = TranslateOptions { stop: Some(stop.clone()), ..TranslateOptions::from(search()) };
    let started = std::time::Instant::now();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(300));
            stop.stop();
        });
        translator.translate(&lines, None, &corpus.to, &options)
    });
    assert_eq!(ended.unwrap_err().to_string(), "the translation was stopped");
    // The translator is as before.
    let plain = search().into();
    let again = translator.translate(&corpus.lines[..2], None, &corpus.to, &plain).unwrap();
    assert!(started.elapsed().as_secs() < 60 && again.iter().all(|line| !line.candidates[0].text.is_empty()));
}
