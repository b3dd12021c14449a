// The crate `fxtranslate` on lines of text, for bench/firefox.sh, which builds it.
//
//     peer MODEL VOCABULARY LEX TEXT THREADS BATCH RUNS [OUTPUT]
//
// BATCH 1 is one line after another. Prints a JSON line; the first run is not timed.
use std::time::Instant;

use fxtranslate::engine::Engine;
use fxtranslate::shortlist::Shortlist;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, vocabulary, lex, text] = [0, 1, 2, 3].map(|i| &args[i]);
    let [threads, batch, runs] = [4, 5, 6].map(|i| args[i].parse::<usize>().unwrap());
    let engine = Engine::load_mmapped(model, vocabulary, vocabulary).unwrap().with_threads(threads);
    let engine = engine.with_shortlist(Shortlist::load(lex).unwrap());
    let text = std::fs::read_to_string(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (mut best, mut translations) = (f64::INFINITY, Vec::new());
    for run in 0..=runs {
        let started = Instant::now();
        translations = if batch == 1 {
            lines.iter().map(|line| engine.translate(line)).collect()
        } else {
            lines.chunks(batch).flat_map(|lines| engine.translate_batch(lines)).collect()
        };
        if run > 0 {
            best = best.min(started.elapsed().as_secs_f64());
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: f64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    let rate = lines.len() as f64 / best;
    println!("{{\"lines_per_second\": {rate:.1}, \"peak_memory_mb\": {:.0}}}", peak / 1024.0);
    if let Some(path) = args.get(7) {
        std::fs::write(path, translations.join("\n") + "\n").unwrap();
    }
}
