//! Training by several processes, on one machine or on many: [`Communicator`] is what they need of a library that connects them,
//! and `Mpi` (feature `mpi`) is one.
//!
//! [`Trainer::distributed`](crate::train::Trainer::distributed) trains with it. The processes are its ranks, 0, 1, …; all run the same
//! program with the same data, seeds and settings.

mod communicator;
#[cfg(feature = "mpi")]
mod mpi;
mod sum;
#[cfg(test)]
mod tests;

pub use communicator::Communicator;
pub(crate) use communicator::{Alone, agree, wide};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub(crate) use sum::{bytes, join, other_program, split, sum, tensor};
