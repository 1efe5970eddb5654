//! The logarithm of the logistic function.
//!
//! # Formula
//! −ln(1 + e⁻ˣ), computed as min(x, 0) − ln(1 + exp(−|x|))
//!
//! # Gradient
//! sigmoid(−x)
//!
//! # Precision
//! Every digit also where the sigmoid itself is 0 or 1 in floats.
//!
//! # Errors
//! A dtype that is no float.

use super::Activation;
use crate::formula::Real;

/// ln sigmoid(x), a logarithm of a probability: never above 0.
///
/// # Formula
/// −ln(1 + e⁻ˣ), computed as min(x, 0) − ln(1 + exp(−|x|))
///
/// # Gradient
/// sigmoid(−x)
///
/// # Precision
/// Every digit also where the sigmoid itself is 0 or 1 in floats.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::activation::LogSigmoid;
/// use tealight::prelude::*;
/// assert_eq!(LogSigmoid.value(-1e4), -1e4);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSigmoid;

impl Activation for LogSigmoid {
    const NAME: &'static str = "log_sigmoid";

    fn value<R: Real>(&self, x: R) -> R {
        x.min(R::constant(0.0)) - (-x.abs()).exp().ln_1p()
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        (-x).sigmoid()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::LogSigmoid;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| LogSigmoid.apply(x));
        extremes(&LogSigmoid, [f64::NEG_INFINITY, 1.0, 0.0], [0.0; 3]);
        assert_eq!(LogSigmoid.value(40.0), -(-40.0_f64).exp());
    }
}
