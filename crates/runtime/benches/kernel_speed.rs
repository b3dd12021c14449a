//! Speed of packed products, f32 and int8, as the best of many interleaved runs: of one map, whose weights may stay in
//! the cache, and, cold, of enough maps in turn that weights come from memory, as in a model.
//!
//! `cargo bench -p strata-runtime --bench kernel_speed -- [THREADS...]`

use std::time::Instant;

use strata_runtime::{Linear, Precision, ProductOptions, Scratch};

const SHAPES: [(usize, usize); 4] = [(512, 512), (512, 2048), (2048, 512), (512, 32000)];
const ROWS: [usize; 6] = [1, 4, 16, 32, 128, 512];

/// Bytes of weights beyond any cache.
const COLD: usize = 96 << 20;

/// Least seconds of measurement for each program of a group.
const SECONDS: f64 = 0.25;

fn main() {
    let threads: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    for threads in if threads.is_empty() { vec![2, 1] } else { threads } {
        match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => pool.install(|| table(threads)),
            Err(error) => eprintln!("no pool of {threads} threads: {error}"),
        }
    }
}

fn table(threads: usize) {
    println!("\n{threads} threads; G multiply-adds a second x 2");
    println!("rows inputs outputs |    f32   int8 | cold f32   int8");
    for (inputs, outputs) in SHAPES {
        let weight = values(outputs * inputs, 1);
        let maps = [Precision::F32, Precision::Int8].map(|precision| {
            let bytes = inputs * outputs * if precision == Precision::F32 { 4 } else { 1 };
            let map = || Linear::pack(&weight, None, outputs, inputs, precision);
            (0..COLD.div_ceil(bytes)).map(|_| map()).collect::<Vec<_>>()
        });
        for rows in ROWS {
            let x = values(rows * inputs, 2);
            let mut out = vec![0.0; rows * outputs];
            let mut scratch = Scratch::default();
            let options = ProductOptions { threads, ..ProductOptions::default() };
            let mut best = [f64::INFINITY; 4];
            let begin = Instant::now();
            while begin.elapsed().as_secs_f64() < SECONDS * 4.0 || best[3].is_infinite() {
                for (program, best) in best.iter_mut().enumerate() {
                    let maps = &maps[program % 2];
                    let maps = if program < 2 { &maps[..1] } else { &maps[..] };
                    let mut apply = |map: &Linear| map.apply(&x, rows, &mut out, options, &mut scratch);
                    if program < 2 {
                        apply(&maps[0]);
                    }
                    let start = Instant::now();
                    maps.iter().for_each(apply);
                    *best = best.min(start.elapsed().as_secs_f64() / maps.len() as f64);
                }
            }
            let [f32, int8, cold_f32, cold_int8] = best.map(|s| 2.0 * (rows * inputs * outputs) as f64 / s / 1e9);
            println!("{rows:4} {inputs:6} {outputs:7} | {f32:6.1} {int8:6.1} | {cold_f32:8.1} {cold_int8:6.1}");
        }
    }
}

fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
