//! The door between Burn's tensors and this crate's loops over slices.
//!
//! Every operation of this crate exists twice: composed of ordinary Burn operations, which runs on every device and
//! differentiates itself, and as one node of the autodiff graph with a handwritten backward for Burn's CPU backend
//! `Flex`. [`on_flex`] decides which one a call takes, [`Operand`] opens a tensor, and [`record`] puts the result
//! and its backward closure on the graph.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, Flex, TensorMetadata};
use burn::tensor::{Device, Shape, Tensor, TensorData};

/// A tensor of the CPU backend.
pub(crate) type FlexTensor = FloatTensor<Flex>;
/// The same as a node of an autodiff graph.
type AutodiffTensor = FloatTensor<Autodiff<Flex>>;

/// Whether a tensor on `device` is held by the CPU backend, so that the fast path may open it.
pub fn on_flex(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(device) => matches!(**device, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)] // the only other variants are those of backends built in by features
        _ => false,
    }
}

/// A tensor of any rank opened for reading: its contiguous values and, when gradients are recorded, its graph node.
pub(crate) struct Operand {
    values: FlexTensor,
    node: Option<NodeGuard>,
    tracked: bool,
}

impl Operand {
    /// Opens `tensor`, which must be on the CPU backend, making it contiguous if it is a view.
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        if tensor.is_autodiff() {
            let tracked = tensor.is_tracked();
            let inner: AutodiffTensor =
                tensor.try_into_primitive::<Autodiff<Flex>>().expect("on_flex was asked before");
            let (values, node) = inner.into_parts();
            Self { values: values.to_contiguous(), node: Some(node), tracked }
        } else {
            let values = tensor.try_into_primitive::<Flex>().expect("on_flex was asked before");
            Self { values: values.to_contiguous(), node: None, tracked: false }
        }
    }

    /// The values in row-major order; cheap to clone and safe to keep for the backward pass.
    pub fn values(&self) -> Values {
        Values(self.values.clone())
    }

    /// Whether a gradient is asked of this operand.
    pub fn tracked(&self) -> bool {
        self.tracked
    }
}

/// Shared, read-only values of a contiguous CPU tensor.
#[derive(Clone)]
pub(crate) struct Values(FlexTensor);

impl Values {
    /// The tensor itself, sharing its memory.
    pub fn share(&self) -> FlexTensor {
        self.0.clone()
    }
}

impl std::ops::Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let start = self.0.layout().start_offset();
        &self.0.storage::<f32>()[start..start + self.0.shape().num_elements()]
    }
}

/// Gradients for the operands of one operation, in their order; `None` where none was asked for.
pub(crate) type OperandGradients<const N: usize> = [Option<FlexTensor>; N];

/// Which operands want a gradient, in their order.
pub(crate) type Wanted<const N: usize> = [bool; N];

struct Closure<F, const N: usize>(F);

impl<F, const N: usize> std::fmt::Debug for Closure<F, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("strata operation")
    }
}

impl<F, const N: usize> Backward<Flex, N> for Closure<F, N>
where
    F: FnOnce(Values, Wanted<N>) -> OperandGradients<N> + Send + 'static,
{
    type State = ();

    fn backward(self, ops: Ops<(), N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let operand_grads = (self.0)(Values(grad), wanted);
        for (parent, grad) in ops.parents.into_iter().zip(operand_grads) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}

/// Makes `output` a tensor whose gradient flows to `operands` through `backward`.
///
/// `backward` gets the gradient of the output and says, for every operand that wants one, its gradient in the
/// operand's own shape. Where no operand belongs to a recorded graph, the result is a plain tensor.
pub(crate) fn record<const D: usize, const N: usize, F>(
    operands: [Operand; N],
    output: FlexTensor,
    backward: F,
) -> Tensor<D>
where
    F: FnOnce(Values, Wanted<N>) -> OperandGradients<N> + Send + 'static,
{
    if operands.iter().all(|operand| operand.node.is_none()) {
        return Tensor::from_primitive::<Flex>(output);
    }
    // A plain tensor among recorded ones is a constant: give it a node of its own that asks for no gradient.
    let guards = operands.map(|operand| match operand.node {
        Some(node) => node,
        None => constant_node(operand.values),
    });
    let output = match Closure(backward).prepare::<NoCheckpointing>(guards).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish((), output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

fn constant_node(values: FlexTensor) -> NodeGuard {
    AutodiffTensor::new(values).into_parts().1
}

/// A CPU tensor of `shape` that takes over `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
