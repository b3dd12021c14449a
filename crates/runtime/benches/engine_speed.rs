//! Speed of the engine with random weights of M4's shape (6+6 layers, d 512, FFN 2048, 8 experts, 32,000 subwords), in
//! sentences and subwords per second. Each translation is as long as its source.
//!
//! `cargo bench -p strata-mt-runtime --bench engine_speed -- [KIND] [SENTENCES] [BEST_OF] [CASE]` with kind `dense`,
//! `moe` or `smoe`. A case is `int8:5:320:2`: precision, beam, hypotheses at a time, threads; without one the usual
//! cases are run.

use std::sync::Arc;
use std::time::Instant;

use strata_recipe::{Kind, ModelConfig};
use strata_runtime::{Engine, Limits, Model, Precision, RandomWeights, Request, SearchOptions};

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |i: usize, default: usize| arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let config = match arguments.first().map_or("smoe", String::as_str) {
        "dense" => ModelConfig::default(),
        "moe" => ModelConfig { kind: Kind::Moe, experts: 8, ..ModelConfig::default() },
        _ => ModelConfig { kind: Kind::Smoe, strata: vec![4, 4], ..ModelConfig::default() },
    };
    let (sentences, repeats) = (number(1, 64), number(2, 3));
    // Lengths of a news text: 5 to 60 subwords, 26 on average.
    let lengths: Vec<usize> = (0..sentences).map(|i| 5 + (i * 7919 % 101) * (i * 104_729 % 103) / 185).collect();
    println!("{}, {sentences} sentences, {} subwords", config.name(), lengths.iter().sum::<usize>());
    let usual = [(5, 320, 2), (1, 64, 2), (5, 5, 2), (1, 1, 2), (5, 320, 1), (1, 1, 1)];
    let (precisions, cases) = match arguments.get(3).map(|case| case.split(':').collect::<Vec<_>>()).as_deref() {
        Some([precision, numbers @ ..]) => {
            let numbers: Vec<usize> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
            let &[beam, hypotheses, threads] = numbers.as_slice() else { return println!("a case is int8:5:320:2") };
            let Ok(precision) = precision.parse::<Precision>() else { return println!("a case is int8:5:320:2") };
            (vec![precision], vec![(beam, hypotheses, threads)])
        }
        _ => (vec![Precision::Int8, Precision::F32], usual.to_vec()),
    };
    for precision in precisions {
        let start = Instant::now();
        let model = match Model::pack(&config, &RandomWeights::new(1), precision) {
            Ok(model) => Arc::new(model),
            Err(error) => return println!("{error}"),
        };
        println!("{precision:?}: packed in {:.1} s", start.elapsed().as_secs_f64());
        let engine = Engine::new(model);
        for (beam, hypotheses, threads) in cases.iter().copied() {
            let requests: Vec<Request> = lengths
                .iter()
                .enumerate()
                .map(|(s, length)| {
                    let word = |i: usize| 100 + ((s * 7907 + i * 6007) % 30_000) as u32;
                    let source = (0..*length).map(word).chain([1]).collect();
                    let options = SearchOptions {
                        beam,
                        max_ratio: 1.0,
                        max_extra: 0,
                        min_length: length + 1,
                        ..SearchOptions::default()
                    };
                    Request::new(source, [5], 1, options)
                })
                .collect();
            // One sentence at a time is measured on fewer.
            let requests = if hypotheses <= 5 { &requests[..sentences.div_ceil(4)] } else { &requests[..] };
            let limits = Limits { hypotheses, threads, ..Limits::default() };
            let mut best = f64::INFINITY;
            for _ in 0..repeats {
                let start = Instant::now();
                if let Err(error) = engine.translate(requests, &limits) {
                    return println!("{error}");
                }
                best = best.min(start.elapsed().as_secs_f64());
            }
            let subwords: usize = requests.iter().map(|request| request.source.len()).sum();
            println!(
                "  beam {beam}, {hypotheses:3} hypotheses, {threads} threads: {:7.1} sentences/s {:8.0} subwords/s",
                requests.len() as f64 / best,
                subwords as f64 / best
            );
        }
    }
}
