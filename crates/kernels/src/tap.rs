//! A tap on the backward pass: gradients that are whole before it is over.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;

use crate::flex::on_flex;

/// A tensor whose gradient is asked for, of any rank.
pub struct Leaf(FloatTensor<Autodiff<Flex>>);

impl Leaf {
    /// None on other devices than the CPU, and for a tensor of which no gradient is asked.
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Option<Self> {
        let is_leaf = on_flex(&tensor.device()) && tensor.is_require_grad();
        is_leaf.then(|| Self(tensor.try_into_primitive::<Autodiff<Flex>>().expect("on_flex was asked before")))
    }
}

/// `x`. When a backward pass has come here, `reached` gets the gradients of `leaves`, flattened, which the pass gives
/// up; none for a leaf that had no part in the result. A leaf must be used by nothing but what comes of this `x`: of
/// that, the pass is done with everything, since it goes by depth.
pub fn tap<const D: usize>(
    x: Tensor<D>,
    leaves: Vec<Leaf>,
    reached: impl FnOnce(Vec<Option<Vec<f32>>>) + Send + 'static,
) -> Tensor<D> {
    if !x.is_tracked() || !on_flex(&x.device()) {
        return x;
    }
    let inner: FloatTensor<Autodiff<Flex>> =
        x.try_into_primitive::<Autodiff<Flex>>().expect("on_flex was asked before");
    let (values, node) = inner.into_parts();
    let tap = Tap { leaves, reached };
    let output = match tap.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((), values),
        OpsKind::UnTracked(prep) => prep.finish(values),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

struct Tap<F> {
    leaves: Vec<Leaf>,
    reached: F,
}

impl<F> std::fmt::Debug for Tap<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tap")
    }
}

impl<F> Backward<Flex, 1> for Tap<F>
where
    F: FnOnce(Vec<Option<Vec<f32>>>) + Send + 'static,
{
    type State = ();

    fn backward(self, ops: Ops<(), 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        if let [Some(parent)] = ops.parents {
            grads.register::<Flex>(parent.id, gradient);
        }
        let mut taken = |leaf: &Leaf| {
            let gradient = grads.remove::<Flex>(&leaf.0)?;
            Some(gradient.to_contiguous().into_data().try_into_vec_as().expect("floats on the CPU"))
        };
        (self.reached)(self.leaves.iter().map(&mut taken).collect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use burn::tensor::{Device, Tensor};

    use super::{Leaf, tap};
    use crate::{Activation, MatmulPrecision, linear};

    /// `x` through two affine maps, with a tap between them.
    #[test]
    fn gradients_behind_a_tap_are_whole_when_it_is_reached_and_all_others_are_as_without() {
        let device = Device::flex().autodiff();
        let leaf = |start: f32| {
            let values: Vec<f32> = (0..4).map(|i| start + 0.3 * i as f32).collect();
            let data = burn::tensor::TensorData::new(values, [2, 2]);
            Tensor::<2>::from_data(data, &device).require_grad()
        };
        let (x, first, second, unused) = (leaf(0.5), leaf(-0.2), leaf(0.1), leaf(1.0));
        let map = |x, w: &Tensor<2>| linear(x, w.clone(), None, Activation::None, MatmulPrecision::F32);
        let values = |t: Tensor<2>| t.into_data().try_to_vec::<f32>().unwrap();
        let plain = map(map(x.clone(), &first), &second).powf_scalar(2.0).sum();
        let mut grads = plain.backward();
        let mut expected = |t: &Tensor<2>| values(t.grad_remove(&mut grads).unwrap());
        let (of_first, of_second) = (expected(&first), expected(&second));

        let reached = Arc::new(Mutex::new(Vec::new()));
        let leaves = [&second, &unused].map(|leaf| Leaf::new(leaf.clone()).unwrap()).into_iter().collect();
        let told = Arc::clone(&reached);
        let hidden = tap(map(x, &first), leaves, move |found| told.lock().unwrap().push(found));
        let tapped = map(hidden, &second).powf_scalar(2.0).sum();
        assert!(reached.lock().unwrap().is_empty());
        let mut grads = tapped.backward();
        assert_eq!(*reached.lock().unwrap(), [[Some(of_second), None]]);
        assert!(second.grad_remove(&mut grads).is_none(), "it was given up");
        assert_eq!(values(first.grad_remove(&mut grads).unwrap()), of_first);

        let constant = Tensor::<2>::ones([1, 1], &device);
        assert!(Leaf::new(constant.clone()).is_none());
        assert!(!tap(constant, Vec::new(), |_| panic!("nothing is recorded")).is_tracked());
    }
}
