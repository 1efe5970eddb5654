//! A formula is written once, generic over [`Real`], and read in several ways.
//!
//! | read with | gives |
//! |---|---|
//! | `f32`, `f64` | the CPU kernels |
//! | [`Dual`] | the exact derivative |
//! | [`Expr`] | the formula written down: as candle ops for other devices, as recorded tensor ops for higher derivatives, as text |
//! | [`Uses`] | which values the backward pass must keep |

mod dual;
mod expr;
mod machine;
pub mod math;
mod program;
mod real;
mod uses;

pub use dual::Dual;
pub use expr::Expr;
pub use machine::Machine;
pub use program::{Binary, Program, Unary};
pub use real::Real;
pub use uses::Uses;
