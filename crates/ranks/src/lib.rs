//! Processes that work together: ranks, which all make the same calls in the same order.
//!
//! [`Ranks`] is what the rest of the program sees. Three engines stand behind it: one process alone, threads of one
//! process (for tests), and MPI, whose library is loaded when the program runs, so that one binary works with Open MPI,
//! MPICH and its kin, and every library with the binary interface of MPI 5.
//!
//! All engines do one thing: an exchange in which every rank sends a part of its values to each rank. Sums are made of
//! it here, in the order of the ranks, so that their bits depend on no timing.

mod agreement;
pub mod bench;
mod engine;
mod error;
mod launch;
mod mpi;
mod ranks;
mod single;
mod threads;
mod traffic;

pub use error::Error;
pub use launch::{Launch, Launcher, forget_launch};
pub use mpi::installed_mpi;
pub use ranks::{Pending, Ranks};
pub use traffic::Traffic;
