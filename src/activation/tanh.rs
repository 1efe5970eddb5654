//! The hyperbolic tangent.
//!
//! # Formula
//! (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)
//!
//! # Gradient
//! 1 − y²: it needs the output only.
//!
//! # Errors
//! A dtype that is no float.

use super::Activation;
use crate::formula::Real;

/// The hyperbolic tangent: any number to one between −1 and 1.
///
/// # Formula
/// (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)
///
/// # Gradient
/// 1 − y²: it needs the output only.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::prelude::*;
/// assert_eq!([0.0, 1000.0, -1000.0].map(|x: f64| Tanh.value(x)), [0.0, 1.0, -1.0]);
/// assert_eq!(Tanh.derivative(0.0, 0.0), 1.0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Tanh;

impl Activation for Tanh {
    const NAME: &'static str = "tanh";
    const FUSED: bool = true;

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
