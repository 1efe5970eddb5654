//! The tanhshrink.

use super::Activation;
use crate::formula::Real;

/// x − tanh x
///
/// # Gradient
/// tanh² x
#[derive(Clone, Copy, Debug, Default)]
pub struct Tanhshrink;

impl Activation for Tanhshrink {
    const NAME: &'static str = "tanhshrink";

    fn value<R: Real>(&self, x: R) -> R {
        x - x.tanh()
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let t = x.tanh();
        t * t
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::Tanhshrink;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, -0.4, 0.7, 3.0], |x| Tanhshrink.apply(x));
        extremes(&Tanhshrink, [f64::NEG_INFINITY, 1.0, 0.0], [f64::INFINITY, 1.0, 0.0]);
    }
}
