//! [`Machine`]: what carries out a formula that was written down.

use super::{Binary, Unary};

/// Something that carries out a [`Program`](super::Program).
///
/// ```
/// use tealight::formula::{Binary, Machine, Program, Unary};
/// use tealight::prelude::*;
/// struct Count(usize); // counts the operations
/// impl Machine for Count {
///     type Value = (); type Error = Error;
///     fn constant(&mut self, _: f64) -> Result<()> { Ok(()) }
///     fn unary(&mut self, _: Unary, _: &()) -> Result<()> { Ok(self.0 += 1) }
///     fn binary(&mut self, _: Binary, _: &(), _: &()) -> Result<()> { Ok(self.0 += 1) }
///     fn select_gt(&mut self, _: [&(); 4]) -> Result<()> { Ok(self.0 += 1) }
/// }
/// let mut count = Count(0);
/// Program::of(&Sigmoid).run(&mut count, &[()])?; // 1 / (1 + exp(-x))
/// assert_eq!(count.0, 4);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Machine {
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
