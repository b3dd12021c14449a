//! Speed of packed products, f32 and int8, as the best of many interleaved runs.
//!
//! `cargo run --release -p strata-runtime --example kernel_speed [THREADS...]`

use std::time::Instant;

use strata_runtime::linear::{Linear, Options, Precision, Scratch};

const SHAPES: [(usize, usize); 4] = [(512, 512), (512, 2048), (2048, 512), (512, 32000)];
const ROWS: [usize; 6] = [1, 4, 16, 32, 128, 512];

/// Seconds that each program of a group is measured for at least.
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
    println!("rows inputs outputs |    f32   int8 | int8/f32");
    for (inputs, outputs) in SHAPES {
        let weight = values(outputs * inputs, 1);
        let f32 = Linear::pack(&weight, None, outputs, inputs, Precision::F32);
        let int8 = Linear::pack(&weight, None, outputs, inputs, Precision::Int8);
        for rows in ROWS {
            let x = values(rows * inputs, 2);
            let mut out = vec![0.0; rows * outputs];
            let mut scratch = Scratch::default();
            let options = Options { threads, ..Options::default() };
            let mut best = [f64::INFINITY; 2];
            let begin = Instant::now();
            while begin.elapsed().as_secs_f64() < SECONDS * 2.0 || best[1].is_infinite() {
                for (program, best) in best.iter_mut().enumerate() {
                    let start = Instant::now();
                    match program {
                        0 => f32.apply(&x, rows, &mut out, options, &mut scratch),
                        _ => int8.apply(&x, rows, &mut out, options, &mut scratch),
                    }
                    *best = best.min(start.elapsed().as_secs_f64());
                }
            }
            let [f32, int8] = best.map(|s| 2.0 * (rows * inputs * outputs) as f64 / s / 1e9);
            println!("{rows:4} {inputs:6} {outputs:7} | {f32:6.1} {int8:6.1} | {:8.2}", int8 / f32);
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
