//! The hyperbolic tangent as an elementary function; as a layer it is [`Tanh`](crate::activation::Tanh).
//!
//! # Formula
//! (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ)
//!
//! # Gradient
//! 1 − y²
//!
//! # Errors
//! A dtype that is no float.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(Tanh = "tanh", [x] => x.tanh(), y => [R::constant(1.0) - y * y]);

impl Tensor {
    /// The hyperbolic tangent.
    ///
    /// # Gradient
    /// 1 − y²
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn tanh(&self) -> Result<Tensor> {
        apply(Tanh, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| x.tanh());
    }
}
