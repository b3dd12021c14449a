//! Help for this crate's tests: random inputs and comparing an operation with its composition, values and gradients.

use burn::tensor::{Device, Tensor};

/// A CPU tensor of normal random values that asks for its gradient.
pub(crate) fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let device = Device::flex().autodiff();
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n as u32).map(|i| normal(seed, i)).collect();
    Tensor::<1>::from_floats(values.as_slice(), &device).reshape(shape).detach().require_grad()
}

fn normal(seed: u64, i: u32) -> f32 {
    let unit = |s| (strata_simd::random::lowbias32(seed ^ s, i) as f32 + 1.0) / 4_294_967_300.0;
    (-2.0 * unit(0x9e37).ln()).sqrt() * (std::f32::consts::TAU * unit(0x1234_5678)).cos()
}

/// A tensor of any rank whose gradient is compared.
pub(crate) enum Leaf {
    One(Tensor<1>),
    Two(Tensor<2>),
    Three(Tensor<3>),
}

impl From<Tensor<1>> for Leaf {
    fn from(t: Tensor<1>) -> Self {
        Self::One(t)
    }
}
impl From<Tensor<2>> for Leaf {
    fn from(t: Tensor<2>) -> Self {
        Self::Two(t)
    }
}
impl From<Tensor<3>> for Leaf {
    fn from(t: Tensor<3>) -> Self {
        Self::Three(t)
    }
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().expect("f32 values")
}

/// Values of an operation's output and of the gradients of its leaves under a fixed random cotangent.
fn outcome<const D: usize>((y, leaves): (Tensor<D>, Vec<Leaf>)) -> Vec<Vec<f32>> {
    let cotangent = random(y.dims(), 99).inner();
    let mut all = vec![values(y.clone().inner())];
    if y.dims().iter().product::<usize>() == 0 {
        return all;
    }
    let grads = (y * Tensor::from_inner(cotangent)).sum().backward();
    for leaf in leaves {
        all.push(match leaf {
            Leaf::One(t) => values(t.grad(&grads).expect("a gradient")),
            Leaf::Two(t) => values(t.grad(&grads).expect("a gradient")),
            Leaf::Three(t) => values(t.grad(&grads).expect("a gradient")),
        });
    }
    all
}

/// Asserts that two ways of computing agree: output and every leaf's gradient, to 1e-4 of the largest value.
pub(crate) fn assert_same<const D: usize>(
    ours: impl FnOnce() -> (Tensor<D>, Vec<Leaf>),
    reference: impl FnOnce() -> (Tensor<D>, Vec<Leaf>),
) {
    let (ours, reference) = (outcome(ours()), outcome(reference()));
    assert_eq!(ours.len(), reference.len());
    for (place, (a, b)) in ours.iter().zip(&reference).enumerate() {
        assert_eq!(a.len(), b.len(), "sizes of output {place}");
        let largest = b.iter().fold(1.0f32, |m, v| m.max(v.abs()));
        for (i, (x, y)) in a.iter().zip(b).enumerate() {
            assert!(
                (x - y).abs() <= 1e-4 * largest,
                "{} {i}: {x} against {y} by composition",
                if place == 0 { "output".to_string() } else { format!("gradient {}", place - 1) }
            );
        }
    }
}
