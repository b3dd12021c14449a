use std::ops::Range;

use burn::tensor::TensorData;

use super::*;
use crate::mask::Dropout;
use crate::testing::{assert_same, random};

/// Experts on 1 to 4 ranks, each with its own tokens, give what one rank gives for all tokens.
#[test]
fn spread_over_ranks_they_give_the_same() {
    let (d, f, k, experts) = (6, 10, 2, 5);
    // The last rank has no tokens; none has any at expert 1.
    let tokens = [7, 40, 1, 0];
    let chosen = |rank: usize, visit: u64| -> Vec<Option<u32>> {
        let bits = |i: usize| strata_simd::random::lowbias32(visit * 10 + rank as u64, i as u32);
        (0..tokens[rank] * k).map(|i| bits(i) % (experts as u32 + 1)).map(|e| (e < 5 && e != 1).then_some(e)).collect()
    };
    let host = |x: Tensor<2>| -> Vec<f32> { x.into_data().iter::<f32>().collect() };
    let values = |n: usize, seed: u64| host(random([n, 1], seed).inner());
    let part = |values: &[f32], width: usize, ranks: Range<usize>| -> Vec<f32> {
        let rows = |ranks: Range<usize>| tokens[ranks].iter().sum::<usize>() * width;
        values[rows(0..ranks.start)..rows(0..ranks.end)].to_vec()
    };
    // Output, gradients of x and of the combine weights, gradients of the experts `mine`.
    let run = |parts: Range<usize>, mine: Range<usize>, spread: Option<(Ranks, Arc<[usize]>)>| -> Vec<Vec<f32>> {
        let n = tokens[parts.clone()].iter().sum();
        let device = random([1, 1], 1).device();
        let leaf = |v: Vec<f32>, width: usize| {
            let rows = v.len() / width;
            Tensor::<2>::from_data(TensorData::new(v, [rows, width]), &device).require_grad()
        };
        let x = leaf(part(&values(48 * d, 5), d, parts.clone()), d);
        let ws = [6, 7].map(|seed| leaf(part(&values(48 * k, seed), k, parts.clone()), k));
        let weights = |seed: u64, width: usize| {
            leaf(values(experts * width, seed)[mine.start * width..mine.end * width].to_vec(), width)
        };
        let [fc1, fc2] = [(1, f * d), (2, d * f)].map(|(seed, width)| weights(seed, width));
        let [b1, b2] = [(3, f), (4, d)].map(|(seed, width)| weights(seed, width));
        let (stack1, stack2) = (fc1.clone().reshape([mine.len(), f, d]), fc2.clone().reshape([mine.len(), d, f]));
        let mut block = ExpertWeights::new(stack1, b1.clone(), stack2, b2.clone(), MatmulPrecision::F32);
        if let Some((ranks, bounds)) = spread {
            block = block.spread(ranks, bounds);
        }
        let first = tokens[..parts.start].iter().sum::<usize>() * k;
        let mut y = x.clone();
        for (visit, w) in (0..).zip(&ws) {
            let chosen: Vec<_> = parts.clone().flat_map(|rank| chosen(rank, visit)).collect();
            let dropout = HiddenDropout { rate: 0.25, seed: visit << 40, first };
            y = y.clone() + block.apply(y, w.clone(), Arc::new(Dispatch::new(experts, k, &chosen)), dropout);
        }
        assert_eq!(y.dims(), [n, d]);
        let gradients = (y.clone() * y.clone()).sum().backward();
        let of = |x: &Tensor<2>| host(x.grad(&gradients).expect("a gradient"));
        [&x, &ws[0], &ws[1], &fc1, &fc2, &b1, &b2].into_iter().map(of).chain([host(y.inner())]).collect()
    };
    let close = |a: &[f32], b: &[f32]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} {b}"));
    };
    let expected = run(0..4, 0..experts, None);
    for size in 1..=4usize {
        let bounds: Arc<[usize]> = (0..=size).map(|r| r * experts / size).collect::<Vec<_>>().into();
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(size) {
                let (run, part, close, expected, bounds) = (&run, &part, &close, &expected, bounds.clone());
                scope.spawn(move || {
                    let rank = ranks.rank();
                    let parts = rank..if rank + 1 == size { 4 } else { rank + 1 };
                    let mine = bounds[rank]..bounds[rank + 1];
                    let got = run(parts.clone(), mine.clone(), Some((ranks, bounds)));
                    for (i, width) in [d, k, k].into_iter().enumerate() {
                        close(&got[i], &part(&expected[i], width, parts.clone()));
                    }
                    for (i, width) in [(3, f * d), (4, f * d), (5, f), (6, d)] {
                        close(&got[i], &expected[i][mine.start * width..mine.end * width]);
                    }
                    close(&got[7], &part(&expected[7], d, parts));
                });
            }
        });
    }
}

/// Two visits in a row, as two strata make them, over groups of many sizes, some empty, some choices dropped, with and
/// without dropout of hidden values.
#[test]
fn equals_its_composition_over_two_visits() {
    let sizes = [(0, 3, 10, 1), (1, 3, 10, 8), (9, 4, 16, 3), (700, 3, 10, 4), (40, 16, 10, 5)];
    for ((n, experts, f, seed), rate) in sizes.into_iter().flat_map(|size| [0.0, 0.3].map(|rate| (size, rate))) {
        let (d, k) = (6, 2);
        let chosen = |seed: u64| -> Vec<Option<u32>> {
            (0..n * k)
                .map(|i| strata_simd::random::lowbias32(seed, i as u32) % (experts as u32 + 1))
                .map(|e| (e < experts as u32 && e != 1).then_some(e))
                .collect()
        };
        let visits = [chosen(seed), chosen(seed + 100)].map(|c| Arc::new(Dispatch::new(experts, k, &c)));
        let inputs = || {
            let weights = [random([experts, f, d], 1), random([experts, d, f], 2)];
            let biases = [random([experts, f], 3), random([experts, d], 4)];
            (random([n, d], 5), [random([n, k], 6), random([n, k], 7)], weights, biases)
        };
        let run = |fast: bool| {
            let (x, [w1, w2], [fc1, fc2], [b1, b2]) = inputs();
            let mut experts =
                ExpertWeights::new(fc1.clone(), b1.clone(), fc2.clone(), b2.clone(), MatmulPrecision::F32);
            let mut visit = |x: Tensor<2>, w: Tensor<2>, dispatch: &Arc<Dispatch>, seed: u64| {
                let dropout = HiddenDropout { rate, seed, first: 7 };
                let y = if fast {
                    experts.apply(x.clone(), w, dispatch.clone(), dropout)
                } else {
                    let dropped = |hidden: Tensor<2>, slots: Range<usize>| {
                        let mask = Dropout::new(rate, seed);
                        let row = |slot| (7 + dispatch.weight_place(slot)) * f;
                        let factors = slots.flat_map(|slot| (0..f).map(move |i| mask.factor((row(slot) + i) as u32)));
                        let factors: Vec<f32> = factors.collect();
                        let [slots, _] = hidden.dims();
                        let factors = Tensor::<2>::from_data(TensorData::new(factors, [slots, f]), &hidden.device());
                        hidden * factors
                    };
                    experts.composed(x.clone(), w, dispatch, dropped)
                };
                x + y
            };
            let y = visit(x.clone(), w1.clone(), &visits[0], 11);
            let y = visit(y, w2.clone(), &visits[1], 12);
            (y, vec![x.into(), w1.into(), w2.into(), fc1.into(), b1.into(), fc2.into(), b2.into()])
        };
        assert_same(|| run(true), || run(false));
    }
}
