//! The stream of training batches over a prepared corpus of made-up sentences.

use std::collections::BTreeMap;
use std::path::Path;

use strata_corpus::prepare::{Options, prepare};
use strata_corpus::{Batch, ExampleId, HeldOut, StreamOptions, StreamPosition, TrainStream};
use strata_recipe::{Mark, Prompts};

/// Two language pairs of 40 and 10 sentences, prepared.
fn prepared(folder: &Path) -> std::path::PathBuf {
    let bitext = folder.join("bitext");
    std::fs::create_dir(&bitext).unwrap();
    let letters = |n: usize| String::from_iter([n / 25 % 25, n % 25].map(|digit| char::from(b'a' + digit as u8)));
    let sentence = |tag: &str, i: usize| {
        let words: Vec<String> = (0..2 + i % 7).map(|w| format!("{tag}{}", letters(i * 31 + w * 7))).collect();
        words.join(" ") + "\n"
    };
    for (other, count) in [("qaa", 40), ("qab", 10)] {
        for (split, from, to) in [("train", 0, count), ("valid", 100, 104)] {
            for side in ["en", other] {
                let text: String = (from..to).map(|i| sentence(side, i)).collect();
                std::fs::write(bitext.join(format!("{split}.en-{other}.{side}")), text).unwrap();
            }
        }
    }
    let mut options = Options::new(&bitext, folder.join("prepared"));
    options.subwords.vocab_size = 400;
    prepare(&options, &mut |_| {}).unwrap();
    options.output
}

fn options() -> StreamOptions {
    StreamOptions { seed: 7, temperature: 1.0, tokens_per_batch: 120, max_length: 100, prompts: Prompts::default() }
}

fn open(prepared: &Path, options: StreamOptions) -> TrainStream {
    TrainStream::open(prepared, &[], options).unwrap()
}

fn round(stream: &mut TrainStream) -> Vec<Batch> {
    (0..stream.batches_per_round()).map(|_| stream.next_batch().unwrap()).collect()
}

#[test]
fn a_round_has_every_example_once_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = open(&prepared(folder.path()), options());
    assert_eq!(stream.directions(), ["en-qaa", "en-qab", "qaa-en", "qab-en"]);
    let batches = round(&mut stream);
    let mut seen: Vec<ExampleId> = batches.iter().flat_map(|b| b.examples.clone()).collect();
    seen.sort_unstable();
    let before = seen.len();
    seen.dedup();
    assert_eq!((before, seen.len()), (100, 100));
    for batch in &batches {
        let spans = |offsets: &[usize]| offsets.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
        let (sources, targets) = (spans(&batch.source.offsets), spans(&batch.target_in.offsets));
        let tokens: usize = sources.iter().zip(&targets).map(|(s, t)| *s.max(&(t + 1))).sum();
        assert!(tokens <= 120, "{tokens}");
        assert_eq!(batch.target_in.ids.len(), batch.target_out.len());
        for (i, example) in batch.examples.iter().enumerate() {
            let target = &batch.target_in.ids[batch.target_in.offsets[i]..batch.target_in.offsets[i + 1]];
            let out = &batch.target_out[batch.target_in.offsets[i]..batch.target_in.offsets[i + 1]];
            let source = &batch.source.ids[batch.source.offsets[i]..batch.source.offsets[i + 1]];
            // Tags have the ids from 3 in sorted order: en, qaa, qab.
            let tag = [4, 5, 3, 3][example.direction];
            assert_eq!((source[0], target[0], source[source.len() - 1], out[out.len() - 1]), (tag, tag, 1, 1));
            assert_eq!(target[1..], out[..out.len() - 1]);
        }
    }
    assert!(batches != round(&mut stream), "another round has another order");
}

#[test]
fn temperature_repeats_the_small_direction() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = open(&prepared(folder.path()), StreamOptions { temperature: 2.0, ..options() });
    let mut counts: BTreeMap<(usize, u64), u32> = BTreeMap::new();
    for batch in round(&mut stream) {
        batch.examples.iter().for_each(|e| *counts.entry((e.direction, e.index)).or_default() += 1);
    }
    let mut per_direction = [0; 4];
    counts.iter().for_each(|((direction, _), count)| per_direction[*direction] += count);
    assert_eq!(per_direction, [40, 20, 40, 20]);
    assert!(counts.iter().all(|((direction, _), count)| *count == if direction % 2 == 1 { 2 } else { 1 }));
}

