//! The hyperbolic tangent.

use super::Activation;
use crate::formula::Real;

/// The hyperbolic tangent, between −1 and 1.
///
/// # Gradient
/// 1 − y². Only the output is saved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tanh;

impl Activation for Tanh {
    const NAME: &'static str = "tanh";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.tanh()
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        R::constant(1.0) - y * y
    }
}

#[cfg(test)]
mod tests {
    use super::Tanh;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| Tanh.apply(x));
    }
}
