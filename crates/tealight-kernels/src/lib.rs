//! Formulas and numeric kernels of [tealight](https://docs.rs/tealight): numbers and slices, no tensors.
//!
//! An implementation detail of tealight, which re-exports the part for users as `tealight::formula`; the rest may change in any
//! release. It does not depend on candle, so both compile at the same time, and it is optimised in debug builds, too.

pub mod formula;
pub mod kernel;
