//! Training spread over ranks. The number of ranks is no part of the mathematics: an update's batches are those of one
//! process, and losses and gradients add up to its.
//!
//! Where the number of ranks divides `train.accumulate`, each rank takes whole batches, and gradients are added in the
//! order in which one process adds them: weights are equal bit for bit. Otherwise each batch is split among the ranks
//! by sentences, and sums differ from those of one process in their last bits.
//!
//! Gradients, moments and updates are cut into pieces, of which each rank owns some (ZeRO-1; Rajbhandari et al., 2020):
//! the owner adds the gradients of all ranks, which come while the backward pass goes on, makes Adam's step and sends
//! the new weights to all. That sends as much as a ring all-reduce does, and sums depend on no timing. Where experts
//! are spread over groups of ranks, a rank holds its share of them, and only the ranks of other groups that hold the
//! same share exchange their gradients and weights.

mod batches;
pub(crate) mod bits;
mod layout;
mod optimizer;
mod reduce;
mod streamed;

pub(crate) use batches::{BatchSums, Sharing, all_first_choices, cut, exchange, part_of};
pub(crate) use optimizer::SharedAdam;
pub(crate) use reduce::{Reduction, SharedGradients};
pub(crate) use streamed::Streamed;
