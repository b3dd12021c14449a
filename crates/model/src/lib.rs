//! The models: an encoder-decoder Transformer whose FFNs may be dense or expert blocks of any kind, their weights on
//! disk, and a plain beam search. Written once for all devices that Burn supports.

#![forbid(unsafe_code)]

mod beam;
mod device;
mod error;
mod expert_block;
mod forward;
mod gate;
mod layer;
mod origin;
mod packed;
mod parameter;
mod share;
mod stages;
mod sublayers;
mod supported;
mod trace;
mod transformer;
mod weights;

pub use beam::{Hypothesis, SearchIds, beam_search};
pub use device::{parse_device, parse_device_of};
pub use error::Error;
pub use expert_block::{ExpertBlock, is_trained};
pub use forward::{Forward, Part};
pub use origin::Origin;
pub use packed::Packed;
pub use parameter::{Initializer, WeightVisitor};
pub use share::ExpertShare;
pub use stages::Done;
pub use supported::check_supported;
pub use trace::{BlockTrace, GateTrace};
pub use transformer::{DecoderState, Transformer};
pub use weights::{InnerIfAutodiff, experts_in_file, push_weight, read_weight};
