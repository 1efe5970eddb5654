//! The softsign.
//!
//! # Formula
//! x/(1 + |x|)
//!
//! # Gradient
//! 1/(1 + |x|)²
//!
//! # Precision
//! Beyond ±1e30 the value is ±1 in any float: x is bounded there before ∞ is divided by ∞.
//!
//! # Errors
//! A dtype that is no float.

use super::{Activation, bounded};
use crate::formula::Real;

/// x/(1 + |x|): from −1 to 1, as tanh, but much slower to get there.
///
/// # Formula
/// x/(1 + |x|)
///
/// # Gradient
/// 1/(1 + |x|)²
///
/// # Precision
/// Beyond ±1e30 the value is ±1 in any float: x is bounded there before ∞ is divided by ∞.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::activation::Softsign;
/// use tealight::prelude::*;
/// assert_eq!([-3.0, 0.0, 1.0].map(|x: f64| Softsign.value(x)), [-0.75, 0.0, 0.5]);
/// ```
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
