//! Speed of the three products of an affine map in training, GFLOP/s as the best of many runs: the map itself, the
//! gradient of its input and that of its weight, in f32 and in bfloat16.
//!
//! `cargo bench -p strata-kernels --bench product_speed`; RAYON_NUM_THREADS sets the number of threads.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use strata_kernels::{Activation, MatmulPrecision, linear};

/// Rows, inputs, outputs.
const SHAPES: [[usize; 3]; 8] = [
    [1024, 512, 512],
    [1024, 512, 2048],
    [1024, 2048, 512],
    [262, 512, 16000],
    [1024, 128, 512],
    [64, 256, 1024],
    [64, 1024, 256],
    [1024, 1024, 4096],
];

/// How long each product is run.
const TIME: Duration = Duration::from_millis(300);

fn main() {
    println!("{} threads, {}; GFLOP/s", rayon::current_num_threads(), strata_simd::Level::current().name());
    println!("  rows inputs outputs |    map  input weight | bf16:  map  input weight");
    for shape in SHAPES {
        let [f32, bf16] = [MatmulPrecision::F32, MatmulPrecision::Bf16].map(|precision| rates(shape, precision));
        let [rows, inputs, outputs] = shape;
        println!(
            "{rows:6} {inputs:6} {outputs:7} | {:6.1} {:6.1} {:6.1} |     {:6.1} {:6.1} {:6.1}",
            f32[0], f32[1], f32[2], bf16[0], bf16[1], bf16[2]
        );
    }
}

/// GFLOP/s of the map, the gradient of its input and that of its weight.
fn rates([rows, inputs, outputs]: [usize; 3], precision: MatmulPrecision) -> [f64; 3] {
    let device = Device::flex().autodiff();
    let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device).detach();
    let (x, w) = (random([rows, inputs]), random([outputs, inputs]));
    let run = |x: &Tensor<2>, w: &Tensor<2>| linear(x.clone(), w.clone(), None, Activation::None, precision);
    let map = best(|| {
        let start = Instant::now();
        let y = run(&x, &w);
        let seconds = start.elapsed();
        drop(y);
        seconds
    });
    let gradient = |x: Tensor<2>, w: Tensor<2>| {
        best(|| {
            let y = run(&x, &w).sum();
            let start = Instant::now();
            let gradients = y.backward();
            let seconds = start.elapsed();
            drop(gradients);
            seconds
        })
    };
    let input = gradient(x.clone().require_grad(), w.clone());
    let weight = gradient(x, w.require_grad());
    [map, input, weight].map(|seconds| 2.0 * (rows * inputs * outputs) as f64 / seconds / 1e9)
}

/// Seconds of the fastest run.
fn best(mut run: impl FnMut() -> Duration) -> f64 {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < TIME {
        best = best.min(run());
    }
    best.as_secs_f64()
}
