//! A formula is written once, generic over [`Real`], and evaluated with several types of number.
//!
//! | type | result |
//! |---|---|
//! | `f32`, `f64`, blocks of them | the CPU kernels |
//! | [`Dual`] | the exact derivative |
//! | [`Jet`] | the exact derivatives up to order K, a Taylor series |
//! | [`Expr`] | the formula as a [`Tape`]: printed, run as candle ops or as recorded tensor ops |
//! | [`InputSet`] | which values the backward pass must keep |

mod dual;
mod elementary;
mod expr;
mod input_set;
mod jet;
pub mod math;
mod parse;
mod real;
mod tape;

pub use dual::Dual;
pub use elementary::slope;
pub use expr::Expr;
pub use input_set::InputSet;
pub use jet::Jet;
pub use parse::{ParseError, Parsed, parse};
pub use real::Real;
pub(crate) use real::Sealed;
pub(crate) use tape::Instruction;
pub use tape::{Binary, Interpreter, Tape, Unary};
