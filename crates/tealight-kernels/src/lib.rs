//! Formulas and numeric kernels of [tealight](https://docs.rs/tealight): numbers and slices, no tensors.
//!
//! This crate is an implementation detail. What a user of tealight needs of it is re-exported as `tealight::formula`; the
//! rest may change in any release. It knows nothing of candle, so that it compiles while candle does, and it is optimised in
//! debug builds of tealight too (`[profile.dev.package.tealight-kernels]`).

pub mod formula;
pub mod kernel;
