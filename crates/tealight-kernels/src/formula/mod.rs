//! A formula is written once, generic over [`Real`], and read in several ways.
//!
//! | read with | gives |
//! |---|---|
//! | `f32`, `f64` | the CPU kernels |
//! | [`Dual`] | the exact derivative |
//! | [`Expr`] | the formula written down: as candle ops for other devices, as recorded tensor ops for higher derivatives, as text |
//! | [`InputSet`] | which values the backward pass must keep |

mod dual;
mod expr;
mod input_set;
mod interpreter;
pub mod math;
mod real;
mod tape;

pub use dual::Dual;
pub use expr::Expr;
pub use input_set::InputSet;
pub use interpreter::Interpreter;
pub use real::Real;
pub use tape::{Binary, Tape, Unary};
