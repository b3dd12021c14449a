//! Speed of the three products of an affine map in training, GFLOP/s as the best of many runs: the map itself, the
//! gradient of its input and that of its weight.
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
    println!("{} threads; GFLOP/s\n  rows inputs outputs |    map  input weight", rayon::current_num_threads());
    let device = Device::flex().autodiff();
    for [rows, inputs, outputs] in SHAPES {
        let random = |shape| Tensor::<2>::random(shape, Distribution::Default, &device).detach();
        let (x, w) = (random([rows, inputs]), random([outputs, inputs]));
        let run =
            |x: &Tensor<2>, w: &Tensor<2>| linear(x.clone(), w.clone(), None, Activation::None, MatmulPrecision::F32);
        let flops = 2.0 * (rows * inputs * outputs) as f64;
        let rate = |seconds: f64| flops / seconds / 1e9;
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
        let weight = gradient(x.clone(), w.clone().require_grad());
        println!("{rows:6} {inputs:6} {outputs:7} | {:6.1} {:6.1} {:6.1}", rate(map), rate(input), rate(weight));
    }
}

/// Seconds of the fastest run.
fn best(mut run: impl FnMut() -> Duration) -> f64 {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < TIME {
        best = best.min(run());
    }
    best.as_secs_f64()
}
