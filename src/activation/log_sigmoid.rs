//! The logarithm of the sigmoid.

use super::Activation;
use crate::formula::Real;

/// ln sigmoid(x) = −ln(1 + e⁻ˣ), computed as min(x, 0) − ln(1 + exp(−|x|)): accurate also where the sigmoid rounds to 0 or 1.
///
/// # Gradient
/// sigmoid(−x)
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSigmoid;

impl Activation for LogSigmoid {
    const NAME: &'static str = "log_sigmoid";

    fn value<R: Real>(&self, x: R) -> R {
        x.minimum(R::constant(0.0)) - (-x.abs()).exp().ln_1p()
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
