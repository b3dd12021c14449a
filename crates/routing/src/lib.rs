//! The rules of routing, stated once and without tensors: training, inference and analysis all decide here.
//!
//! # The Stratified Mixture of Experts
//!
//! Xu, Elbayad, Murray, Maillard, Goswami: *Towards Being Parameter-Efficient: A Stratified Sparsely Activated
//! Transformer with Dynamic Capacity*, Findings of EMNLP 2023, section 3, <https://arxiv.org/abs/2305.02176>.
//!
//! An SMoE block replaces the FFN sub-layer of a Transformer layer. Its `E` experts, each a two-layer ReLU FFN, are
//! split in order into `L` strata of `E_1 .. E_L` experts; "SMoE-4-12" has strata of 4 and 12. Each stratum has a gate,
//! a linear map without bias from the hidden state to the experts that it sees. A token starts at the first stratum, is
//! processed by `k` experts, and moves on to the stratum behind that of its first choice, until it leaves the block. So
//! an easy token visits one stratum and a hard one up to `L`: the count is its *requested capacity* (RC).
//!
//! One visit of token `x` to stratum `i`:
//!
//! | | rule | here |
//! |---|---|---|
//! | R1 | `x' = LayerNorm_i(x)` | [`Strata::norm_on_arrival`] |
//! | R2 | `p = softmax(W_i x')` over stratum `i` and all later ones: `V_i` experts | [`Strata::visible`] |
//! | R3 | the `k` experts of largest `p`; ties go to the first | [`choose`], [`choose_with_noise`] |
//! | R4 | in training, an expert takes `C = k * ceil(T_i / V_i)` of the `T_i` tokens at most | [`capacity`], [`kept`] |
//! | R5 | `w_e = p_e / (sum of the kept p)` for `k = 2`, `w_e = p_e` for `k = 1` | [`combine_weights`] |
//! | R6 | `y = x + sum over kept e of w_e * FFN_e(x')` | the crates with tensors |
//! | R7 | the token moves on to stratum `j + 1`; `j` is that of its first choice | [`Strata::next`], [`Waiting`] |
//! | R8 | the gate's balance loss is `V_i * sum over e of f_e * mean(p_e)` | [`balance_loss`] |
//!
//! In the authors' released code R1 stands elsewhere: the norm of the *next* stratum (or of the exit) is applied to `y`
//! after R7, and its result is the next residual as well ([`Norms::OnLeaving`], [`Strata::norm_on_leaving`]).
//!
//! Beyond the paper: gates that see all experts ([`Visible::All`]), tokens that never leave early or leave by chance
//! ([`Exits`]), and offsets that hold a budget of capacity ([`Strata::budget_targets`], [`adjust_offsets`]).
//!
//! A vanilla MoE is one stratum of all experts. A stack of MoE layers has gates that see their own layer only, and
//! every token visits them all.
//!
//! Strata, gates, experts and tokens count from 0 in code, from 1 in the paper.
//!
//! ```
//! use strata_routing::{Norms, Strata, choose, combine_weights};
//!
//! let strata = Strata::stratified(&[4, 12], Norms::OnArrival);
//! assert_eq!(strata.visible(1), 4..16); // the second gate sees its own stratum alone
//!
//! let mut p = [0.0; 16]; // what the first gate says of a token
//! (p[2], p[9]) = (0.6, 0.2);
//! let [first, second, ..] = choose(&p, 2);
//! let mut weights = [first, second].map(|expert| p[expert as usize]);
//! combine_weights(&mut weights);
//! assert_eq!((first, second, weights[0]), (2, 9, 0.75));
//! assert_eq!(strata.next(0, 2, || 0.0), 1); // expert 2 is in the first stratum, so the token moves on to the second
//! assert_eq!(strata.next(0, 9, || 0.0), strata.count()); // expert 9 is in the last: the token would leave the block
//! assert_eq!(strata.uniform_requested_capacity(), 1.25);
//! ```

#![forbid(unsafe_code)]

mod balance;
mod budget;
mod capacity;
mod choice;
mod exits;
mod strata;
mod waiting;

pub use balance::balance_loss;
pub use budget::adjust_offsets;
pub use capacity::{capacity, kept, kept_in_part, queued_by_others};
pub use choice::{MOST_CHOICES, SMALLEST_SUM, choose, choose_with_noise, combine_weights, gumbel, output_scale};
pub use exits::{Exits, chance, go_on_for_capacity};
pub use strata::{Norms, Strata, Visible};
pub use waiting::Waiting;
