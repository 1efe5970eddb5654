//! The threshold.

use super::Activation;
use crate::formula::Real;

/// x where x > threshold, else value; NaN stays NaN.
///
/// # Gradient
/// 1 where x > threshold, else 0
///
/// ```
/// use tealight::activation::Threshold;
/// use tealight::prelude::*;
/// let threshold = Threshold { threshold: 1.0, value: -5.0 };
/// assert_eq!([0.5, 1.0, 2.0].map(|x: f64| threshold.value(x)), [-5.0, -5.0, 2.0]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Threshold {
    /// The threshold.
    pub threshold: f64,
    /// The value of the elements up to the threshold.
    pub value: f64,
}

impl Activation for Threshold {
    const NAME: &'static str = "threshold";

    fn value<R: Real>(&self, x: R) -> R {
        let (threshold, value) = (R::constant(self.threshold), R::constant(self.value));
        // Where x is NaN neither comparison holds; where it is the threshold the difference is 0.
        let rest = threshold.select_gt(x, value, value + (x - threshold));
        x.select_gt(threshold, x, rest)
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        x.select_gt(R::constant(self.threshold), R::constant(1.0), R::constant(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::Threshold;
    use crate::ops::testing::{check, grad_at};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let threshold = Threshold { threshold: 0.5, value: 7.0 };
        check(&[-2.0, 0.0, 0.7, 3.0], |x| threshold.apply(x)? * x);
        extremes(&threshold, [7.0, 0.0, 0.0], [f64::INFINITY, 1.0, 0.0]);
        assert_eq!(grad_at(0.5, |x| threshold.apply(x))?, 0.0);
        Ok(())
    }
}
