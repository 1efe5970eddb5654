//! The softsign.

use super::{Activation, bounded};
use crate::formula::Real;

/// x/(1 + |x|): between −1 and 1, as tanh, but slower to saturate.
///
/// # Gradient
/// 1/(1 + |x|)²
#[derive(Clone, Copy, Debug, Default)]
pub struct Softsign;

impl Activation for Softsign {
    const NAME: &'static str = "softsign";

    fn value<R: Real>(&self, x: R) -> R {
        let x = bounded(x, -1e30, 1e30);
        x / (R::constant(1.0) + x.abs())
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let root = (R::constant(1.0) + x.abs()).recip();
        root * root
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::Softsign;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.1, 0.7, 3.0], |x| Softsign.apply(x));
        extremes(&Softsign, [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]);
    }
}
