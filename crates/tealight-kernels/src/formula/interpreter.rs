//! [`Interpreter`]: what carries out a formula that was written down.

use super::{Binary, Unary};

/// Something that carries out a [`Tape`](super::Program).
pub trait Interpreter {
    /// What an instruction yields.
    type Value: Clone;
    /// How it can fail.
    type Error;
    /// A constant.
    fn constant(&mut self, value: f64) -> Result<Self::Value, Self::Error>;
    /// f(a)
    fn unary(&mut self, f: Unary, a: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// f(a, b)
    fn binary(&mut self, f: Binary, a: &Self::Value, b: &Self::Value) -> Result<Self::Value, Self::Error>;
    /// a > b ? yes : no
    fn select_gt(&mut self, operands: [&Self::Value; 4]) -> Result<Self::Value, Self::Error>;
}