#[test]
fn seeking_goes_on_exactly_and_the_same_seed_gives_the_same_batches() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepared(folder.path());
    let mut stream = open(&prepared, options());
    let per_round = stream.batches_per_round() as usize;
    let mut all = Vec::new();
    let mut positions = Vec::new();
    for _ in 0..2 * per_round + 3 {
        positions.push(stream.position());
        all.push(stream.next_batch().unwrap());
    }
    for start in [0, 1, per_round - 1, per_round, per_round + 1, 2 * per_round] {
        let mut other = open(&prepared, options());
        other.seek(&positions[start]).unwrap();
        for expected in &all[start..] {
            assert_eq!(other.next_batch().unwrap(), *expected);
        }
    }
    assert_ne!(open(&prepared, StreamOptions { seed: 8, ..options() }).next_batch().unwrap(), all[0]);
    let end = stream.position();
    let message = stream.seek(&StreamPosition { round: 0, batch: 10_000 }).unwrap_err().to_string();
    assert!(message.contains("changed since the checkpoint"), "{message}");
    assert!(stream.seek(&StreamPosition { round: 9, batch: 10_000 }).is_err());
    let mut other = open(&prepared, options());
    other.seek(&end).unwrap();
    assert_eq!(stream.next_batch().unwrap(), other.next_batch().unwrap(), "a refused position changes nothing");
}

#[test]
fn long_pairs_are_left_out_and_small_budgets_still_hold_one() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepared(folder.path());
    let mut stream = open(&prepared, StreamOptions { max_length: 12, ..options() });
    assert!(stream.skipped() > 0);
    assert!(round(&mut stream).iter().all(|b| b.source.offsets.windows(2).all(|w| w[1] - w[0] <= 12)));
    let mut stream = open(&prepared, StreamOptions { tokens_per_batch: 1, ..options() });
    assert!(round(&mut stream).iter().all(|b| b.examples.len() == 1));
    let none = TrainStream::open(&prepared, &[], StreamOptions { max_length: 3, ..options() });
    assert!(none.unwrap_err().to_string().contains("50 are longer than 3"));
    let unknown = TrainStream::open(&prepared, &["en-xx".to_string()], options()).unwrap_err().to_string();
    assert!(unknown.contains("`en-xx`") && unknown.contains("qaa-en"), "{unknown}");
    let near = TrainStream::open(&prepared, &["en-qax".to_string()], options()).unwrap_err().to_string();
    assert!(near.contains("did you mean `en-qaa`?"), "{near}");
}

#[test]
fn held_out_pairs_are_all_or_a_sample_spread_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepared(folder.path());
    let few = StreamOptions { tokens_per_batch: 60, ..options() };
    let order = |limit| {
        let held_out = HeldOut::open(&prepared, "valid", &["qab-en".to_string()], &few, limit).unwrap();
        let batches: Vec<(usize, Batch)> = held_out.batches().map(|b| b.unwrap()).collect();
        batches.iter().flat_map(|(_, b)| b.examples.iter().map(|e| e.index)).collect::<Vec<u64>>()
    };
    let all = order(0);
    assert_eq!(all, (0..all.len() as u64).collect::<Vec<_>>());
    assert!(all.len() > 3, "{} pairs", all.len());
    let half = all.len() as u64 / 2;
    assert_eq!((order(2), order(1)), (vec![0, half], vec![0]));
    assert_eq!(order(all.len() + 5), all);
    let held_out = HeldOut::open(&prepared, "valid", &["qab-en".to_string()], &few, 3).unwrap();
    assert!(!held_out.is_empty() && held_out.directions() == ["qab-en"]);
    assert!(HeldOut::open(&prepared, "test", &[], &few, 0).unwrap().is_empty());
}

#[test]
fn batches_have_what_the_model_wants_around_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let prepared = prepared(folder.path());
    let prompts = Prompts {
        source_front: vec![Mark::Source],
        source_end: vec![Mark::End],
        decoder: vec![Mark::End, Mark::Target],
    };
    let usual = round(&mut open(&prepared, options()));
    let framed = round(&mut open(&prepared, StreamOptions { prompts, tokens_per_batch: 200, ..options() }));
    let sentences = |batches: &[Batch]| {
        let mut found = BTreeMap::new();
        for batch in batches {
            // Labels have no offsets of their own.
            let prompt = batch.target_in.ids.len() + batch.examples.len() - batch.target_out.len();
            let prompt = prompt / batch.examples.len();
            let mut labels = batch.target_out.as_slice();
            for (i, example) in batch.examples.iter().enumerate() {
                let part = |of: &strata_corpus::Ragged| of.ids[of.offsets[i]..of.offsets[i + 1]].to_vec();
                let (source, target) = (part(&batch.source), part(&batch.target_in));
                let (own, rest) = labels.split_at(target.len() - prompt + 1);
                labels = rest;
                found.insert(*example, (source, target, own.to_vec()));
            }
        }
        found
    };
    let (usual, framed) = (sentences(&usual), sentences(&framed));
    assert_eq!(framed.len(), 100);
    for (example, (source, target, labels)) in &framed {
        let (usual_source, usual_target, usual_labels) = &usual[example];
        // Tags are 3 to 5: English, qaa, qab.
        let into = usual_source[0];
        let from = [4, 5, 3, 3][example.direction];
        assert_eq!((source[0], &source[1..]), ([3, 3, 4, 5][example.direction], &usual_source[1..]));
        assert_eq!((into, &target[..2]), (from, &[1, into][..]));
        assert_eq!((&target[2..], labels), (&usual_target[1..], usual_labels));
    }
}
